"""How well a metric agrees with the truth about circuits of trained models: rank correlations over circuits.

Each model has circuits of every quality: the known one (or what a long search keeps), the same with a sixth, a third
and two thirds of its nodes swapped, random ones of equal size, and those that the finder cuts to the target by other
rankings and budgets. A metric's agreement is Spearman's correlation with the truth over the circuits of a model, the
sign such that better goes with truer, averaged over the models of each training and then over trainings.

The interval draws trainings with replacement, as it is to others of their kind that one wants to conclude (a model and
its dictionaries stand or fall together), and then circuits within each model, as they are draws too.

Where the nodes are known, the truth of a circuit (F1) counts superfluous nodes; quality and size must be told apart:

- a metric that says how *good* a circuit is is compared with it among circuits with as many nodes as the known one.
  Over all sizes even `faithfulness` has nothing to do with F1 (0.03): a circuit ten times too large is faithful. With
  interchange accuracy as the truth, all sizes give 0.90. The rule was set after first results; no verdict hung on it.
- a metric that says how *large* it is, among circuits that do the task at the target, as the leaderboard does.

Where the truth says only what a circuit does, all circuits count, and sizes are not asked.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from benchmark import metrics
from benchmark.discovery.finder import find_circuit
from benchmark.discovery.search import Budget
from benchmark.ground_truth.circuit_metrics import TARGET, Case, RankableMetric
from benchmark.ground_truth.trained_models import TrainedModel
from benchmark.interventions.ablation import keep_only, random_circuit
from benchmark.model.circuit import Circuit
from benchmark.seeds import seed_of
from benchmark.statistics.intervals import UNKNOWN, Interval, cluster_bootstrap, spearman
from benchmark.tasks.answers import answer_logits

SWAPPED = (1 / 6, 1 / 3, 2 / 3)
"""Shares of the known circuit's nodes that are swapped for others."""

DRAWS = 4
"""Circuits of each share; half as many again are random."""

SEARCHES: tuple[tuple[str, int], ...] = (
    *(("mask", tokens) for tokens in (1_000, 3_000, 10_000, 30_000) for _ in range(2)),
    *(("attribution", tokens) for tokens in (100, 1_000)),
    *(("random", 1_000) for _ in range(2)),
)
"""Rankings and prompt tokens of the circuits that are found."""

FEWEST = 5
"""Circuits of a model below which there is no correlation."""

RESAMPLES = 500
"""Draws of the bootstrap."""


@dataclass(frozen=True, eq=False)
class Examined:
    """A trained model, circuits of it, and the truth about them.

    Attributes:
        known: The model.
        cases: Its circuits.
        truths: How right each is.
        reached: Whether each does the task, at the target on validation prompts.
        equal: Whether each has as many nodes as the known one.
    """

    known: TrainedModel
    cases: Sequence[Case]
    truths: Float[NDArray[np.float64], " circuit"]
    reached: Bool[NDArray[np.bool_], " circuit"]
    equal: Bool[NDArray[np.bool_], " circuit"]

    def counts(self, metric: RankableMetric) -> Bool[NDArray[np.bool_], " circuit"]:
        """Circuits on which a metric is compared with the truth."""
        if not self.known.exact:
            return np.full(len(self.cases), not metric.is_size)
        return self.reached if metric.is_size else self.equal


@dataclass(frozen=True)
class RankAgreement:
    """How well a metric agrees with the truth: mean rank correlation over models and circuits, and its 95 % limits.

    It is positive if better values go with truer circuits, `nan` if there is none.
    """

    correlation: float = math.nan
    low: float = math.nan
    high: float = math.nan
    models: int = 0
    circuits: int = 0


def examined(known: TrainedModel) -> Examined:
    """Draw and find circuits of a model, and ask the truth about them."""
    cases = list(population(known))
    truths = np.array([known.truth(case.circuit) for case in cases])
    losses = np.array([_validation_loss(case) for case in cases])
    nodes = np.array([metrics.node_count(case.circuit) for case in cases])
    return Examined(known, cases, truths, losses <= TARGET, nodes == metrics.node_count(known.circuit))


