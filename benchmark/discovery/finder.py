"""Discovers circuits: ranks the nodes of a model for a task, then keeps the fewest with which it still does the task.

Gao et al. 2025 (arXiv 2511.13653) appendix A.5, in four steps:

1. *Rank* the nodes (`benchmark.discovery.rankings`; the paper uses a learned mask).
2. *Cut* the ranking: the fewest top-ranked nodes whose loss on validation prompts is at most the target, by bisection.
3. *Calibrate* a scale and a shift of the logit difference, reported separately.
4. *Report* on test prompts (`benchmark.scoring`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.discovery.bisection import fewest_nodes
from benchmark.discovery.calibration import Calibration, calibrate
from benchmark.discovery.rankings import RANKINGS
from benchmark.discovery.search import Budget, Search
from benchmark.interventions.ablation import AblationValuesOn, Means, ablate, at_means
from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites
from benchmark.model.interface import CircuitModel, Graph
from benchmark.tasks.prompts import TaskPrompts


@dataclass(frozen=True, eq=False)
class FoundCircuit:
    """A discovered circuit."""

    circuit: Circuit
    """The fewest top-ranked nodes at the target, or the prefix with the lowest loss if none reaches it."""
    status: Literal["ok", "not_reached"]
    """`not_reached` if no prefix of the ranking reaches the target on validation prompts."""
    lowest_loss: float
    """Lowest validation loss of any prefix that was tried, nats."""
    calibration: Calibration
    """Fitted on validation prompts."""
    curve: Mapping[int, Float[Tensor, " _"]]
    """Validation losses per prompt, nats, by number of nodes kept, ascending."""
    order: Int[Tensor, " node"]
    """Indices of all nodes over the sites in order, most important first."""


def find_circuit(
    model: CircuitModel,
    task: TaskPrompts,
    means: Means,
    *,
    graph: Graph,
    target: float,
    ranking: str = "mask",
    budget: Budget = Budget(),
    ablation_values: AblationValuesOn | None = None,
    generator: torch.Generator,
) -> FoundCircuit:
    """Find the smallest circuit of a model that does a task.

    Args:
        model: The model in which to find the circuit.
        task: The prompts of the task.
        means: Ablation values, unless `ablation_values` gives others.
        graph: Determines which sites count as nodes.
        target: Task loss to reach, nats.
        ranking: Name of the ranking that orders the nodes.
        budget: The budget of the search; runs on other prompts to obtain ablation values are not counted.
        ablation_values: Ablation values on given prompts.
        generator: Source of all randomness.

    Raises:
        ValueError: For an unknown ranking, or one that leaves out nodes.
    """
    sites = node_sites(model, graph)
    search = Search(model, task, ablation_values or (lambda batch: at_means(means)), sites)
    orders = list(RANKINGS.named(ranking).function(search, budget, generator))
    every = torch.arange(search.size)
    if not orders or not all(torch.equal(torch.as_tensor(order).sort().values, every) for order in orders):
        raise ValueError(f"{RANKINGS.called(ranking)} did not return orders of all {search.size} nodes")

    def preference(found: FoundCircuit) -> tuple[bool, float]:
        """Circuits that reach the target come first, the smallest before the others; then those of lowest loss."""
        nodes = sum(int(mask.sum()) for mask in found.circuit.masks.values())
        return found.status != "ok", float(nodes) if found.status == "ok" else found.lowest_loss

    return min((_cut(search, order, target) for order in orders), key=preference)


def _cut(search: Search, order: Tensor, target: float) -> FoundCircuit:
    """The smallest prefix of an order that reaches the target, and its calibration (steps 2 and 3)."""
    losses: dict[int, Tensor] = {}

    def loss(nodes: int) -> float:
        losses[nodes] = search.validation_losses(Circuit.first(search.sites, order, nodes))
        return float(losses[nodes].mean())

    nodes = fewest_nodes(loss, search.size, target)
    means = {size: float(row.mean()) for size, row in losses.items()}
    kept = min(means, key=lambda size: (means[size], size)) if nodes is None else nodes
    circuit = Circuit.first(search.sites, order, kept)
    return FoundCircuit(
        circuit=circuit,
        status="not_reached" if nodes is None else "ok",
        lowest_loss=min(means.values()),
        calibration=calibrate(search.model, search.task.validation, ablate(circuit, search.validation_ablation)),
        curve=dict(sorted(losses.items())),
        order=order,
    )
