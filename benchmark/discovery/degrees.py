"""How many edges each node has: of two circuits of equally many nodes, the one with fewer edges is smaller."""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from benchmark.model.circuit import by_site
from benchmark.model.graph import TERMINALS
from benchmark.model.interface import Connection, Site


def degrees(
    sites: Iterable[Site], connections: Iterable[Connection], kept: Bool[Tensor, " node"]
) -> Int[Tensor, " node"]:
    """Number of edges between each node, whether it is kept or not, and the kept nodes.

    Args:
        sites: The sites of the graph, whose nodes are laid out in one row.
        connections: The connections between them.
        kept: The nodes of a circuit; the ends of the unit graph are always kept.
    """
    masks = by_site(sites, kept) | {name: torch.ones(1, dtype=torch.bool) for name in TERMINALS}
    found = {name: torch.zeros(len(mask), dtype=torch.int64) for name, mask in masks.items()}
    for each in connections:
        targets, sources = masks[each.target], masks[each.source]
        weight = torch.ones(len(targets), len(sources)) if each.weight is None else each.weight
        found[each.target] += (weight[:, sources] != 0).sum(1).cpu()
        found[each.source] += (weight[targets] != 0).sum(0).cpu()
    return torch.cat([found[name] for name in masks if name not in TERMINALS])
