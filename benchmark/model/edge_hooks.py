"""Hooks for single edges: what flows into a target along ablated edges is replaced by its mean.

A model hands each target's sources to its `EdgeHooks` just before the target's nonlinearity, top-k or edit, and
registers what units write to the residual stream. This costs nothing when no edge is ablated.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.model.interface import EdgeAblation, Sources, State

WROTE = "wrote "
"""Prefix of the state keys that hold what each site has written to the stream."""


def norm_scale(
    residual: Float[Tensor, "batch position d_model"], eps: float | None = None, centred: bool = False
) -> Float[Tensor, "batch position 1"]:
    """The factor by which an RMS norm, or with `centred` a layer norm, scales the stream, without its gain.

    `eps` defaults as in `F.rms_norm`, which computes narrower number types than float32 in float32.
    """
    stream = residual if residual.dtype == torch.float64 else residual.float()
    stream = stream - stream.mean(-1, keepdim=True) if centred else stream
    added = torch.finfo(stream.dtype).eps if eps is None else eps
    return torch.rsqrt(stream.square().mean(-1, keepdim=True) + added).to(residual.dtype)


class EdgeHooks:
    """What a model passes to an edge ablation while it runs.

    Args:
        ablation: The ablated edges; `None` for none.
        state: Holds what units have written to the stream so far.
        scale: The factor of the norm through which targets read the stream; `None` where they read it as it is.
    """

    def __init__(
        self,
        ablation: EdgeAblation | None = None,
        state: State | None = None,
        scale: Callable[[Tensor], Tensor | None] = norm_scale,
    ) -> None:
        self.ablation = ablation
        self._scale = scale
        kept = {} if ablation is None or state is None else state
        self.written = {name.removeprefix(WROTE): values for name, values in kept.items() if name.startswith(WROTE)}

    def into(
        self,
        target: str,
        values: Float[Tensor, "batch position target"],
        direct: Sources | None = None,
        residual: Float[Tensor, "batch position d_model"] | None = None,
    ) -> Float[Tensor, "batch position target"]:
        """A target's input with what its ablated edges carry replaced by their means.

        Args:
            target: Name of the target's site, or of the read whose input it is.
            values: The input, before nonlinearity, top-k and edit.
            direct: Sources connected to it by a weight matrix.
            residual: The residual stream, if the target reads it.
        """
        if self.ablation is None:
            return values
        stream = {} if residual is None else self.written
        scale = None if residual is None else self._scale(residual)
        missing = self.ablation(target, direct or {}, stream, scale)
        return values if missing is None else values - missing

    def wrote(self, source: str, values: Float[Tensor, "batch position source"]) -> None:
        """Register what a site's nodes, or those of one of its writes, add to the stream."""
        if self.ablation is not None:
            self.written[source] = values

    def state(self) -> State:
        """The entries that the model's state has to carry forward."""
        return {f"{WROTE}{name}": values for name, values in self.written.items()}


NO_EDGES_ABLATED = EdgeHooks()
"""Ablates no edge."""
