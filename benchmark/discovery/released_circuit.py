"""Looks up the circuit of a task that comes with a model, found by somebody else."""

import torch
from jaxtyping import Int
from torch import Tensor

from benchmark.discovery.search import Budget, Search
from benchmark.model.circuit import circuits_of


def released_order(search: Search, budget: Budget, generator: torch.Generator) -> tuple[Int[Tensor, " node"], int]:
    """The nodes of the circuit first, then all others, both in the order of the sites; and how many the circuit has.

    Raises:
        ValueError: The model comes with no circuit for the task, or with one that keeps no node of the graph.
    """
    known, task = circuits_of(search.model), search.task.task
    if task not in known:
        choices = f"circuits for {', '.join(known)} alone" if known else "no circuits"
        raise ValueError(f"the model comes with {choices}, not for task {task!r}; choose another circuit.ranking")
    row = known[task].row(search.sites)
    if not row.any():
        raise ValueError(f"the circuit for task {task!r} keeps no node of the {search.graph} graph")
    return torch.cat([row.nonzero().flatten(), (~row).nonzero().flatten()]), int(row.sum())
