"""Deletion smoothing: keeps the nodes that a search finds again whichever of the prompts it is given.

Certified Circuits (Anani et al. 2026, arXiv 2602.22968) wraps any search: it is run many times, each time without a
random part of the prompts. A node is kept if it is in more than half of the circuits, by a one-sided binomial test.
Nothing is claimed of a node for which the test is undecided, and it is left out. What is kept is stable; whether it
still does the task is measured like that of any other circuit.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Bool, Int
from scipy.stats import binom
from torch import Tensor

from benchmark.tasks.prompts import PromptBatch, TaskPrompts

LEVEL = 0.05
"""Level of the test."""


def inclusions(
    find: Callable[[TaskPrompts], Bool[Tensor, " node"]],
    task: TaskPrompts,
    draws: int,
    deleted: float,
    generator: torch.Generator,
) -> Int[Tensor, " node"]:
    """In how many circuits each node is, each of them found without a random part of the prompts.

    Args:
        find: The search; it keeps nothing where it misses its target.
        task: All prompts.
        draws: Number of searches.
        deleted: Probability with which a pair of train or validation prompts is left out.
        generator: Source of the draws.
    """
    return torch.stack([find(_with_fewer(task, deleted, generator)) for _ in range(draws)]).sum(0)


def stable(inclusions: Int[Tensor, " node"], draws: int) -> Bool[Tensor, " node"]:
    """The nodes that are in significantly more than half of the circuits."""
    return torch.from_numpy(binom.sf(inclusions.numpy() - 1, draws, 0.5)) <= LEVEL


def _with_fewer(task: TaskPrompts, deleted: float, generator: torch.Generator) -> TaskPrompts:
    """The prompts without some of those that circuits are ranked, cut and certified on."""
    train, validation = (_fewer(batch, deleted, generator) for batch in (task.train, task.validation))
    return replace(task, train=train, validation=validation)


def _fewer(batch: PromptBatch, deleted: float, generator: torch.Generator) -> PromptBatch:
    """A batch without some of its pairs; at least one is left."""
    kept = torch.rand(len(batch) // 2, generator=generator) >= deleted
    kept[torch.randint(len(kept), (1,), generator=generator)] = True
    return batch.rows(kept.repeat_interleave(2).nonzero().flatten())
