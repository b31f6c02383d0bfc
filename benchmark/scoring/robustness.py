"""Scores a circuit under every ablation, its finder's and others, beside random circuits of its size."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from benchmark import metrics
from benchmark.interventions.ablation import (
    NODE_ABLATIONS,
    NodeAblation,
    ablate,
    adversarial_subset,
    keep_only,
    partly_ablated,
    random_circuit,
    random_subset,
)
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

EditOf = Callable[[Circuit], Edit]
"""The edit that ablates what is outside a circuit."""


@dataclass(frozen=True)
class AblationResult:
    """Task loss and divergence from the reference model of what an ablation leaves."""

    loss: float
    kl: float


def robustness(case: CircuitUnderTest) -> list[Measurement]:
    """Faithfulness and loss under each ablation, the least faithfulness, and random circuits beside them."""
    edits = _edits(case)
    results, empty = ({name: ablation_result(case, edit(kept)) for name, edit in edits.items()} for kept in _ends(case))
    subsets = _subsets(case)
    results["stochastic"] = _mean(subsets)
    results["worst_subset"] = max(subsets, key=lambda each: each.loss)
    results["adversarial"] = _adversarial(case)
    faithful = _faithful(results, empty)
    rows = list(_rows(case, results, faithful, _random_losses(case, edits)))
    return [*rows, Measurement("robust_faithfulness", min(faithful[name] for name in ROBUST), n=case.batch.clusters)]


def robust_faithfulness(case: CircuitUnderTest) -> float:
    """The least faithfulness over `ROBUST`, without what `robustness` measures beside it."""
    edits: dict[str, EditOf] = {name: _edit_of(case, name) for name in NODE_ABLATIONS if name in ROBUST}
    results, empty = ({name: ablation_result(case, edit(kept)) for name, edit in edits.items()} for kept in _ends(case))
    return min(_faithful({**results, "stochastic": _mean(_subsets(case))}, empty).values())


def ablation_result(case: CircuitUnderTest, edit: Edit) -> AblationResult:
    """Task loss and divergence under an edit."""
    batch = case.batch
    logits = answer_logits(case.model, batch, edit)
    return AblationResult(
        metrics.task_loss(logits, batch.answer, batch.other),
        metrics.pair_kl(case.reference_logits, logits, batch.answer, batch.other),
    )


def _edits(case: CircuitUnderTest) -> Mapping[str, EditOf]:
    """The edits of the ablations that ablate every node outside a circuit."""
    return {name: _edit_of(case, name) for name in NODE_ABLATIONS if case.position_means or name != "position_mean"}


def _edit_of(case: CircuitUnderTest, ablation: NodeAblation) -> EditOf:
    held = case.held_on(ablation)(case.batch)
    return lambda circuit: ablate(circuit, held)


def _ends(case: CircuitUnderTest) -> tuple[Circuit, Circuit]:
    """The circuit, and the empty one that it is held to."""
    return case.circuit, Circuit.empty(case.sites)


def _faithful(results: Mapping[str, AblationResult], empty: Mapping[str, AblationResult]) -> dict[str, float]:
    """Faithfulness by ablation; those that choose whom to ablate are held to the empty circuit at its means."""
    return {name: metrics.faithfulness(found.kl, empty.get(name, empty["mean"]).kl) for name, found in results.items()}


def _subsets(case: CircuitUnderTest) -> list[AblationResult]:
    """The circuit beside random parts of the rest."""
    return [_with(case, random_subset(case.circuit, case.sites, case.generator)) for _ in range(DRAWS)]


def _with(case: CircuitUnderTest, kept: Tensor) -> AblationResult:
    """The circuit with some of the nodes outside it kept, the others at their means."""
    return ablation_result(case, keep_only(partly_ablated(case.circuit, kept, case.sites), case.means))


def _adversarial(case: CircuitUnderTest) -> AblationResult:
    """The circuit with the nodes outside it kept that hurt it most."""

    def loss(circuit: Circuit) -> float:
        return ablation_result(case, keep_only(circuit, case.means)).loss

    return _with(case, adversarial_subset(case.circuit, case.sites, loss, case.generator, ROUNDS))


def _random_losses(case: CircuitUnderTest, edits: Mapping[str, EditOf]) -> dict[str, float]:
    """Mean task loss of random circuits of equal size per site, by ablation."""
    circuits = [random_circuit(case.circuit, case.generator) for _ in range(RANDOM_CIRCUITS)]
    return {name: _mean([ablation_result(case, edit(each)) for each in circuits]).loss for name, edit in edits.items()}


def _mean(results: list[AblationResult]) -> AblationResult:
    count = len(results)
    return AblationResult(sum(each.loss for each in results) / count, sum(each.kl for each in results) / count)


def _rows(
    case: CircuitUnderTest,
    results: Mapping[str, AblationResult],
    faithful: Mapping[str, float],
    random: Mapping[str, float],
) -> Iterator[Measurement]:
    """The rows of each ablation; those of the finder's own ablation are measured with the circuit."""
    n = case.batch.clusters
    for name, found in results.items():
        if name != case.ablation:
            yield Measurement("faithfulness", faithful[name], n=n, ablation=name)
            yield Measurement("circuit_loss", found.loss, n=n, ablation=name)
    for name, loss in random.items():
        yield Measurement("random_circuit_loss", loss, n=n, ablation=name)
