"""Tries subsets of a circuit's edges, many at once: every other edge between kept nodes carries its source's mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from benchmark.discovery.candidates import BatchedTrials
from benchmark.interventions.ablation import Means, ablate
from benchmark.interventions.edge_ablation import KeptConnection
from benchmark.model.circuit import Circuit
from benchmark.model.graph import EMBEDDING, LOGITS
from benchmark.model.interface import EdgeAblation, Sources, stage_count
from benchmark.tasks.answers import answer_logits, prompt_losses


@dataclass(frozen=True, eq=False)
class ManyEdgeAblations:
    """Several edge ablations of one circuit, each on its own part of a batch: a `model.interface.EdgeAblation`.

    Attributes:
        joined: The connections between kept nodes.
        kept: By connection, 1 for each edge that is kept and 0 for each that is ablated.
        means: What a source brings on average.
    """

    joined: Sequence[KeptConnection]
    kept: Sequence[Float[Tensor, "candidate _target _source"]]
    means: Means

    def __call__(self, target: str, direct: Sources, stream: Sources, scale: Tensor | None) -> Tensor | None:
        """What the ablated edges into a target bring beyond their means."""
        total: Tensor | None = None
        for each, kept in zip(self.joined, self.kept, strict=True):
            for (source, into), weights in each.connection.maps.items():
                if into == target and (source in direct or source in stream):
                    values = direct[source] if source in direct else stream[source]
                    away = (values - self.means[source].to(values)).view(len(kept), -1, values.shape[-1])
                    brought = _brought(each, weights, (1 - kept).to(values), away).view(*values.shape[:-1], -1)
                    brought = brought if source in direct or scale is None else brought * scale
                    total = brought if total is None else total + brought
        return total

    def opaque(self, target: str, source: str) -> Tensor | None:
        """1 for each ablated edge through an opaque block; for a single ablation only."""
        for each, kept in zip(self.joined, self.kept, strict=True):
            if each.pair == (source, target) and each.connection.weight is None and not kept.all():
                assert len(kept) == 1, "models run opaque blocks for one ablation at a time"
                return each.spread(1 - kept[0])
        return None

    def mean(self, source: str) -> Tensor:
        """The mean that the ablated edges of a source carry."""
        return self.means[source]


def _brought(
    each: KeptConnection,
    weights: Float[Tensor, "_ _"],
    ablated: Float[Tensor, "candidate target source"],
    away: Float[Tensor, "candidate row _"],
) -> Float[Tensor, "candidate row _all_targets"]:
    """What ablated edges of one connection bring, by one of its maps, to all nodes of its target."""
    if each.connection.target == LOGITS:
        return (away[..., each.sources] * ablated) @ weights[:, each.sources].T
    if each.connection.source == EMBEDDING:
        brought = (away @ weights[each.targets].T) * ablated.mT
    else:
        brought = away[..., each.sources] @ (ablated * weights[each.targets][:, each.sources]).mT
    whole = brought.new_zeros(*brought.shape[:-1], each.shape[0])
    return whole.index_copy(-1, each.targets.to(whole.device), brought)


@dataclass(frozen=True, eq=False, kw_only=True)
class EdgeTrials(BatchedTrials):
    """Tries subsets of the edges between the kept nodes of one circuit.

    Attributes:
        circuit: Its kept nodes.
        joined: The connections between them; elements are their pairs of nodes, connection by connection.
        means: What a source brings on average.
        importance: Takes the place of first-order effects, which edges through opaque blocks do not have.
    """

    circuit: Circuit
    joined: Sequence[KeptConnection]
    means: Means
    importance: Float[Tensor, " edge"] | None = None

    @cached_property
    def stage(self) -> Int[Tensor, " edge"]:
        """The stage of each edge's target; the number of stages for edges into the logits."""
        stages = {site.name: site.stage for site in self.model.sites}
        stages[LOGITS] = stage_count(self.model)
        return torch.cat([torch.full((edges,), stages[each.connection.target]) for each, edges in self._counts()])

    @property
    def together(self) -> int | None:
        """One candidate at a time if the circuit has edges through opaque blocks; else as many as fit."""
        return 1 if any(each.connection.weight is None for each in self.joined) else None

    def interventions(
        self, candidates: Bool[Tensor, "candidate edge"]
    ) -> tuple[Mapping[str, Bool[Tensor, "_ _node"]], EdgeAblation | None]:
        """The nodes of the circuit, and the edges that each candidate leaves out."""
        return {name: mask[None] for name, mask in self.circuit.masks.items()}, self.ablation(candidates.float())

    def effects(self, kept: Shaped[Tensor, " edge"]) -> Float[Tensor, " edge"]:
        """First-order estimate of how the mean loss changes if each edge is kept instead of ablated, nats.

        Edge attribution patching (Syed et al. 2023, arXiv 2310.10348), at the circuit itself.
        """
        if self.importance is not None:
            return -self.importance
        self.spending.spend(self.batch.tokens.numel())
        mask = kept.float().requires_grad_()
        with torch.enable_grad():
            edit, ablated = ablate(self.circuit, self.values), self.ablation(mask[None])
            logits = answer_logits(self.model, self.batch, edit, ablated, self.alone_from)
            loss = prompt_losses(logits, self.batch).mean()
            return torch.autograd.grad(loss, mask)[0]

    def ablation(self, kept: Float[Tensor, "candidate edge"]) -> ManyEdgeAblations:
        """The ablation of all but the kept edges of each candidate."""
        parts = kept.split([edges for _, edges in self._counts()], dim=1)
        matrices = [part.view(len(kept), len(each.targets), -1) for each, part in zip(self.joined, parts, strict=True)]
        return ManyEdgeAblations(self.joined, matrices, self.means)

    def _counts(self) -> list[tuple[KeptConnection, int]]:
        """Number of pairs of each connection."""
        return [(each, len(each.targets) * len(each.sources)) for each in self.joined]
