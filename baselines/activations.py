"""Streams the activations of a dense model on which dictionaries are trained."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt16
from torch import Tensor

from benchmark.corpus.sampling import tokens_and_targets
from benchmark.model.interface import unedited
from sparse_model.transformer import Transformer

Windows = UInt16[np.ndarray, "window token"]
"""Corpus windows; the last token of each is only ever a target."""

MIXED_BATCHES = 4
"""Activations of this many batches are shuffled together."""


def place(layer: int, hook: str) -> str:
    """The name of a place: the hook `mlp_in`, `mlp_out` or `resid_post` of a block."""
    return f"blocks.{layer}.{hook}"


def places(dense: Transformer, hook: str) -> list[str]:
    """The places of a hook, one a block."""
    return [place(layer, hook) for layer in range(dense.config.layers)]


@torch.no_grad()
def activations(
    dense: Transformer, tokens: Int[Tensor, "window position"]
) -> dict[str, Float[Tensor, "window position channel"]]:
    """What each MLP reads and writes, and the stream after it, in the unedited dense model."""
    found: dict[str, Tensor] = {}
    residual = dense.start(tokens)["residual"]
    for layer in range(dense.config.layers):
        residual = residual + dense.attention(layer, residual, unedited)
        mlp_in = dense.mlp_input(layer, residual, unedited)
        mlp_out = dense.mlp(layer, mlp_in, unedited)
        residual = residual + mlp_out
        found |= {
            place(layer, "mlp_in"): mlp_in,
            place(layer, "mlp_out"): mlp_out,
            place(layer, "resid_post"): residual,
        }
    return found


def inputs(windows: Windows) -> Int[Tensor, "window position"]:
    """The tokens that a model reads of some windows."""
    return tokens_and_targets(windows)[0]


def stream(
    dense: Transformer, windows: Windows, names: Iterable[str], batch: int, generator: torch.Generator
) -> Iterator[dict[str, Float[Tensor, "batch channel"]]]:
    """Endless batches of the activations at some places, one pass of the dense model serving all of them.

    Windows are drawn at random with replacement, and the positions of `MIXED_BATCHES` batches are shuffled together.
    """
    wanted = tuple(names)
    drawn = math.ceil(MIXED_BATCHES * batch / (windows.shape[1] - 1))
    while True:
        chosen = torch.randint(len(windows), (drawn,), generator=generator)
        found = activations(dense, inputs(windows[chosen.numpy()]))
        rows = {name: found[name].flatten(0, 1) for name in wanted}
        order = torch.randperm(len(rows[wanted[0]]), generator=generator)
        for part in order.split(batch)[:MIXED_BATCHES]:
            yield {name: values[part] for name, values in rows.items()}


@dataclass(frozen=True, eq=False)
class Normaliser:
    """Shifts and scales a place's activations to mean zero and mean squared norm d, so that one recipe fits them all.

    Attributes:
        mean: `[channel]`, subtracted first.
        scale: Multiplied second.
    """

    mean: Float[Tensor, " channel"]
    scale: float

    @classmethod
    def of(cls, values: Float[Tensor, "row channel"]) -> "Normaliser":
        """The normaliser that these rows ask for."""
        mean = values.mean(0)
        spread = (values - mean).pow(2).sum(-1).mean().sqrt()
        return cls(mean, float(math.sqrt(values.shape[-1]) / spread))

    def __call__(self, values: Float[Tensor, "row channel"]) -> Float[Tensor, "row channel"]:
        """The normalised rows."""
        return (values - self.mean) * self.scale


def normalisers(batches: Iterator[dict[str, Tensor]], count: int = MIXED_BATCHES) -> dict[str, Normaliser]:
    """A normaliser for each place, from the next `count` batches."""
    seen = [next(batches) for _ in range(count)]
    return {name: Normaliser.of(torch.cat([batch[name] for batch in seen])) for name in seen[0]}


def normalised(
    batches: Iterator[dict[str, Tensor]], normalisers: Mapping[str, Normaliser]
) -> Iterator[dict[str, Tensor]]:
    """The batches, each place by its own normaliser."""
    for batch in batches:
        yield {name: normalisers[name](values) for name, values in batch.items()}
