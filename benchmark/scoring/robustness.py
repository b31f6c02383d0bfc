"""Scores a circuit under every ablation, its finder's and others, beside random circuits of its size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark import metrics
from benchmark.interventions.ablation import (
    ablate,
    adversarial_subset,
    keep_only,
    partly_ablated,
    random_circuit,
    random_subset,
)
from benchmark.interventions.ablations import ABLATIONS
from benchmark.model.circuit import Circuit
from benchmark.model.interface import Edit
from benchmark.records.table import Measurement
from benchmark.scoring.case import CircuitUnderTest
from benchmark.tasks.answers import answer_logits

DRAWS = 8
"""Random subsets of the nodes outside a circuit: their mean is stochastic ablation, the worst `worst_subset`."""

ROUNDS = 16
"""Tries of the adversarial search."""

RANDOM_CIRCUITS = 3
"""Random circuits of equal size per site that stand beside the found one."""

ROBUST = ("mean", "resample", "counterfactual", "stochastic")
"""The ablations over which `robust_faithfulness` is the least."""


@dataclass(frozen=True)
class AblationResult:
    """Task loss and divergence from the reference model of what an ablation leaves, nats."""

    loss: float
    kl: float


def robustness(case: CircuitUnderTest) -> list[Measurement]:
    """Faithfulness and loss under each ablation, the least faithfulness, and random circuits beside them."""
    edits = _edits(case, [name for name in ABLATIONS if case.position_means or name != "position_mean"])
    results, empty = (_results(case, edits, circuit) for circuit in (case.circuit, Circuit.empty(case.sites)))
    subsets = _subsets(case)
    results["stochastic"] = _mean(subsets)
    results["worst_subset"] = max(subsets, key=lambda each: each.loss)
    results["adversarial"] = _adversarial(case)
    faithful, n = _faithful(results, empty), case.batch.clusters
    rows = []
    for name, found in results.items():
        if name != case.ablation:  # those of the finder's own ablation are measured with the circuit
            rows.append(Measurement("faithfulness", faithful[name], n=n, ablation=name))
            rows.append(Measurement("circuit_loss", found.loss, n=n, ablation=name))
    random = [_results(case, edits, random_circuit(case.circuit, case.generator)) for _ in range(RANDOM_CIRCUITS)]
    for name in edits:
        loss = _mean([each[name] for each in random]).loss
        rows.append(Measurement("random_circuit_loss", loss, n=n, ablation=name))
    least = float(np.min([faithful[name] for name in ROBUST]))
    return [*rows, Measurement("robust_faithfulness", least, n=n)]


def robust_faithfulness(case: CircuitUnderTest) -> float:
    """The least faithfulness over `ROBUST`, without what `robustness` measures beside it."""
    edits = _edits(case, [name for name in ABLATIONS if name in ROBUST])
    results, empty = (_results(case, edits, circuit) for circuit in (case.circuit, Circuit.empty(case.sites)))
    return float(np.min([*_faithful({**results, "stochastic": _mean(_subsets(case))}, empty).values()]))


def ablation_result(case: CircuitUnderTest, edit: Edit) -> AblationResult:
    """Task loss and divergence from the reference model under an edit."""
    batch = case.batch
    logits = answer_logits(case.model, batch, edit)
    return AblationResult(
        metrics.task_loss(logits, batch.answer, batch.other),
        metrics.pair_kl(case.reference_logits, logits, batch.answer, batch.other),
    )


def _edits(case: CircuitUnderTest, ablations: Sequence[str]) -> dict[str, Callable[[Circuit], Edit]]:
    """By ablation, the edit that ablates what is outside a circuit."""

    def edit_of(ablation: str) -> Callable[[Circuit], Edit]:
        values = case.ablation_values(ablation)(case.batch)
        return lambda circuit: ablate(circuit, values)

    return {name: edit_of(name) for name in ablations}


def _results(
    case: CircuitUnderTest, edits: Mapping[str, Callable[[Circuit], Edit]], circuit: Circuit
) -> dict[str, AblationResult]:
    return {name: ablation_result(case, edit(circuit)) for name, edit in edits.items()}


def _faithful(results: Mapping[str, AblationResult], empty: Mapping[str, AblationResult]) -> dict[str, float]:
    """Faithfulness by ablation; those that choose whom to ablate are compared with the empty circuit at its means."""
    return {name: metrics.faithfulness(found.kl, empty.get(name, empty["mean"]).kl) for name, found in results.items()}


def _subsets(case: CircuitUnderTest) -> list[AblationResult]:
    """The circuit beside random parts of the rest, what is ablated being at its means."""
    kept = [random_subset(case.circuit, case.sites, case.generator) for _ in range(DRAWS)]
    circuits = [partly_ablated(case.circuit, each, case.sites) for each in kept]
    return [ablation_result(case, keep_only(each, case.means)) for each in circuits]


def _adversarial(case: CircuitUnderTest) -> AblationResult:
    """The circuit with the nodes outside it kept that hurt it most."""

    def result(circuit: Circuit) -> AblationResult:
        return ablation_result(case, keep_only(circuit, case.means))

    def loss(circuit: Circuit) -> float:
        return result(circuit).loss

    worst = adversarial_subset(case.circuit, case.sites, loss, case.generator, ROUNDS)
    return result(partly_ablated(case.circuit, worst, case.sites))


def _mean(results: Sequence[AblationResult]) -> AblationResult:
    count = len(results)
    return AblationResult(sum(each.loss for each in results) / count, sum(each.kl for each in results) / count)
