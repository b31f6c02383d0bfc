"""Ranks nodes by a local search that removes random nodes from the whole model.

It uses neither a mask nor a gradient, so it shares no proposal with the other rankings: what they all miss is not taken
for the smallest circuit. It is slow, and meant for long searches (`bench regret`).
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from benchmark.discovery.candidates import NodeTrials
from benchmark.discovery.search import Budget, Search
from benchmark.discovery.shrinking import without_each
from benchmark.discovery.spending import BudgetSpentError

TRIES = 8
"""Random sets of nodes whose removal is tried at once."""

LARGEST_SHARE = 0.5
"""Largest share of the kept nodes that is removed at once."""

RETURNED_SHARE = 0.25
"""Share of the smallest circuit's size that is put back at random before nodes are removed again."""


def removal_orders(search: Search, budget: Budget, generator: torch.Generator) -> list[Int[Tensor, " node"]]:
    """One order: the nodes of the smallest circuit found, then all others, both at random."""
    trials = search.trials(budget.tokens)
    smallest = torch.ones(search.size, dtype=torch.bool)
    try:
        for kept in _descents(trials, smallest, generator):
            smallest = min(smallest, kept, key=lambda each: int(each.sum()))
    except BudgetSpentError:
        pass
    order = torch.randperm(search.size, generator=generator)
    return [torch.cat([order[smallest[order]], order[~smallest[order]]])]


def _descents(
    trials: NodeTrials, whole: Bool[Tensor, " node"], generator: torch.Generator
) -> Iterator[Bool[Tensor, " node"]]:
    """Ever smaller circuits, starting again from the smallest with a few other nodes, without end.

    If not even the whole model meets the criterion there are none.
    """
    if float(trials.excess(whole, whole[None])[0]) > 0:
        return
    smallest = start = whole
    while True:
        for kept in _descent(trials, start, generator):
            yield kept
            smallest = min(smallest, kept, key=lambda each: int(each.sum()))
        outside = (~smallest).nonzero().flatten()
        drawn = torch.randperm(len(outside), generator=generator)[: max(2, int(RETURNED_SHARE * int(smallest.sum())))]
        start = smallest.clone()
        start[outside[drawn]] = True


def _descent(
    trials: NodeTrials, kept: Bool[Tensor, " node"], generator: torch.Generator
) -> Iterator[Bool[Tensor, " node"]]:
    """Ever smaller circuits, until no node can be removed alone."""
    share = LARGEST_SHARE
    while bool(kept.any()):
        elements = kept.nonzero().flatten()
        count = int(share * len(elements))
        if count > 1:
            candidates = kept.repeat(TRIES, 1)
            for candidate in candidates:
                candidate[elements[torch.randperm(len(elements), generator=generator)[:count]]] = False
        else:
            drawn = elements[torch.randperm(len(elements), generator=generator)]
            candidates = without_each(kept, drawn.split(1))
        holds = (trials.excess(kept, candidates) <= 0).nonzero().flatten()
        if len(holds):
            kept = candidates[holds[0]]
            yield kept
            share = min(LARGEST_SHARE, 2 * share)
        elif count > 1:
            share /= 2
        else:
            return
