"""What fitting low-rank sparse attention takes, in closed form; imports no torch. See `baselines.resources`."""

import math
from dataclasses import dataclass

from baselines.base_sizes import dense_shape
from baselines.lorsa import LorsaConfig
from baselines.resources import (
    JSON_BYTES,
    LAYER_BYTES,
    MIXED_BATCHES,
    WINDOWS,
    drawn_positions,
    measured_positions,
)
from benchmark.resources import NUMBER, ModelSize, Resources, Shapes, Training
from sparse_model.config import TransformerConfig
from sparse_model.resources import (
    MOMENTS,
    blocks_flops,
    forward_flops,
    largest_tensor,
    parameters,
    terminal_weights,
    unit_connections,
)


@dataclass(frozen=True)
class Heads:
    """The sizes of the heads of all layers.

    Attributes:
        dense: The dense model.
        features: Heads per layer.
        groups: Query-key circuits per layer.
    """

    dense: TransformerConfig
    features: int
    groups: int

    @property
    def channels(self) -> int:
        """Channels of the queries of a layer, and of the keys."""
        return self.groups * self.dense.d_head

    @property
    def padded(self) -> int:
        """Channels of what attention averages, which is as wide as the wider of keys and values."""
        return self.groups * max(self.dense.d_head, self.features // self.groups)

    @property
    def reads(self) -> int:
        """Entries of what reads the stream, all layers together."""
        return self.dense.layers * self.dense.d_read * (2 * self.channels + self.features)

    @property
    def writes(self) -> int:
        """Entries of what the heads write."""
        return self.dense.layers * self.dense.d_model * self.features

    @property
    def weights(self) -> int:
        """Entries of everything in memory; thresholds, which TopK does not use, are among them."""
        vectors = 2 * self.channels + 2 * self.features + self.dense.d_model
        return self.reads + self.writes + self.dense.layers * vectors

    @property
    def averaging(self) -> int:
        """Operations per position of all patterns and of what they average."""
        return 4 * self.dense.layers * self.dense.context * self.padded

    @property
    def flops(self) -> int:
        """Operations per position of all heads."""
        return 2 * (self.reads + self.writes) + self.averaging

    @property
    def rows(self) -> int:
        """Numbers per position of the activations that are trained on."""
        return self.dense.layers * (self.dense.d_read + self.dense.d_model)


def resources(config: LorsaConfig, shapes: Shapes) -> Resources:
    """What low-rank sparse attention takes: the `resources` of a `Method`."""
    heads = Heads(dense_shape(shapes), config.features, config.qk_heads)
    variants = {"errors_ablated": _model(heads, errors=False), "errors_available": _model(heads, errors=True)}
    return Resources(_training(config, heads), variants)


def _training(config: LorsaConfig, heads: Heads) -> Training:
    """What training takes; its peak is in a step, when activations are computed anew, or when quality is measured."""
    dense, weights = heads.dense, heads.weights
    drawn, measured = drawn_positions(config, dense.context), measured_positions(config, dense.context)
    kept = round(config.batch * dense.layers * _kept(heads))
    stored, batches = heads.rows * drawn, 2 * heads.rows * config.batch
    step = kept + config.batch * max(1.75 * heads.features, 4 * heads.padded - 2.25 * heads.features)
    # Besides what is recorded, an MLP holds the stream before and after it, its input, and its neurons twice.
    refreshed = heads.rows * drawn + drawn * (3 * dense.d_model + 2 * dense.neurons)
    trained = (1 + MOMENTS) * weights + stored + batches + max(step, refreshed, 2 * weights)
    of_layer = heads.features + 2 * dense.d_model
    passed = max(5 * measured * heads.features // 4, WINDOWS * dense.context * _held(heads))
    measuring = 3 * weights + stored + batches + measured * (dense.layers + 1) * of_layer + passed
    passes = math.ceil(config.steps / MIXED_BATCHES) + 1
    per_position = 4 * heads.reads + 6 * heads.writes + 3 * heads.averaging
    replaced = _replaced_flops(heads, errors=False)
    of_quality = measured * (2 * (blocks_flops(dense) + heads.flops) + forward_flops(dense) + 2 * replaced)
    flops = config.steps * config.batch * per_position + passes * drawn * blocks_flops(dense) + of_quality
    saved = weights - dense.layers * heads.features + dense.layers * dense.d_model
    return Training(
        parameters=weights,
        activation_bytes=NUMBER * kept,
        optimizer_bytes=NUMBER * MOMENTS * weights,
        dictionary_bytes=NUMBER * weights,
        memory_bytes=round(NUMBER * (parameters(dense) + max(trained, measuring))),
        store_bytes=NUMBER * saved + LAYER_BYTES * dense.layers + JSON_BYTES,
        flops=flops,
        tokens=config.steps * config.batch,
    )


def _kept(heads: Heads) -> float:
    """Numbers per position of a layer that a step keeps.

    These are queries, keys, values and averages, all padded, activations before and after TopK, its mask of bytes, and
    the errors. Selecting the strongest heads of the last layer, or the backward pass of its averages, comes on top.
    """
    return 4 * heads.padded + 2.25 * heads.features + 2 * heads.dense.d_model


def _model(heads: Heads, *, errors: bool) -> ModelSize:
    dense, error = heads.dense, errors * heads.dense.d_model
    reading, writing = 2 * heads.channels + heads.features, heads.features + error
    units = dense.layers * (reading + error + dense.neurons)
    return ModelSize(
        parameters=parameters(dense) + heads.weights,
        sites=units,
        site_count=dense.layers * (4 + errors),
        units=units,
        meaningful=dense.layers * (reading + dense.neurons),
        held=_held(heads),
        largest=max(largest_tensor(dense), heads.features * dense.d_read, heads.channels * dense.d_read),
        connections=unit_connections(dense.layers, reading, writing, dense.neurons, dense.neurons),
        terminals=terminal_weights(dense, reading + dense.neurons, writing + dense.neurons),
        flops=_replaced_flops(heads, errors=errors),
    )


def _held(heads: Heads) -> int:
    """Numbers per position that a forward pass without gradients holds at one time."""
    dense = heads.dense
    return 4 * dense.d_model + max(4 * heads.padded + 2 * heads.features, 2 * dense.neurons)


def _replaced_flops(heads: Heads, *, errors: bool) -> int:
    """Operations per position of a forward pass with all attention layers replaced; errors take the dense ones too."""
    dense = heads.dense
    weights = dense.d_model * (3 * dense.d_read + dense.d_model)
    attention = dense.layers * (2 * weights + 4 * dense.context * dense.d_model)
    return forward_flops(dense) - attention * (not errors) + heads.flops * (1 + errors)
