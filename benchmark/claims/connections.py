"""Are connections between units dense? The share of pairs that carries what the targets read, next to a null."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark import metrics
from benchmark.claims.activity import Activity
from benchmark.model.graph import TERMINALS
from benchmark.model.interface import CircuitModel, Connection, Kind
from benchmark.statistics.intervals import none_for_nan


@dataclass(frozen=True)
class Density:
    """Share of node pairs needed to carry 95 % of each target's attribution; `None` without pairs.

    Attributes:
        every: Over all pairs whose ends both fire somewhere.
        every_null: The same with the sources' weights permuted among them.
        coactive: Over the pairs that fire together at some position.
        coactive_null: The same with the sources' weights permuted among them.
        pairs: Number of all pairs.
        coactive_pairs: Number of pairs that fire together.
    """

    every: float | None
    every_null: float | None
    coactive: float | None
    coactive_null: float | None
    pairs: int
    coactive_pairs: int


class _Reads(NamedTuple):
    """Attributions to the live nodes of a site from those of all its sources, side by side, and which pairs co-fire."""

    real: Float[Tensor, "target source"]
    null: Float[Tensor, "target source"]
    coactive: Float[Tensor, "target source"]


def drawn_connections(model: CircuitModel) -> list[Connection]:
    """The connections of the unit graph that have weights, between units on both sides."""
    return [
        each
        for each in model.connections("unit")
        if each.weight is not None and each.source not in TERMINALS and each.target not in TERMINALS
    ]


def orders(
    connections: Iterable[Connection], activity: Activity, generator: torch.Generator
) -> dict[str, Int[Tensor, " _"]]:
    """For each source site, a permutation of only the nodes that fire; the weights of dead nodes are arbitrary."""
    found: dict[str, Tensor] = {}
    for source in dict.fromkeys(each.source for each in connections):
        live = activity.fires[source].nonzero().flatten()
        found[source] = torch.arange(len(activity.fires[source]))
        found[source][live] = live[torch.randperm(len(live), generator=generator)]
    return found


def density(
    connections: Sequence[Connection], activity: Activity, permuted: Mapping[str, Int[Tensor, " _"]]
) -> Density:
    """The density of some connections.

    The attribution of a pair is the mean of |W (source - its mean)| over the positions at which the target fires,
    before the target's nonlinearity. As |W| does not depend on the position, it is |W| times a mean that one matrix
    product gives for all pairs of a connection. For each target all sources compete, whatever their site.

    Deviation: the output of a value channel is weighted by the attention pattern; here its own value at the position is
    used instead. The null takes the nodes of each source site in `permuted` order.
    """
    targets = dict.fromkeys(each.target for each in connections)
    reads = [_reads([each for each in connections if each.target == name], activity, permuted) for name in targets]
    rows = [(each, *row) for each in reads for row in enumerate(each.coactive.bool())]
    return Density(
        none_for_nan(metrics.connection_density([each.real for each in reads])),
        none_for_nan(metrics.connection_density([each.null for each in reads])),
        none_for_nan(metrics.connection_density([each.real[target, mask][None] for each, target, mask in rows])),
        none_for_nan(metrics.connection_density([each.null[target, mask][None] for each, target, mask in rows])),
        pairs=sum(each.real.numel() for each in reads),
        coactive_pairs=sum(int(each.coactive.count_nonzero()) for each in reads),
    )


def density_by_kinds(
    model: CircuitModel,
    connections: Sequence[Connection],
    activity: Activity,
    permuted: Mapping[str, Int[Tensor, " _"]],
) -> dict[str, Density]:
    """The density of the connections between each two kinds of node: `feature to feature` and so on."""
    kinds = {site.name: site.kind for site in model.sites}
    groups: dict[tuple[Kind, Kind], list[Connection]] = {}
    for each in connections:
        groups.setdefault((kinds[each.source], kinds[each.target]), []).append(each)
    return {f"{source} to {target}": density(group, activity, permuted) for (source, target), group in groups.items()}


def _reads(connections: Sequence[Connection], activity: Activity, permuted: Mapping[str, Int[Tensor, " _"]]) -> _Reads:
    """The attributions of connections that share their target site."""
    parts = []
    for each in connections:
        assert each.weight is not None, (each.source, each.target)
        fires = activity.fires[each.target]
        target, source = (activity.fires[name] > 0 for name in (each.target, each.source))
        apart = activity.deviation[each.source, each.target] / fires.clamp(min=1)[:, None]
        weight = each.weight.detach().float().cpu().abs()
        null = weight[:, permuted[each.source]] * apart
        matrices = (weight * apart, null, activity.together[each.source, each.target])
        parts.append([matrix[target][:, source] for matrix in matrices])
    return _Reads(*(torch.cat(matrices, dim=1) for matrices in zip(*parts, strict=True)))
