"""Thins a circuit out, exchanges elements while that makes it smaller, and certifies that nothing can be removed alone.

What is certified is *1-minimal*: every element is needed by the others. That is a local property. It depends on the
order in which removals are tried, and it does not make the circuit the smallest one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.discovery.spending import BudgetSpentError

SHARES = (1.0, 7 / 8, 3 / 4, 5 / 8, 1 / 2, 3 / 8, 1 / 4, 3 / 16, 1 / 8, 1 / 16, 1 / 32)
"""Shares of the elements that are removed at once, the largest that keeps the criterion being accepted."""

SPLIT = 4
"""Into how many groups a set is split first, and each group after that."""

AT_ONCE = 16
"""Groups judged together; as many of the harmless ones as possible are removed before the next groups are judged."""

Judge = Callable[[Tensor, Tensor], Tensor]
"""By how much each candidate misses the criterion, from a base and the candidates."""

Degrees = Callable[[Tensor], Tensor]
"""How many edges each element has with the others of a set; elements outside it as if they were in it."""


def no_edges(kept: Bool[Tensor, " element"]) -> Int[Tensor, " element"]:
    """Degrees of elements that have no edges, so that only their number counts."""
    return torch.zeros(len(kept), dtype=torch.int64)


@runtime_checkable
class Trials(Protocol):
    """What decides whether a set of elements (nodes, or edges) meets a criterion."""

    def excess(
        self, base: Bool[Tensor, " element"], candidates: Bool[Tensor, "candidate element"]
    ) -> Float[Tensor, " candidate"]:
        """By how much each candidate misses the criterion; where it misses, a lower bound above 0.

        Args:
            base: A set from which the candidates differ by little.
            candidates: The sets.
        """
        ...

    def screen(
        self, base: Bool[Tensor, " element"], candidates: Bool[Tensor, "candidate element"]
    ) -> Float[Tensor, " candidate"]:
        """A cheap estimate of what `excess` gives."""
        ...

    def effects(self, kept: Bool[Tensor, " element"]) -> Float[Tensor, " element"]:
        """First-order estimate of how the loss changes if each element is kept instead of ablated."""
        ...


@dataclass(frozen=True, eq=False)
class Shrunk:
    """What is left of a set of elements."""

    kept: Bool[Tensor, " element"]
    """A subset that meets the criterion."""
    minimal: bool
    """Whether every element was tried and none can be removed alone; if not, the budget was spent before."""


def thin(trials: Trials, kept: Bool[Tensor, " element"]) -> Bool[Tensor, " element"]:
    """Remove most of the elements that can go, with few trials.

    1. Order the kept elements by the first-order effect of removing them and remove the largest share, least harmful
       first, that keeps the criterion; repeat while more than one goes.
    2. Split that order into groups and go through them once, a few at a time: screen the removal of each, and of those
       that seem to be harmless remove as many together as keep the criterion. The same with smaller groups, down to
       single elements.

    Args:
        trials: Tries sets of elements.
        kept: A set that meets the criterion.

    Returns:
        A subset that meets the criterion.
    """
    try:
        while True:
            smaller = _without_most(trials, kept, _by_effect(trials, kept).split(1))
            removed = int(kept.sum() - smaller.sum())
            kept = smaller
            if removed <= 1:
                break
        size = int(kept.sum())
        while size > 1:
            size = max(1, size // SPLIT)
            groups = _by_effect(trials, kept).split(size)
            for start in range(0, len(groups), AT_ONCE):
                harmless = _harmless(kept, groups[start : start + AT_ONCE], trials.screen)
                kept = _without_most(trials, kept, harmless)
    except BudgetSpentError:
        pass
    return kept


def _by_effect(trials: Trials, kept: Bool[Tensor, " element"]) -> Int[Tensor, " kept"]:
    """The kept elements, those first whose removal harms least by its first-order effect."""
    elements = kept.nonzero().flatten()
    return elements[trials.effects(kept)[kept].argsort(descending=True, stable=True)]


def certify(trials: Trials, kept: Bool[Tensor, " element"]) -> Shrunk:
    """Try every element alone and remove those that can go, until no element that is left can.

    Elements are tried a few at a time, the least harmful by their first-order effect first. Those that were needed by a
    larger set are tried again once something has been removed.

    Args:
        trials: Tries sets of elements.
        kept: A set that meets the criterion.
    """
    try:
        waiting, needed = list(_by_effect(trials, kept).split(1)), list[Tensor]()
        while waiting:
            tried, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
            harmless = _harmless(kept, tried, trials.excess)
            if harmless:
                kept = _without_most(trials, without_each(kept, harmless[:1])[0], harmless[1:])
                waiting, needed = [each for each in (*waiting, *needed, *tried) if kept[each]], []
            else:
                needed += tried
    except BudgetSpentError:
        return Shrunk(kept, minimal=False)
    return Shrunk(kept, minimal=True)


def removable(trials: Trials, kept: Bool[Tensor, " element"]) -> Int[Tensor, " removable"]:
    """The elements that can be removed alone, the least harmful first; none if the set is 1-minimal."""
    alone = _harmless(kept, kept.nonzero().flatten().split(1), trials.excess)
    return torch.cat(alone) if alone else kept.new_zeros(0, dtype=torch.int64)


def _harmless(kept: Bool[Tensor, " element"], groups: Sequence[Tensor], judged: Judge) -> list[Tensor]:
    """The groups that can each be removed, as some function judges it, the least harmful first."""
    groups = [group for group in groups if len(group)]
    if not groups:
        return []
    excess = judged(kept, without_each(kept, groups))
    order = excess.argsort(stable=True)
    return [groups[number] for number in order[excess[order] <= 0].tolist()]


def without_each(kept: Bool[Tensor, " element"], groups: Sequence[Tensor]) -> Bool[Tensor, "candidate element"]:
    """For each group of elements the set without them."""
    candidates = kept.repeat(len(groups), 1)
    for candidate, group in zip(candidates, groups, strict=True):
        candidate[group] = False
    return candidates


def _without_most(trials: Trials, kept: Bool[Tensor, " element"], groups: Sequence[Tensor]) -> Bool[Tensor, " element"]:
    """The set without as many groups as possible, the first ones first, among some numbers of them."""
    groups = [group for group in groups if len(group)]
    counts = sorted({max(1, int(share * len(groups))) for share in SHARES}, reverse=True) if groups else []
    if not counts:
        return kept
    candidates = without_each(kept, [torch.cat(groups[:count]) for count in counts])
    holds = (trials.excess(kept, candidates) <= 0).nonzero().flatten()
    return candidates[holds[0]] if len(holds) else kept


def exchange(
    trials: Trials, kept: Bool[Tensor, " element"], tries: int, degrees: Degrees = no_edges
) -> Bool[Tensor, " element"]:
    """Bring in one element and take out others, for as long as that helps and the budget lasts.

    It helps if two or more can go, or if the one that goes has more edges than the one that came.

    Args:
        trials: Tries sets of elements.
        kept: A set that meets the criterion.
        tries: How many elements to bring in, those first whose first-order effect lowers the loss most.
        degrees: Number of edges that each element has with the others of a set.
    """
    try:
        outside = trials.effects(kept).masked_fill(kept, torch.inf).argsort(stable=True)
        for element in outside[: min(tries, int((~kept).sum()))].tolist():
            better = _exchanged(trials, kept, element, degrees)
            if better is not None:
                return exchange(trials, thin(trials, better), tries, degrees)
    except BudgetSpentError:
        pass
    return kept


def _exchanged(
    trials: Trials, kept: Bool[Tensor, " element"], element: int, degrees: Degrees
) -> Bool[Tensor, " element"] | None:
    """The set with an element brought in and others taken out; `None` if it has no fewer elements and edges."""
    wider = kept.clone()
    wider[element] = True
    spared = _harmless(wider, kept.nonzero().flatten().split(1), trials.screen)
    smaller = _without_most(trials, wider, spared)
    if smaller.sum() < kept.sum():
        return smaller
    edges = degrees(wider)
    busier = [each for each in spared if edges[each] > edges[element]]
    if not busier:
        return None
    candidates = without_each(wider, busier)
    holds = (trials.excess(wider, candidates) <= 0).nonzero().flatten().tolist()
    return candidates[max(holds, key=lambda number: int(edges[busier[number]]))] if holds else None
