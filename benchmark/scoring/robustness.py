"""Scores a circuit under every ablation, with random circuits of the same size for comparison."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmark import metrics
from benchmark.interventions.ablation import (
    AblationValues,
    ablate,
    adversarial_circuit,
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
"""Random subsets of the nodes outside a circuit; their mean is `stochastic`, the worst of them `worst_subset`."""

ROUNDS = 16
"""Steps of the adversarial search."""

RANDOM_CIRCUITS = 3
"""Number of random circuits, of equal size per site."""

ROBUST = ("mean", "resample", "counterfactual", "stochastic")
"""The ablations over which `robust_faithfulness` is the minimum."""

SUBSETS = ("stochastic", "worst_subset", "adversarial")
"""Rows for ablations of some of the nodes outside a circuit: `DRAWS` random subsets, and one that is searched for."""


@dataclass(frozen=True)
class AblationResult:
    """Task loss and divergence from the reference model under an ablation, nats."""

    loss: float
    kl: float


def robustness(case: CircuitUnderTest) -> list[Measurement]:
    """Faithfulness and loss under each ablation, the lowest faithfulness, and random circuits for comparison."""
    values = _values(case, _ablations(case))
    results, empty = (_results(case, values, circuit) for circuit in (case.circuit, Circuit.empty(case.sites)))
    subsets = _subsets(case)
    results["stochastic"] = _mean(subsets)
    results["worst_subset"] = max(subsets, key=lambda each: each.loss)

    def mean_ablated(circuit: Circuit) -> AblationResult:
        return ablation_result(case, keep_only(circuit, case.means))

    worst = adversarial_circuit(case.circuit, case.sites, lambda each: mean_ablated(each).loss, case.generator, ROUNDS)
    results["adversarial"] = mean_ablated(worst)
    faithful, n = _faithful(results, empty), case.batch.clusters
    rows = []
    for name, found in results.items():
        if name != case.ablation:  # the circuit's own ablation is measured elsewhere
            rows.append(Measurement("faithfulness", faithful[name], n=n, ablation=name))
            rows.append(Measurement("circuit_loss", found.loss, n=n, ablation=name))
    random = [_results(case, values, random_circuit(case.circuit, case.generator)) for _ in range(RANDOM_CIRCUITS)]
    for name in values:
        loss = _mean([each[name] for each in random]).loss
        rows.append(Measurement("random_circuit_loss", loss, n=n, ablation=name))
    least = float(np.min([faithful[name] for name in ROBUST]))
    return [*rows, Measurement("robust_faithfulness", least, n=n)]


def unscored_robustness(case: CircuitUnderTest, reason: str) -> list[Measurement]:
    """The rows of `robustness`, without values for a given reason."""
    others = [name for name in (*_ablations(case), *SUBSETS) if name != case.ablation]
    named = [
        *((metric, name) for name in others for metric in ("faithfulness", "circuit_loss")),
        *(("random_circuit_loss", name) for name in _ablations(case)),
        ("robust_faithfulness", ""),
    ]
    return [replace(case.missing(metric, reason), ablation=name) for metric, name in named]


def _ablations(case: CircuitUnderTest) -> list[str]:
    """The ablations for which there are values."""
    return [name for name in ABLATIONS if case.position_means or name != "position_mean"]


def robust_faithfulness(case: CircuitUnderTest) -> float:
    """The lowest faithfulness over the ablations of `ROBUST`."""
    values = _values(case, [name for name in ABLATIONS if name in ROBUST])
    results, empty = (_results(case, values, circuit) for circuit in (case.circuit, Circuit.empty(case.sites)))
    return float(np.min([*_faithful({**results, "stochastic": _mean(_subsets(case))}, empty).values()]))


def ablation_result(case: CircuitUnderTest, edit: Edit) -> AblationResult:
    """Task loss and divergence from the reference model under an edit."""
    batch = case.batch
    logits = answer_logits(case.model, batch, edit)
    return AblationResult(
        metrics.task_loss(logits, batch.answer, batch.other),
        metrics.pair_kl(case.reference_logits, logits, batch.answer, batch.other),
    )


def _values(case: CircuitUnderTest, ablations: Iterable[str]) -> dict[str, AblationValues]:
    """Ablation values on the test prompts, by ablation."""
    return {name: case.ablation_values(name)(case.batch) for name in ablations}


def _results(
    case: CircuitUnderTest, values: Mapping[str, AblationValues], circuit: Circuit
) -> dict[str, AblationResult]:
    return {name: ablation_result(case, ablate(circuit, each)) for name, each in values.items()}


def _faithful(results: Mapping[str, AblationResult], empty: Mapping[str, AblationResult]) -> dict[str, float]:
    """Faithfulness by ablation; ablations of subsets are compared with the mean-ablated empty circuit."""
    return {name: metrics.faithfulness(found.kl, empty.get(name, empty["mean"]).kl) for name, found in results.items()}


def _subsets(case: CircuitUnderTest) -> list[AblationResult]:
    """The circuit plus random subsets of the other nodes, with the rest mean-ablated."""
    kept = [random_subset(case.circuit, case.sites, case.generator) for _ in range(DRAWS)]
    circuits = [partly_ablated(case.circuit, each, case.sites) for each in kept]
    return [ablation_result(case, keep_only(each, case.means)) for each in circuits]


def _mean(results: Sequence[AblationResult]) -> AblationResult:
    count = len(results)
    return AblationResult(sum(each.loss for each in results) / count, sum(each.kl for each in results) / count)
