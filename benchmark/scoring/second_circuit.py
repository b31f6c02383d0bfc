"""Is there a second circuit for the task? The search is repeated with the nodes of the first one forbidden."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark import metrics
from benchmark.discovery.cutting import FoundCircuit
from benchmark.discovery.finder import find_circuit
from benchmark.interventions.ablation import Means, keep_only
from benchmark.model.circuit import Circuit
from benchmark.model.devices import device_of
from benchmark.model.interface import CircuitModel, Connection, Edit, Graph, State, independent_from
from benchmark.records.table import Measurement
from benchmark.scoring.case import DiscoveredCircuit
from benchmark.scoring.robustness import ablation_result
from benchmark.seeds import seed_of
from benchmark.tasks.prompts import TaskPrompts


class Forbidding:
    """A model in which the nodes of a forbidden circuit are always mean-ablated, whatever an edit does."""

    def __init__(self, model: CircuitModel, forbidden: Circuit, means: Means) -> None:
        self.sites = model.sites
        self._model = model
        self._ablate = keep_only(forbidden.complement(), means)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return device_of(self._model)

    @property
    def independent_from(self) -> int | None:
        """As in the model: the forbidden nodes are ablated alike at all positions."""
        return independent_from(self._model)

    def start(self, tokens: Int[Tensor, "batch position"]) -> State:
        """As in the model."""
        return self._model.start(tokens)

    def advance(self, state: State, stage: int, edit: Edit) -> State:
        """The state after a stage, with the forbidden nodes mean-ablated after `edit`."""
        return self._model.advance(state, stage, lambda site, values: self._ablate(site, edit(site, values)))

    def read_out(
        self, state: State, positions: Int[Tensor, "batch query"] | None
    ) -> Float[Tensor, "batch query vocab"]:
        """As in the model."""
        return self._model.read_out(state, positions)

    def connections(self, graph: Graph) -> Iterable[Connection]:
        """As in the model, including the connections of forbidden nodes."""
        return self._model.connections(graph)


def find_second_circuit(
    model: CircuitModel, task: TaskPrompts, means: Means, first: Circuit, **search: Any
) -> FoundCircuit:
    """Find the smallest circuit that shares no node with `first`, whose nodes are always ablated.

    Takes and returns the same as `find_circuit`; the order still ranks the forbidden nodes, but the circuit keeps none.
    """
    with torch.enable_grad():
        found = find_circuit(Forbidding(model, first, means), task, means, **search)
    masks = {name: mask & ~first.masks[name] for name, mask in found.circuit.masks.items()}
    return replace(found, circuit=Circuit(masks))


def second_circuit(case: DiscoveredCircuit) -> list[Measurement]:
    """Size of a second circuit, if one was requested and one exists that solves the task as well."""
    config, setting = case.config, case.setting
    if not config.redundancy:
        return []
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
    loss = ablation_result(case, keep_only(second.circuit, case.means)).loss
    if loss > config.target_loss + config.generalisation_margin:
        return [_undefined(f"the second circuit's test loss is {loss:.3f}", "not_generalised")]
    return [Measurement("second_circuit_nodes", metrics.node_count(second.circuit), ablation="mean")]


def unscored_second_circuit(case: DiscoveredCircuit, reason: str) -> list[Measurement]:
    """The row of `second_circuit`, without a value for a given reason."""
    return [_undefined(reason, "undefined")] if case.config.redundancy else []


def _undefined(reason: str, status: str) -> Measurement:
    return Measurement("second_circuit_nodes", status=status, reason=reason, ablation="mean")
