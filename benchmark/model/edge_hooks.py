"""Hooks for single edges: what flows into a target along ablated edges is replaced by its mean.

A model hands each target's sources to its `EdgeHooks` just before the target's nonlinearity, top-k or edit, and tells
them what units write to the stream. Where no edge is ablated, that costs nothing.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.model.interface import EdgeAblation, Sources, State

WROTE = "wrote "
"""Before the name of a site, the key of a state under which its writes to the stream are kept."""


class EdgeHooks:
    """What a model tells an edge ablation while it runs.

    Args:
        ablation: Which edges are ablated; `None` for none.
        state: Holds what units have written so far.
        eps: Of the model's RMS norms; `None` for that of `torch.nn.RMSNorm`.
    """

    def __init__(
        self, ablation: EdgeAblation | None = None, state: State | None = None, eps: float | None = None
    ) -> None:
        self.ablation = ablation
        self._eps = eps
        kept = {} if ablation is None or state is None else state
        self.written = {name.removeprefix(WROTE): values for name, values in kept.items() if name.startswith(WROTE)}

    def into(
        self,
        target: str,
        values: Float[Tensor, "batch position target"],
        direct: Sources | None = None,
        residual: Float[Tensor, "batch position d_model"] | None = None,
    ) -> Float[Tensor, "batch position target"]:
        """A target's input without what its ablated edges bring.

        Args:
            target: Name of its site.
            values: Its input, before nonlinearity, top-k and edit.
            direct: Sources joined to it by a weight matrix.
            residual: The stream that it reads, if it reads it.
        """
        if self.ablation is None:
            return values
        stream = {} if residual is None else self.written
        scale = None if residual is None else norm_scale(residual, self._eps)
        missing = self.ablation(target, direct or {}, stream, scale)
        return values if missing is None else values - missing

    def wrote(self, source: str, values: Float[Tensor, "batch position source"]) -> None:
        """A site's nodes are added to the stream."""
        if self.ablation is not None:
            self.written[source] = values

    def state(self) -> State:
        """What the state has to carry on."""
        return {f"{WROTE}{name}": values for name, values in self.written.items()}


NO_EDGES_ABLATED = EdgeHooks()
"""No edge is ablated."""


def norm_scale(
    residual: Float[Tensor, "batch position d_model"], eps: float | None = None
) -> Float[Tensor, "batch position 1"]:
    """By which an RMS norm multiplies the stream, its gain apart; without `eps` that of `torch.nn.RMSNorm`."""
    added = torch.finfo(residual.dtype).eps if eps is None else eps
    return torch.rsqrt(residual.square().mean(-1, keepdim=True) + added)
