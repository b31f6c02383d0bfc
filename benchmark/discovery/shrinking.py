"""Thins a circuit out, exchanges elements while that makes it smaller, and certifies that nothing can be removed alone.

What is certified is *1-minimal*: every element is needed by the others. That is a local property. It depends on the
order in which removals are tried, and it does not make the circuit the smallest one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
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
    2. Screen the removal of every element alone. Of those that seem to be harmless remove as many together as keep the
       criterion; repeat until none goes.

    Args:
        trials: Tries sets of elements.
        kept: A set that meets the criterion.

    Returns:
        A subset that meets the criterion.
    """
    try:
        while True:
            elements = kept.nonzero().flatten()
            order = elements[trials.effects(kept)[kept].argsort(descending=True, stable=True)]
            smaller = _without_most(trials, kept, order)
            removed = int(kept.sum() - smaller.sum())
            kept = smaller
            if removed <= 1:
                break
        while True:
            smaller = _without_most(trials, kept, _harmless(kept, trials.screen))
            if smaller.equal(kept):
                break
            kept = smaller
    except BudgetSpentError:
        pass
    return kept


def certify(trials: Trials, kept: Bool[Tensor, " element"]) -> Shrunk:
    """Try every element alone and remove those that can go, as many together as can; repeat until none can.

    Args:
        trials: Tries sets of elements.
        kept: A set that meets the criterion.
    """
    try:
        while len(alone := removable(trials, kept)):
            kept = _without_most(trials, without_each(kept, alone[:1])[0], alone[1:])
    except BudgetSpentError:
        return Shrunk(kept, minimal=False)
    return Shrunk(kept, minimal=True)


def removable(trials: Trials, kept: Bool[Tensor, " element"]) -> Int[Tensor, " removable"]:
    """The elements that can be removed alone, the least harmful first; none if the set is 1-minimal."""
    return _harmless(kept, trials.excess)


def _harmless(
    kept: Bool[Tensor, " element"], judged: Callable[[Tensor, Tensor], Float[Tensor, " candidate"]]
) -> Int[Tensor, " removable"]:
    """The elements that can be removed alone as some function judges it, the least harmful first."""
    elements = kept.nonzero().flatten()
    excess = judged(kept, without_each(kept, elements))
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


def exchange(trials: Trials, kept: Bool[Tensor, " element"], tries: int) -> Bool[Tensor, " element"]:
    """Bring in one element and take out two or more, for as long as that makes the set smaller and the budget lasts.

    Args:
        trials: Tries sets of elements.
        kept: A set that meets the criterion.
        tries: How many elements to bring in, those first whose first-order effect lowers the loss most.
    """
    try:
        outside = trials.effects(kept).masked_fill(kept, torch.inf).argsort(stable=True)
        for element in outside[: min(tries, int((~kept).sum()))].tolist():
            wider = kept.clone()
            wider[element] = True
            alone = _harmless(wider, trials.screen)
            smaller = _without_most(trials, wider, alone[alone != element])
            if smaller.sum() < kept.sum():
                return exchange(trials, thin(trials, smaller), tries)
    except BudgetSpentError:
        pass
    return kept
