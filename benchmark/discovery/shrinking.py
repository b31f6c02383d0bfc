"""Shrinks a circuit until nothing can be removed from it alone, then exchanges elements while that makes it smaller.

What is left is *1-minimal*: every element is needed by the others. That is a local property. It depends on the order
in which removals are tried, and it does not make the circuit the smallest one.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmark.discovery.spending import BudgetSpentError

SHARES = (1.0, 7 / 8, 3 / 4, 5 / 8, 1 / 2, 3 / 8, 1 / 4, 3 / 16, 1 / 8, 1 / 16, 1 / 32)
"""Shares of the elements that are removed at once, the largest that keeps the criterion being accepted."""


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


def shrink(trials: Trials, kept: Bool[Tensor, " element"]) -> Shrunk:
    """Remove elements until none can be removed alone, or the budget is spent.

    1. Order the kept elements by the first-order effect of removing them and remove the largest share, least harmful
       first, that keeps the criterion; repeat while more than one goes.
    2. Try every element alone. Remove those that can go, least harmful first, as many together as can go; repeat until
       none can.

    Args:
        trials: Tries sets of elements.
        kept: A set that meets the criterion.
    """
    kept = kept.clone()
    try:
        while True:
            elements = kept.nonzero().flatten()
            order = elements[trials.effects(kept)[kept].argsort(descending=True, stable=True)]
            smaller = _without_most(trials, kept, order)
            if int(kept.sum() - smaller.sum()) <= 1:
                break
            kept = smaller
        while len(alone := removable(trials, kept)):
            kept = _without_most(trials, without_each(kept, alone[:1])[0], alone[1:])
    except BudgetSpentError:
        return Shrunk(kept, minimal=False)
    return Shrunk(kept, minimal=True)


def removable(trials: Trials, kept: Bool[Tensor, " element"]) -> Tensor:
    """The elements that can be removed alone, the least harmful first; none if the set is 1-minimal."""
    elements = kept.nonzero().flatten()
    excess = trials.excess(kept, without_each(kept, elements))
    order = excess.argsort(stable=True)
    return elements[order[excess[order] <= 0]]


def without_each(kept: Bool[Tensor, " element"], elements: Tensor) -> Bool[Tensor, "candidate element"]:
    """For each of some elements the set without it."""
    candidates = kept.repeat(len(elements), 1)
    candidates[torch.arange(len(elements)), elements] = False
    return candidates


def _without_most(trials: Trials, kept: Bool[Tensor, " element"], order: Tensor) -> Bool[Tensor, " element"]:
    """The set without the longest prefix of an order, among some lengths, with which the criterion still holds."""
    counts = sorted({max(1, int(share * len(order))) for share in SHARES}, reverse=True) if len(order) else []
    if not counts:
        return kept
    candidates = kept.repeat(len(counts), 1)
    for candidate, count in zip(candidates, counts, strict=True):
        candidate[order[:count]] = False
    holds = (trials.excess(kept, candidates) <= 0).nonzero().flatten()
    return candidates[holds[0]] if len(holds) else kept


def exchange(trials: Trials, found: Shrunk, tries: int) -> Shrunk:
    """Bring in one element and take out two or more, for as long as that makes the set smaller and the budget lasts.

    Args:
        trials: Tries sets of elements.
        found: A 1-minimal set.
        tries: How many elements to bring in, those first whose first-order effect lowers the loss most.
    """
    kept = found.kept
    try:
        outside = trials.effects(kept).masked_fill(kept, torch.inf).argsort(stable=True)
        for element in outside[: min(tries, int((~kept).sum()))].tolist():
            wider = kept.clone()
            wider[element] = True
            alone = removable(trials, wider)
            smaller = _without_most(trials, wider, alone[alone != element])
            if smaller.sum() < kept.sum():
                return exchange(trials, shrink(trials, smaller), tries)
    except BudgetSpentError:
        pass
    return found
