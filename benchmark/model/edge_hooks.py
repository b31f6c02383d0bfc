"""Cutting single edges: what flows into a target along cut edges is replaced by its mean.

A model hands each target's sources to its `Wires` just before the target's nonlinearity, top-k or edit, and tells them
what units write to the stream. Where nothing is cut, that costs nothing.
"""

import inspect
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.model.interface import CircuitModel, Edit, State

WROTE = "wrote "
"""Before the name of a site, the key of a state under which its writes to the stream are kept."""

Sources = Mapping[str, Float[Tensor, "batch position _"]]
"""What sources hold, by site name; of values what the attention pattern makes of them."""


@runtime_checkable
class Cut(Protocol):
    """Which edges are cut."""

    def __call__(
        self,
        target: str,
        direct: Sources,
        stream: Sources,
        scale: Float[Tensor, "batch position 1"] | None,
    ) -> Float[Tensor, "batch position target"] | None:
        """What the cut edges into a target bring beyond their means; `None` for nothing.

        Args:
            target: Name of the target's site.
            direct: Sources joined to it by a weight matrix (the channel graph's edges).
            stream: Sources that it reads through the stream (the unit graph's edges).
            scale: By which the norm multiplies the stream; its gain is in the virtual weights.
        """
        ...

    def opaque(self, target: str, source: str) -> Float[Tensor, "target source"] | None:
        """1 for each cut edge through an opaque block, 0 for the others; `None` where none of its edges is cut."""
        ...

    def mean(self, source: str) -> Float[Tensor, " _"]:
        """What a cut source brings instead."""
        ...


class Wires:
    """What a model tells a cut while it runs.

    Args:
        cut: Which edges are cut; `None` for none.
        state: Holds what units have written so far.
    """

    def __init__(self, cut: Cut | None = None, state: State | None = None) -> None:
        self.cut = cut
        kept = {} if cut is None or state is None else state
        self.written = {name.removeprefix(WROTE): values for name, values in kept.items() if name.startswith(WROTE)}

    def into(
        self,
        target: str,
        values: Float[Tensor, "batch position target"],
        direct: Sources | None = None,
        residual: Float[Tensor, "batch position d_model"] | None = None,
    ) -> Float[Tensor, "batch position target"]:
        """A target's input without what its cut edges bring.

        Args:
            target: Name of its site.
            values: Its input, before nonlinearity, top-k and edit.
            direct: Sources joined to it by a weight matrix.
            residual: The stream that it reads, if it reads it.
        """
        if self.cut is None:
            return values
        stream = {} if residual is None else self.written
        scale = None if residual is None else norm_scale(residual)
        missing = self.cut(target, direct or {}, stream, scale)
        return values if missing is None else values - missing

    def wrote(self, source: str, values: Float[Tensor, "batch position source"]) -> None:
        """A site's nodes are added to the stream."""
        if self.cut is not None:
            self.written[source] = values

    def state(self) -> State:
        """What the state has to carry on."""
        return {f"{WROTE}{name}": values for name, values in self.written.items()}


UNCUT = Wires()
"""Nothing is cut."""


def norm_scale(residual: Float[Tensor, "batch position d_model"]) -> Float[Tensor, "batch position 1"]:
    """By which an RMS norm multiplies the stream, its gain apart; epsilon as in `torch.nn.RMSNorm`."""
    return torch.rsqrt(residual.square().mean(-1, keepdim=True) + torch.finfo(residual.dtype).eps)


def can_cut(model: CircuitModel) -> bool:
    """Whether a model's edges can be cut: `advance` and `read_out` take a `cut`."""
    return all("cut" in inspect.signature(part).parameters for part in (model.advance, model.read_out))


def advance(model: CircuitModel, state: State, stage: int, edit: Edit, cut: Cut) -> State:
    """The state after a stage of a model that can be cut."""
    after: State = model.advance(state, stage, edit, cut)  # type: ignore[call-arg]
    return after


def read_out(
    model: CircuitModel, state: State, positions: Int[Tensor, "batch asked"] | None, cut: Cut
) -> Float[Tensor, "batch asked vocab"]:
    """Logits of a model that can be cut."""
    return model.read_out(state, positions, cut)  # type: ignore[call-arg]
