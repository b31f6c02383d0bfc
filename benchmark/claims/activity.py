"""How often nodes fire and with which others, summed over corpus windows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.interventions.ablation import Means
from benchmark.model.interface import CircuitModel, record

Pair = tuple[str, str]
"""The source and the target of a connection."""


@dataclass(frozen=True, eq=False)
class Activity:
    """What nodes did at the positions of some windows; a node *fires* where it is not zero.

    Attributes:
        positions: Number of positions.
        fires: By site, `[node]`, positions at which each fires.
        together: By pair of sites, `[target, source]`, positions at which both fire.
        deviation: By pair of sites, `[target, source]`, sum over the positions at which the target fires of how far the
            source is from its mean.
    """

    positions: int
    fires: Mapping[str, Float[Tensor, " _"]]
    together: Mapping[Pair, Float[Tensor, "_ _"]]
    deviation: Mapping[Pair, Float[Tensor, "_ _"]]


@torch.no_grad()
def activity(
    model: CircuitModel,
    means: Means,
    tokens: Int[Tensor, "window position"],
    pairs: Iterable[Pair],
    batch: int = 16,
) -> Activity:
    """Run a model with nothing edited and sum up what its nodes do, and those of some pairs of sites together."""
    sizes = {site.name: site.size for site in model.sites}
    wanted = list(dict.fromkeys(pairs))
    fires = {name: torch.zeros(size) for name, size in sizes.items()}
    together = {pair: torch.zeros(sizes[pair[1]], sizes[pair[0]]) for pair in wanted}
    deviation = {pair: torch.zeros(sizes[pair[1]], sizes[pair[0]]) for pair in wanted}
    for rows in tokens.split(batch):
        values = {name: found.flatten(0, 1) for name, found in record(model, rows).items()}  # [batch * position, node]
        active = {name: (found != 0).float() for name, found in values.items()}
        apart = {name: (values[name] - means[name]).abs() for name in {source for source, _ in wanted}}
        for name, found in active.items():
            fires[name] += found.sum(0)
        for source, target in wanted:
            together[source, target] += active[target].T @ active[source]
            deviation[source, target] += active[target].T @ apart[source]
    return Activity(tokens.numel(), fires, together, deviation)
