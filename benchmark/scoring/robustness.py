"""Scores a circuit under every ablation, its finder's and others, beside random circuits of its size."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark import metrics
from benchmark.interventions.ablation import (
    NODE_ABLATIONS,
    HeldOn,
    Means,
    NodeAblation,
    PositionMeans,
    ablate,
    adversarial_subset,
    held_on,
    keep_only,
    partly_ablated,
    random_circuit,
    random_subset,
)
from benchmark.model.circuit import Circuit
from benchmark.model.interface import CircuitModel, Edit, Site
from benchmark.records.table import Measurement
from benchmark.tasks.answers import answer_logits
from benchmark.tasks.prompts import PromptBatch

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


@dataclass(frozen=True, eq=False)
class Trial:
    """A circuit on the test prompts of a task.

    Attributes:
        model: The model that is cut.
        sites: Whose nodes are kept or ablated.
        circuit: The circuit.
        means: What an ablated node holds under mean ablation.
        batch: The prompts.
        explained: Logits of the model that is explained.
        generator: Source of all draws.
        position_means: What it holds under mean ablation by position; without them that is left out.
        ablation: The ablation that the circuit was found under, and that every score is taken under but those that name
            another.
    """

    model: CircuitModel
    sites: tuple[Site, ...]
    circuit: Circuit
    means: Means
    batch: PromptBatch
    explained: Float[Tensor, "prompt vocab"]
    generator: torch.Generator
    position_means: PositionMeans | None = None
    ablation: NodeAblation = "mean"

    def held_on(self, ablation: NodeAblation | None = None) -> HeldOn:
        """What ablated nodes hold on given prompts, under the circuit's own ablation or another."""
        seed = self.generator.initial_seed()
        return held_on(ablation or self.ablation, self.model, self.means, self.position_means or {}, seed)

    def edit(self, batch: PromptBatch, circuit: Circuit | None = None) -> Edit:
        """The edit that ablates what is outside the circuit, or another one, on some prompts, all of them at once."""
        return ablate(self.circuit if circuit is None else circuit, self.held_on()(batch))

    def measured(self, metric: str, value: float, batch: PromptBatch | None = None, why: str = "") -> Measurement:
        """A number that was measured on the test prompts, or on others, under the circuit's own ablation."""
        if not math.isfinite(value):
            return self.missing(metric, why or f"{metric} came out as {value}")
        n = (self.batch if batch is None else batch).clusters
        return Measurement(metric, value, n=n, ablation=self.ablation)

    def missing(self, metric: str, reason: str, status: str = "undefined") -> Measurement:
        """Why there is no number."""
        return Measurement(metric, status=status, reason=reason, ablation=self.ablation)


@dataclass(frozen=True)
class Standing:
    """Task loss and divergence from the explained model of what an ablation leaves."""

    loss: float
    kl: float


def robustness(trial: Trial) -> list[Measurement]:
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


def robust_faithfulness(trial: Trial) -> float:
    """The least faithfulness over `ROBUST`, without what `robustness` measures beside it."""
    edits: dict[str, EditOf] = {name: _edit_of(trial, name) for name in NODE_ABLATIONS if name in ROBUST}
    standings, empty = ({name: standing(trial, edit(kept)) for name, edit in edits.items()} for kept in _ends(trial))
    return min(_faithful({**standings, "stochastic": _mean(_subsets(trial))}, empty).values())


def standing(trial: Trial, edit: Edit) -> Standing:
    """How the model stands under an edit."""
    batch = trial.batch
    logits = answer_logits(trial.model, batch, edit)
    return Standing(
        metrics.task_loss(logits, batch.answer, batch.other),
        metrics.pair_kl(trial.explained, logits, batch.answer, batch.other),
    )


def _edits(trial: Trial) -> Mapping[str, EditOf]:
    """The edits of the ablations that ablate every node outside a circuit."""
    return {name: _edit_of(trial, name) for name in NODE_ABLATIONS if trial.position_means or name != "position_mean"}


def _edit_of(trial: Trial, ablation: NodeAblation) -> EditOf:
    held = trial.held_on(ablation)(trial.batch)
    return lambda circuit: ablate(circuit, held)


def _ends(trial: Trial) -> tuple[Circuit, Circuit]:
    """The circuit, and the empty one that it is held to."""
    return trial.circuit, Circuit.empty(trial.sites)


def _faithful(standings: Mapping[str, Standing], empty: Mapping[str, Standing]) -> dict[str, float]:
    """Faithfulness by ablation; those that choose whom to ablate are held to the empty circuit at its means."""
    return {
        name: metrics.faithfulness(found.kl, empty.get(name, empty["mean"]).kl) for name, found in standings.items()
    }


def _subsets(trial: Trial) -> list[Standing]:
    """The circuit beside random parts of the rest."""
    return [_with(trial, random_subset(trial.circuit, trial.sites, trial.generator)) for _ in range(DRAWS)]


def _with(trial: Trial, kept: Tensor) -> Standing:
    """The circuit with some of the nodes outside it kept, the others at their means."""
    return standing(trial, keep_only(partly_ablated(trial.circuit, kept, trial.sites), trial.means))


def _adversarial(trial: Trial) -> Standing:
    """The circuit with the nodes outside it kept that hurt it most."""

    def loss(circuit: Circuit) -> float:
        return standing(trial, keep_only(circuit, trial.means)).loss

    return _with(trial, adversarial_subset(trial.circuit, trial.sites, loss, trial.generator, ROUNDS))


def _random_losses(trial: Trial, edits: Mapping[str, EditOf]) -> dict[str, float]:
    """Mean task loss of random circuits of equal size per site, by ablation."""
    circuits = [random_circuit(trial.circuit, trial.generator) for _ in range(RANDOM_CIRCUITS)]
    return {name: _mean([standing(trial, edit(each)) for each in circuits]).loss for name, edit in edits.items()}


def _mean(standings: list[Standing]) -> Standing:
    count = len(standings)
    return Standing(sum(each.loss for each in standings) / count, sum(each.kl for each in standings) / count)


def _rows(
    trial: Trial, standings: Mapping[str, Standing], faithful: Mapping[str, float], random: Mapping[str, float]
) -> Iterator[Measurement]:
    """The rows of each ablation; those of the finder's own ablation are measured with the circuit."""
    n = trial.batch.clusters
    for name, found in standings.items():
        if name != trial.ablation:
            yield Measurement("faithfulness", faithful[name], n=n, ablation=name)
            yield Measurement("circuit_loss", found.loss, n=n, ablation=name)
    for name, loss in random.items():
        yield Measurement("random_circuit_loss", loss, n=n, ablation=name)
