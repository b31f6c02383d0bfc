"""Streams the activations of a dense model on which dictionaries are trained."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt
from torch import Tensor

from baselines.base import ReplaceableModel
from benchmark.corpus.sampling import tokens_and_targets
from benchmark.model.interface import begin, unedited
from sparse_model.checkpoint import State

Windows = UInt[np.ndarray, "window token"]
"""Corpus windows; the last token of each is only ever a target."""

MIXED_BATCHES = 4
"""Activations of this many batches are shuffled together."""


def hook_points(dense: ReplaceableModel, hook: str) -> list[str]:
    """The names of `mlp_in`, `mlp_out` or `resid_post` in every block."""
    return [f"blocks.{layer}.{hook}" for layer in range(dense.config.layers)]


@torch.no_grad()
def activations(
    dense: ReplaceableModel, tokens: Int[Tensor, "window position"], *, before_norms: bool = False
) -> dict[str, Float[Tensor, "window position channel"]]:
    """Each MLP's input and output, and the residual stream after it, in the unedited dense model, by hook point.

    Args:
        dense: The model.
        tokens: What it reads.
        before_norms: Whether the stream before the norm of each MLP is wanted too, `resid_mid`.
    """
    found: dict[str, Tensor] = {}
    residual = begin(dense, tokens)["residual"]
    for layer in range(dense.config.layers):
        residual = residual + dense.attention(layer, residual, unedited)
        mlp_in = dense.mlp_input(layer, residual, unedited)
        mlp_out = dense.mlp(layer, mlp_in, unedited)
        found |= {f"blocks.{layer}.resid_mid": residual} if before_norms else {}
        residual = residual + mlp_out
        found |= {
            f"blocks.{layer}.mlp_in": mlp_in,
            f"blocks.{layer}.mlp_out": mlp_out,
            f"blocks.{layer}.resid_post": residual,
        }
    return found


class ActivationStream:
    """Endless batches of activations at the given hook points, all taken from the same pass of the dense model.

    Windows are drawn at random with replacement, and the positions of `MIXED_BATCHES` batches are shuffled together.
    """

    def __init__(
        self, dense: ReplaceableModel, windows: Windows, names: Iterable[str], batch: int, generator: torch.Generator
    ) -> None:
        self._dense, self._windows, self._names, self._batch = dense, windows, tuple(names), batch
        self._generator = generator
        self._taken = MIXED_BATCHES

    def __iter__(self) -> "ActivationStream":
        return self

    def __next__(self) -> dict[str, Float[Tensor, "*row channel"]]:
        """The activations of a batch by hook point."""
        if self._taken == MIXED_BATCHES:
            self._mix()
            self._taken = 0
        part = self._parts[self._taken]
        self._taken += 1
        return {name: values[part] for name, values in self._rows.items()}

    def state(self) -> State:
        """The generator before the batches in memory were drawn, and how many of them have been taken."""
        assert self._taken > 0, "nothing has been drawn"
        return State({"drawn_from": self._drawn_from}, {"taken": self._taken})

    def resume(self, state: State) -> None:
        """Draw the batches in memory again; afterwards the generator is where it was when they had been drawn."""
        self._generator.set_state(state.tensors["drawn_from"])
        self._mix()
        self._taken = state.values["taken"]

    def _mix(self) -> None:
        """Draw windows, and arrange their activations in batches."""
        self._drawn_from = self._generator.get_state()
        drawn = math.ceil(MIXED_BATCHES * self._batch / (self._windows.shape[1] - 1))
        chosen = torch.randint(len(self._windows), (drawn,), generator=self._generator)
        self._arrange(tokens_and_targets(self._windows[chosen.numpy()])[0])

    def _arrange(self, tokens: Int[Tensor, "window position"]) -> None:
        """Shuffle the activations of all positions."""
        found = activations(self._dense, tokens)
        self._rows = {name: found[name].flatten(0, 1) for name in self._names}
        order = torch.randperm(len(self._rows[self._names[0]]), generator=self._generator)
        self._parts = order.split(self._batch)


@dataclass(frozen=True, eq=False)
class Normaliser:
    """Shifts and scales activations to mean zero and mean squared norm d, so that one recipe fits all hook points."""

    mean: Float[Tensor, " channel"]
    """Subtracted first."""
    scale: float
    """Multiplied second."""

    @classmethod
    def of(cls, values: Float[Tensor, "row channel"]) -> "Normaliser":
        """The normaliser fitted to these rows."""
        mean = values.mean(0)
        spread = (values - mean).pow(2).sum(-1).mean().sqrt()
        return cls(mean, float(math.sqrt(values.shape[-1]) / spread))

    def __call__(self, values: Float[Tensor, "*row channel"]) -> Float[Tensor, "*row channel"]:
        """The normalised rows."""
        return (values - self.mean) * self.scale


def normalised_stream(
    stream: ActivationStream,
) -> tuple[dict[str, Normaliser], Iterator[dict[str, Float[Tensor, "*row channel"]]]]:
    """A normaliser for each hook point, fitted to the next batches of a stream, and the later batches normalised."""
    first = [next(stream) for _ in range(MIXED_BATCHES)]
    normalisers = {name: Normaliser.of(torch.cat([rows[name].flatten(0, -2) for rows in first])) for name in first[0]}
    return normalisers, ({name: normalisers[name](rows[name]) for name in rows} for rows in stream)
