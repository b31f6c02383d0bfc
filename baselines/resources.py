"""What fitting a dictionary to a model takes, in closed form: the numbers that `bench plan` prints.

Each formula counts what one function of this package does, and its test compares it with a measurement of that
function. Features are counted as dense arrays: where few fire, a CPU computes with those alone and needs fewer
operations. What happens to dead features depends on how many there are, and is not counted. Imports no torch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from baselines.base_sizes import BaseSizes, base_sizes
from baselines.clt import CLTConfig
from baselines.config import DictionaryConfig, MeasuredConfig, WidthConfig
from benchmark.resources import NUMBER, ModelSize, Resources, Shapes, Training
from sparse_model.resources import MOMENTS

MIXED_BATCHES = 4
"""Batches whose activations are shuffled together: those of `baselines.activations`, which imports torch."""

WINDOWS = 16
"""Windows per forward pass when a dictionary is measured: those of `baselines.quality`, which imports torch."""

LAYER_BYTES, JSON_BYTES = 1_050, 700
"""Bytes in files of the headers, the settings and the quality of a layer, and of the facts."""


@dataclass(frozen=True)
class Widths:
    """The sizes of a dictionary.

    Attributes:
        base: The model that it is fitted to.
        source: Channels that an encoder reads.
        features: Features per layer.
        targets: By layer, the number of layers that its features write to.
        replaces_mlps: Whether features stand in the place of MLPs, not of the residual stream.
        trained: Numbers per feature that are trained besides encoder and decoder.
    """

    base: BaseSizes
    source: int
    features: int
    targets: tuple[int, ...]
    replaces_mlps: bool
    trained: int = 1

    @property
    def layers(self) -> int:
        """Number of replaced layers."""
        return self.base.layers

    @property
    def encoders(self) -> int:
        """Entries of all encoders."""
        return self.layers * self.source * self.features

    @property
    def decoders(self) -> int:
        """Entries of all decoders."""
        return sum(self.targets) * self.base.d_model * self.features

    @property
    def vectors(self) -> int:
        """Entries of all biases, and of one threshold per feature."""
        return self.layers * (2 * self.features + self.base.d_model)

    @property
    def weights(self) -> int:
        """Entries of a dictionary as it is saved."""
        return self.encoders + self.decoders + self.vectors

    @property
    def found(self) -> int:
        """Numbers per position of all activations that a pass of the model returns."""
        return self.layers * (self.base.d_read + 2 * self.base.d_model)

    @property
    def rows(self) -> int:
        """Numbers per position of the activations that are trained on."""
        both = self.source + self.base.d_model if self.replaces_mlps else self.source
        return self.layers * both


def resources_sae(config: DictionaryConfig, shapes: Shapes) -> Resources | None:
    """What SAEs after every block take: the `resources` of a `Method`."""
    if (base := base_sizes(shapes)) is None:
        return None
    widths = _stream(config, base)
    return Resources(_trained(config, widths, _one_after_another(config, widths)), _variants(widths))


def resources_transcoder(config: DictionaryConfig, shapes: Shapes) -> Resources | None:
    """What a transcoder for every MLP takes."""
    if (base := base_sizes(shapes)) is None:
        return None
    widths = Widths(base, base.d_read, config.features, (1,) * base.layers, replaces_mlps=True)
    return Resources(_trained(config, widths, _one_after_another(config, widths)), _variants(widths))


def resources_clt(config: CLTConfig, shapes: Shapes) -> Resources | None:
    """What a cross-layer transcoder takes."""
    if (base := base_sizes(shapes)) is None:
        return None
    targets = tuple(range(base.layers, 0, -1))
    widths = Widths(base, base.d_read, config.features, targets, replaces_mlps=True)
    return Resources(_trained(config, widths, _all_at_once(config, widths)), _variants(widths))


def resources_random(config: WidthConfig, shapes: Shapes) -> Resources | None:
    """What random directions after every block take."""
    if (base := base_sizes(shapes)) is None:
        return None
    widths = _stream(config, base)
    measured = measured_positions(config, base.context)
    found = measured * (widths.found + base.d_model)
    at_once = found + max(measured * 3.25 * widths.features, widths.weights + _measuring(config, widths))
    numbers = base.parameters + widths.weights + at_once
    flops = measured * base.flops + 2 * measured * (widths.encoders + widths.decoders)
    drawn = Training(
        parameters=widths.weights,
        dictionary_bytes=NUMBER * widths.weights,
        memory_bytes=round(NUMBER * numbers),
        store_bytes=_store_bytes(widths),
        flops=flops + _measuring_flops(config, widths),
    )
    return Resources(drawn, _variants(widths))


def resources_read(config: MeasuredConfig, widths: Widths) -> Resources:
    """What a dictionary takes that is read from files and measured, not trained."""
    weights = widths.weights
    read = Training(
        parameters=weights,
        dictionary_bytes=NUMBER * weights,
        memory_bytes=NUMBER * (widths.base.parameters + 2 * weights + _measuring(config, widths)),
        store_bytes=_store_bytes(widths),
        flops=_measuring_flops(config, widths),
    )
    return Resources(read, _variants(widths))


def _stream(config: WidthConfig, base: BaseSizes) -> Widths:
    return Widths(base, base.d_model, config.features, (1,) * base.layers, replaces_mlps=False)


# Training


def _trained(config: DictionaryConfig, widths: Widths, kept: int) -> Training:
    """What training takes, given the numbers besides weights and activations that a step holds.

    The peak is in a step, while gradients of other layers do not exist; when the next activations are computed, while
    the last ones are still there; or when the quality is measured, with weights, gradients and what is loaded.
    """
    base, weights = widths.base, widths.weights
    drawn = drawn_positions(config, base.context)
    stored = widths.rows * drawn
    step = max(kept + weights / widths.layers, 2 * weights)
    refreshed = widths.found * drawn + drawn * base.held
    batches = 2 * widths.rows * config.batch
    trained = (1 + MOMENTS) * weights + stored + batches + max(step, refreshed)
    measured = 3 * weights + stored + batches + _measuring(config, widths)
    passes = math.ceil(config.steps / MIXED_BATCHES) + 1
    per_position = 4 * widths.encoders + 6 * widths.decoders
    flops = config.steps * config.batch * per_position + passes * drawn * base.flops
    return Training(
        parameters=weights,
        activation_bytes=round(NUMBER * kept),
        optimizer_bytes=NUMBER * MOMENTS * weights,
        dictionary_bytes=NUMBER * weights,
        memory_bytes=round(NUMBER * (base.parameters + max(trained, measured))),
        store_bytes=_store_bytes(widths),
        flops=flops + _measuring_flops(config, widths),
        tokens=config.steps * config.batch,
    )


def _one_after_another(config: DictionaryConfig, widths: Widths) -> int:
    """Numbers that a step of per-layer dictionaries holds, with the outputs of all layers.

    A transcoder's inputs and targets are copied side by side.
    """
    features, channels = config.batch * widths.features, config.batch * widths.base.d_model
    joined = config.batch * widths.rows * widths.replaces_mlps
    outputs = widths.layers * (features + channels)
    return outputs + features + 2 * channels + joined


def _all_at_once(config: CLTConfig, widths: Widths) -> int:
    """Numbers that a step of a cross-layer transcoder holds, with its errors."""
    channels = widths.layers * config.batch * widths.base.d_model
    return 2 * widths.layers * config.batch * widths.features + channels


def drawn_positions(config: DictionaryConfig, context: int) -> int:
    """Positions of the windows that are drawn at once, each as long as the context."""
    return math.ceil(MIXED_BATCHES * config.batch / context) * context


def _store_bytes(widths: Widths) -> int:
    """Bytes of the files of a dictionary; the mean errors are among them."""
    errors = widths.layers * widths.base.d_model
    return NUMBER * (widths.weights + errors) + LAYER_BYTES * widths.layers + JSON_BYTES


# Measuring what was trained


def measured_positions(config: MeasuredConfig, context: int) -> int:
    """Positions of the windows on which the quality is measured."""
    return max(1, config.measured_tokens // context) * context


def _measuring(config: MeasuredConfig, widths: Widths) -> int:
    """Numbers held while the quality is measured: all features, those of one layer again, and a forward pass."""
    measured, of_layer = measured_positions(config, widths.base.context), widths.features + 2 * widths.base.d_model
    forward = WINDOWS * widths.base.context * _held(widths)
    return measured * (widths.layers + 1) * of_layer + max(5 * measured * widths.features // 4, forward)


def _measuring_flops(config: MeasuredConfig, widths: Widths) -> int:
    """Operations of the mean errors, the quality and the losses with all layers replaced."""
    base = widths.base
    dictionary = 2 * (widths.encoders + widths.decoders)
    passes = 2 * (base.flops + dictionary) + base.forward_flops + 2 * _replaced_flops(widths, errors=False)
    return measured_positions(config, base.context) * passes


# The models


def _variants(widths: Widths) -> Mapping[str, ModelSize]:
    """How large the model is with a dictionary in it."""
    return {"errors_ablated": _model(widths, errors=False), "errors_available": _model(widths, errors=True)}


def _model(widths: Widths, *, errors: bool) -> ModelSize:
    base, layers, features = widths.base, widths.layers, widths.features
    width, error = base.d_model, errors * base.d_model
    if widths.replaces_mlps:
        attention, hooks = base.queries, 4 + errors
        between, ends = base.connections(features, error), base.terminals(features, error)
    else:
        attention, hooks, between = 0, 1 + errors, 0
        ends = (features + error) * (1 + base.vocabulary)
    return ModelSize(
        parameters=base.parameters + widths.weights,
        sites=layers * (attention + features + error),
        site_count=layers * hooks,
        units=layers * (attention + features + error),
        meaningful=layers * (attention + features),
        held=_held(widths),
        largest=max(base.largest, max(widths.targets) * features * width, features * widths.source),
        connections=between,
        terminals=ends,
        flops=_replaced_flops(widths, errors=errors),
    )


def _held(widths: Widths) -> int:
    """Numbers per position that a forward pass without gradients holds: the stream, and features before and after."""
    return 4 * widths.base.d_model + max(round(3.25 * widths.features), widths.base.held)


def _replaced_flops(widths: Widths, *, errors: bool) -> int:
    """Operations per position of a forward pass with all layers replaced, logits included."""
    unused = widths.base.mlp_flops if widths.replaces_mlps and not errors else 0
    return widths.base.forward_flops - unused + 2 * (widths.encoders + widths.decoders)
