"""How often nodes fire and which fire together, summed over corpus windows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.interventions.ablation import Means
from benchmark.model.interface import CircuitModel, record

Ends = tuple[str, str]
"""The source and the target site of a connection."""


@dataclass(frozen=True, eq=False)
class Activity:
    """Node activity at the positions of some windows; a node *fires* where it is not zero.

    Attributes:
        positions: Number of positions.
        fires: By site, `[node]`, number of positions at which each node fires.
        together: By pair of sites, `[target, source]`, number of positions at which both fire.
        deviation: By pair of sites, `[target, source]`, sum of |source - its mean| over the positions at which the
            target fires.
    """

    positions: int
    fires: Mapping[str, Float[Tensor, " _"]]
    together: Mapping[Ends, Float[Tensor, "_ _"]]
    deviation: Mapping[Ends, Float[Tensor, "_ _"]]


@torch.no_grad()
def activity(
    model: CircuitModel,
    means: Means,
    tokens: Int[Tensor, "window position"],
    pairs: Iterable[Ends],
    batch: int = 16,
) -> Activity:
    """Run an unedited model and sum the activity of all its nodes, and of the node pairs of some pairs of sites."""
    sizes = {site.name: site.size for site in model.sites}
    wanted = list(dict.fromkeys(pairs))
    fires = {name: torch.zeros(size) for name, size in sizes.items()}
    together = {pair: torch.zeros(sizes[pair[1]], sizes[pair[0]]) for pair in wanted}
    deviation = {pair: torch.zeros(sizes[pair[1]], sizes[pair[0]]) for pair in wanted}
    for rows in tokens.split(batch):
        values = {name: found.flatten(0, 1).float() for name, found in record(model, rows).items()}  # [token, node]
        active = {name: (found != 0).float() for name, found in values.items()}
        apart = {name: (values[name] - means[name].to(values[name])).abs() for name in {source for source, _ in wanted}}
        for name, found in active.items():
            fires[name] += found.sum(0).cpu()
        for source, target in wanted:
            together[source, target] += (active[target].T @ active[source]).cpu()
            deviation[source, target] += (active[target].T @ apart[source]).cpu()
    return Activity(tokens.numel(), fires, together, deviation)