def agreement(metric: RankableMetric, models: Sequence[Examined]) -> RankAgreement:
    """How well a metric agrees with the truth; the same arguments give the same interval."""

    def origin(model: Examined) -> str:
        return model.known.origin

    groups = [
        [row for model in group if (row := _row(metric, model)) is not None]
        for _, group in groupby(sorted(models, key=origin), key=origin)
    ]
    groups = [rows for rows in groups if rows]
    sizes = [len(row) for rows in groups for row in rows]
    generator = np.random.default_rng(seed_of("truth", metric.name))

    def resampled(row: NDArray[np.float64]) -> float:
        return spearman(*row[generator.integers(len(row), size=len(row))].T)

    def drawn(chosen: Int[NDArray[np.int64], " group"]) -> float:
        return _mean([_mean([resampled(row) for row in groups[group]]) for group in chosen])

    value = _mean([_mean([spearman(*row.T) for row in rows]) for rows in groups])
    interval: Interval = cluster_bootstrap(drawn, len(groups), generator, RESAMPLES) if groups else UNKNOWN
    return RankAgreement(value, *interval, len(sizes), sum(sizes))


def degraded(circuit: Circuit, generator: torch.Generator, share: float = 1 / 3) -> Circuit:
    """A circuit with a share of its nodes, at least one, swapped for nodes of the same site that it does not keep.

    A site that is kept whole has none to swap for: its nodes stay.
    """
    masks = {name: mask.clone() for name, mask in circuit.masks.items()}
    nodes = [(name, node) for name, kept in circuit.kept().items() for node in kept]
    swapped = torch.randperm(len(nodes), generator=generator)[: max(1, round(len(nodes) * share))]
    for name, node in (nodes[index] for index in swapped.tolist()):
        outside = (~circuit.masks[name] & ~masks[name]).nonzero().flatten()
        if len(outside):
            masks[name][node] = False
            masks[name][outside[torch.randint(len(outside), (1,), generator=generator)]] = True
    return Circuit(masks)


def population(known: TrainedModel) -> Iterator[Case]:
    """Circuits of every quality."""
    generator = torch.Generator().manual_seed(seed_of("truth", known.name))
    circuit = known.circuit
    wrong = [degraded(circuit, generator, share) for share in SWAPPED for _ in range(DRAWS)]
    random = [random_circuit(circuit, generator) for _ in range(DRAWS + DRAWS // 2)]
    for each in (circuit, *wrong, *random):
        yield replace(Case.of(known, each, generator), generator=torch.Generator())
    for ranking, tokens in SEARCHES:
        budget = Budget(tokens=tokens, learning_rate=0.03, coefficients=(1e-3, 1e-2))
        found = find_circuit(
            known.model, known.prompts, known.means, graph="unit", target=TARGET, ranking=ranking, budget=budget,
            generator=generator,
        )  # fmt: skip
        yield Case(known, found.circuit, found.order, torch.Generator())


@torch.no_grad()
def _validation_loss(case: Case) -> float:
    batch, known = case.known.prompts.validation, case.known
    logits = answer_logits(known.model, batch, keep_only(case.circuit, known.means))
    return metrics.task_loss(logits, batch.answer, batch.other)


def _row(metric: RankableMetric, model: Examined) -> Float[NDArray[np.float64], "circuit 2"] | None:
    """Oriented metric and truth of the circuits that count; `None` if they are too few."""
    sign = -1.0 if metric.direction == "lower" else 1.0
    pairs = []
    for number in model.counts(metric).nonzero()[0].tolist():
        case = model.cases[number]
        case.generator.manual_seed(seed_of("truth score", model.known.name, number))  # whatever was scored before
        pairs.append((sign * metric.score(case), model.truths[number]))
    found = np.array([pair for pair in pairs if not math.isnan(pair[0])]).reshape(-1, 2)
    return found if len(found) >= FEWEST else None


def _mean(values: Sequence[float]) -> float:
    """Mean of those that are defined; `nan` without any."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
