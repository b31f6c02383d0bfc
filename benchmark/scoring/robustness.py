"""Scores a circuit under every ablation, its finder's and others, beside random circuits of its size."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

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

EditOf = Callable[[Circuit], Edit]
"""The edit that ablates what is outside a circuit."""


@dataclass(frozen=True)
class Standing:
    """Task loss and divergence from the explained model of what an ablation leaves."""

    loss: float
    kl: float


def robustness(trial: CircuitUnderTest) -> list[Measurement]:
    """Faithfulness and loss under each ablation, the least faithfulness, and random circuits beside them."""
    edits = _edits(trial)
    standings, empty = ({name: standing(trial, edit(kept)) for name, edit in edits.items()} for kept in _ends(trial))
    subsets = _subsets(trial)
    standings["stochastic"] = _mean(subsets)
    standings["worst_subset"] = max(subsets, key=lambda each: each.loss)
    standings["adversarial"] = _adversarial(trial)
    faithful = _faithful(standings, empty)
    rows = list(_rows(trial, standings, faithful, _random_losses(trial, edits)))
    return [*rows, Measurement("robust_faithfulness", min(faithful[name] for name in ROBUST), n=trial.batch.clusters)]


def robust_faithfulness(trial: CircuitUnderTest) -> float:
    """The least faithfulness over `ROBUST`, without what `robustness` measures beside it."""
    edits: dict[str, EditOf] = {name: _edit_of(trial, name) for name in ABLATIONS if name in ROBUST}
    standings, empty = ({name: standing(trial, edit(kept)) for name, edit in edits.items()} for kept in _ends(trial))
    return min(_faithful({**standings, "stochastic": _mean(_subsets(trial))}, empty).values())


def standing(trial: CircuitUnderTest, edit: Edit) -> Standing:
    """How the model stands under an edit."""
    batch = trial.batch
    logits = answer_logits(trial.model, batch, edit)
    return Standing(
        metrics.task_loss(logits, batch.answer, batch.other),
        metrics.pair_kl(trial.explained, logits, batch.answer, batch.other),
    )


def _edits(trial: CircuitUnderTest) -> Mapping[str, EditOf]:
    """The edits of the ablations that ablate every node outside a circuit."""
    return {name: _edit_of(trial, name) for name in ABLATIONS if trial.position_means or name != "position_mean"}


def _edit_of(trial: CircuitUnderTest, ablation: str) -> EditOf:
    held = trial.held_on(ablation)(trial.batch)
    return lambda circuit: ablate(circuit, held)


def _ends(trial: CircuitUnderTest) -> tuple[Circuit, Circuit]:
    """The circuit, and the empty one that it is held to."""
    return trial.circuit, Circuit.empty(trial.sites)


def _faithful(standings: Mapping[str, Standing], empty: Mapping[str, Standing]) -> dict[str, float]:
    """Faithfulness by ablation; those that choose whom to ablate are held to the empty circuit at its means."""
    return {
        name: metrics.faithfulness(found.kl, empty.get(name, empty["mean"]).kl) for name, found in standings.items()
    }


def _subsets(trial: CircuitUnderTest) -> list[Standing]:
    """The circuit beside random parts of the rest."""
    return [_with(trial, random_subset(trial.circuit, trial.sites, trial.generator)) for _ in range(DRAWS)]


def _with(trial: CircuitUnderTest, kept: Tensor) -> Standing:
    """The circuit with some of the nodes outside it kept, the others at their means."""
    return standing(trial, keep_only(partly_ablated(trial.circuit, kept, trial.sites), trial.means))


def _adversarial(trial: CircuitUnderTest) -> Standing:
    """The circuit with the nodes outside it kept that hurt it most."""

    def loss(circuit: Circuit) -> float:
        return standing(trial, keep_only(circuit, trial.means)).loss

    return _with(trial, adversarial_subset(trial.circuit, trial.sites, loss, trial.generator, ROUNDS))


def _random_losses(trial: CircuitUnderTest, edits: Mapping[str, EditOf]) -> dict[str, float]:
    """Mean task loss of random circuits of equal size per site, by ablation."""
    circuits = [random_circuit(trial.circuit, trial.generator) for _ in range(RANDOM_CIRCUITS)]
    return {name: _mean([standing(trial, edit(each)) for each in circuits]).loss for name, edit in edits.items()}


def _mean(standings: list[Standing]) -> Standing:
    count = len(standings)
    return Standing(sum(each.loss for each in standings) / count, sum(each.kl for each in standings) / count)


def _rows(
    trial: CircuitUnderTest,
    standings: Mapping[str, Standing],
    faithful: Mapping[str, float],
    random: Mapping[str, float],
) -> Iterator[Measurement]:
    """The rows of each ablation; those of the finder's own ablation are measured with the circuit."""
    n = trial.batch.clusters
    for name, found in standings.items():
        if name != trial.ablation:
            yield Measurement("faithfulness", faithful[name], n=n, ablation=name)
            yield Measurement("circuit_loss", found.loss, n=n, ablation=name)
    for name, loss in random.items():
        yield Measurement("random_circuit_loss", loss, n=n, ablation=name)
