"""Asks whether another circuit does the task as well: the found one's nodes are forbidden and the search repeated."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark import metrics
from benchmark.discovery.finder import FoundCircuit, find_circuit
from benchmark.discovery.search import Budget
from benchmark.interventions.ablation import Means, keep_only
from benchmark.model.circuit import Circuit
from benchmark.model.interface import CircuitModel, Connection, Edit, Graph, State
from benchmark.records.table import Measurement
from benchmark.running.config import CircuitConfig
from benchmark.scoring.score_circuit import Setting
from benchmark.seeds import seed_of
from benchmark.tasks.answers import answer_logits
from benchmark.tasks.prompts import TaskPrompts


class Forbidding:
    """A model of which some nodes hold their means whatever an edit says.

    Args:
        model: Any circuit model.
        forbidden: Its kept nodes are the ones that are held.
        means: What they hold.
    """

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
        self, state: State, positions: Int[Tensor, "batch asked"] | None
    ) -> Float[Tensor, "batch asked vocab"]:
        """The model's own."""
        return self._model.read_out(state, positions)

    def connections(self, graph: Graph) -> Iterable[Connection]:
        """The model's own, those of forbidden nodes too."""
        return self._model.connections(graph)


def second_circuit(
    model: CircuitModel,
    task: TaskPrompts,
    means: Means,
    first: Circuit,
    *,
    graph: Graph,
    target: float,
    ranking: str = "mask",
    budget: Budget,
    generator: torch.Generator,
) -> FoundCircuit:
    """Find the smallest circuit that shares no node with another.

    Args:
        model: The model to cut.
        task: Its prompts.
        means: What an ablated node holds.
        first: The circuit whose nodes are forbidden: always ablated.
        graph: Which sites count as nodes.
        target: Task loss to reach, nats.
        ranking: How nodes are ordered.
        budget: What the search may spend.
        generator: Source of all randomness.

    Returns:
        As `find_circuit`; the circuit keeps none of the forbidden nodes, though the order ranks them.
    """
    with torch.enable_grad():
        found = find_circuit(
            Forbidding(model, first, means),
            task,
            means,
            graph=graph,
            target=target,
            ranking=ranking,
            budget=budget,
            generator=generator,
        )
    masks = {name: mask & ~first.masks[name] for name, mask in found.circuit.masks.items()}
    return replace(found, circuit=Circuit(masks))


def redundancy(
    setting: Setting, found: FoundCircuit, config: CircuitConfig, budget: Budget, size: Measurement
) -> Measurement:
    """Nodes of a second circuit, if there is one that counts as a first would.

    Args:
        setting: What the first circuit was found in.
        found: The first circuit.
        config: How it was searched.
        budget: What that search could spend; this one may spend as much.
        size: A measurement of the first circuit, whose status says whether that counts.
    """
    if size.status != "ok":
        return replace(size, metric="second_circuit_nodes")
    second = second_circuit(
        setting.model,
        setting.prompts,
        setting.means,
        found.circuit,
        graph=setting.graph,
        target=config.target_loss,
        ranking=config.ranking,
        budget=budget,
        generator=torch.Generator().manual_seed(seed_of("second circuit", setting.seed)),
    )
    return _second_size(setting, second, config)


@torch.no_grad()
def _second_size(setting: Setting, second: FoundCircuit, config: CircuitConfig) -> Measurement:
    """Nodes of the second circuit, or why there is none."""
    if second.status != "ok":
        reason = f"without the circuit's nodes the lowest validation loss is {second.lowest_loss:.3f}"
        return Measurement("second_circuit_nodes", status=second.status, reason=reason, ablation="mean")
    test = setting.prompts.test
    logits = answer_logits(setting.model, test, keep_only(second.circuit, setting.means))
    loss = metrics.task_loss(logits, test.answer, test.other)
    if loss > config.target_loss + config.generalisation_margin:
        reason = f"the second circuit's test loss is {loss:.3f}"
        return Measurement("second_circuit_nodes", status="not_generalised", reason=reason, ablation="mean")
    return Measurement("second_circuit_nodes", metrics.node_count(second.circuit), ablation="mean")
