"""Asks whether another circuit does the task as well: the found one's nodes are forbidden and the search repeated."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark import metrics
from benchmark.discovery.finder import FoundCircuit, find_circuit
from benchmark.interventions.ablation import Means, keep_only
from benchmark.model.circuit import Circuit
from benchmark.model.interface import CircuitModel, Connection, Edit, Graph, State
from benchmark.records.table import Measurement
from benchmark.scoring.case import DiscoveredCircuit
from benchmark.seeds import seed_of
from benchmark.tasks.answers import answer_logits
from benchmark.tasks.prompts import TaskPrompts


class Forbidding:
    """A model of which the nodes of a forbidden circuit are at their means whatever an edit says."""

    def __init__(self, model: CircuitModel, forbidden: Circuit, means: Means) -> None:
        self.sites = model.sites
        self._model = model
        self._hold = keep_only(forbidden.complement(), means)

    def start(self, tokens: Int[Tensor, "batch position"]) -> State:
        """The model's own."""
        return self._model.start(tokens)

    def advance(self, state: State, stage: int, edit: Edit) -> State:
        """The state after a stage, the forbidden nodes at their means after `edit`."""
        return self._model.advance(state, stage, lambda site, values: self._hold(site, edit(site, values)))

    def read_out(
        self, state: State, positions: Int[Tensor, "batch query"] | None
    ) -> Float[Tensor, "batch query vocab"]:
        """The model's own."""
        return self._model.read_out(state, positions)

    def connections(self, graph: Graph) -> Iterable[Connection]:
        """The model's own, those of forbidden nodes too."""
        return self._model.connections(graph)


def find_second_circuit(
    model: CircuitModel, task: TaskPrompts, means: Means, first: Circuit, **search: Any
) -> FoundCircuit:
    """Find the smallest circuit that shares no node with `first`, whose nodes are always ablated.

    Args:
        model: The model to cut.
        task: Its prompts.
        means: Ablation values.
        first: The circuit whose nodes are forbidden.
        **search: What `find_circuit` takes besides.

    Returns:
        As `find_circuit`; the circuit keeps none of the forbidden nodes, though the order ranks them.
    """
    with torch.enable_grad():
        found = find_circuit(Forbidding(model, first, means), task, means, **search)
    masks = {name: mask & ~first.masks[name] for name, mask in found.circuit.masks.items()}
    return replace(found, circuit=Circuit(masks))


def second_circuit(case: DiscoveredCircuit) -> list[Measurement]:
    """Nodes of a second circuit, if one was asked for and there is one that counts as a first would."""
    config, setting = case.config, case.setting
    if not config.redundancy:
        return []
    if case.status[0] != "ok":
        return [_undefined(*reversed(case.status))]
    second = find_second_circuit(
        case.model,
        setting.prompts,
        case.means,
        case.circuit,
        graph=setting.graph,
        target=config.target_loss,
        ranking=config.ranking,
        budget=config.budget,
        generator=torch.Generator().manual_seed(seed_of("second circuit", setting.seed)),
    )
    if second.status != "ok":
        reason = f"without the circuit's nodes the lowest validation loss is {second.lowest_loss:.3f}"
        return [_undefined(reason, second.status)]
    logits = answer_logits(case.model, case.batch, keep_only(second.circuit, case.means))
    loss = metrics.task_loss(logits, case.batch.answer, case.batch.other)
    if loss > config.target_loss + config.generalisation_margin:
        return [_undefined(f"the second circuit's test loss is {loss:.3f}", "not_generalised")]
    return [Measurement("second_circuit_nodes", metrics.node_count(second.circuit), ablation="mean")]


def _undefined(reason: str, status: str) -> Measurement:
    return Measurement("second_circuit_nodes", status=status, reason=reason, ablation="mean")
