"""Ranks nodes at random."""

import torch
from jaxtyping import Int
from torch import Tensor

from benchmark.discovery.search import Budget, Search


def random_orders(search: Search, budget: Budget, generator: torch.Generator) -> list[Int[Tensor, " node"]]:
    """One random order of all nodes."""
    return [torch.randperm(search.size, generator=generator)]
