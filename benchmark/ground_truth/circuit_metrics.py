"""The metrics that could rank circuits, each as a function of one circuit of a known model."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark import metrics
from benchmark.discovery.bisection import geometric_sizes
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.edges import verify_edges
from benchmark.ground_truth.planted_models import PlantedModel
from benchmark.interventions.ablation import keep_only
from benchmark.metrics.registry import METRICS, Direction
from benchmark.model.circuit import Circuit
from benchmark.model.interface import unedited
from benchmark.scoring.case import CircuitUnderTest
from benchmark.scoring.robustness import robust_faithfulness
from benchmark.tasks.answers import answer_logits, first_answer_difference
from benchmark.tasks.prompts import PromptBatch

TARGET = 0.05
"""Target task loss of circuits, nats; ablating any node of a known circuit costs more."""


@dataclass(frozen=True, eq=False)
class Case:
    """A circuit of a known model to be scored.

    Attributes:
        known: The model and its task.
        order: `[node]`, an order over all nodes, those of the circuit first.
        generator: Source of the random draws of a score.
    """

    known: PlantedModel
    circuit: Circuit
    order: Int[Tensor, " node"]
    generator: torch.Generator

    @classmethod
    def of(cls, known: PlantedModel, circuit: Circuit, generator: torch.Generator) -> "Case":
        """A circuit without an order: its nodes are shuffled, and so are the others, which come after them."""
        kept = circuit.row(known.sites)
        mixed = torch.randperm(len(kept), generator=generator)
        return cls(known, circuit, mixed[kept[mixed].int().argsort(descending=True, stable=True)], generator)

    @property
    def batch(self) -> PromptBatch:
        """The prompts on which the circuit is scored."""
        return self.known.prompts.test

    @cached_property
    def whole(self) -> Float[Tensor, "prompt vocab"]:
        """Logits of the reference model, with nothing ablated."""
        return answer_logits(self.known.reference, self.batch, unedited)

    def logits(self, circuit: Circuit) -> Float[Tensor, "prompt vocab"]:
        """Logits of a circuit under mean ablation."""
        return answer_logits(self.known.model, self.batch, keep_only(circuit, self.known.means))

    def faithfulness(self, circuit: Circuit) -> float:
        """The faithfulness of any circuit of the model."""
        return metrics.faithfulness(self._kl(circuit), self._empty_kl)

    @cached_property
    def _empty_kl(self) -> float:
        return self._kl(Circuit.empty(self.known.sites))

    def _kl(self, circuit: Circuit) -> float:
        return metrics.pair_kl(self.whole, self.logits(circuit), self.batch.answer, self.batch.other)


Score = Callable[[Case], float]
"""The value of a metric for a case; `nan` where it is undefined."""


@dataclass(frozen=True)
class RankableMetric:
    """A metric that could rank circuits; `is_size` if it measures only how large a circuit is."""

    name: str
    score: Score
    direction: Direction
    is_size: bool = False


def _verified_edges(case: Case) -> float:
    known = case.known
    connections, validation = known.model.connections("unit"), known.prompts.validation
    criterion = Criterion.mean(TARGET, validation)
    found = verify_edges(known.model, case.circuit, connections, known.means, validation, known.windows, criterion)
    return float(found.edges) if found.status == "ok" else math.nan


def _robust_faithfulness(case: Case) -> float:
    known = case.known
    return robust_faithfulness(
        CircuitUnderTest(known.model, known.sites, case.circuit, known.means, case.batch, case.whole, case.generator)
    )


def _logit_difference_r2(case: Case) -> float:
    whole, circuit = (first_answer_difference(logits, case.batch) for logits in (case.whole, case.logits(case.circuit)))
    return metrics.logit_difference_r2(whole, circuit)


def _cpr(case: Case) -> float:
    sizes = geometric_sizes(len(case.order), 2.0)
    scores = [case.faithfulness(Circuit.first(case.known.sites, case.order, size)) for size in sizes]
    return metrics.cpr(sizes, scores, len(case.order))


_SIZES: Mapping[str, Score] = {
    "nodes": lambda case: metrics.node_count(case.circuit),
    "edges": lambda case: metrics.edge_count(case.circuit, case.known.model.connections("unit")),
    "verified_edges": _verified_edges,
    "description_bits": lambda case: metrics.description_bits(case.circuit, case.known.model.connections("unit")),
}

_SCORES: Mapping[str, Score] = {
    "faithfulness": lambda case: case.faithfulness(case.circuit),
    "robust_faithfulness": _robust_faithfulness,
    "completeness": lambda case: case.faithfulness(case.circuit.complement()),
    "necessity": lambda case: metrics.task_loss(
        case.logits(case.circuit.complement()), case.batch.answer, case.batch.other
    ),
    "logit_difference_r2": _logit_difference_r2,
    "cpr": _cpr,
}

CANDIDATES: tuple[RankableMetric, ...] = tuple(
    RankableMetric(name, score, METRICS[name].direction, is_size=name in _SIZES)
    for name, score in {**_SIZES, **_SCORES}.items()
)
"""The metrics that are audited."""
