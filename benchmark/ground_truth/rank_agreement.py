"""How well a metric agrees with the truth about circuits of trained models: rank correlations over circuits.

Each model has circuits of every quality: the known one (or the result of a long search), the same circuit with a sixth,
a third and two thirds of its nodes swapped, random ones of equal size, and circuits discovered at the target with
various rankings and budgets. A metric's agreement is Spearman's correlation with the truth over the circuits of a
model, signed so that it is positive if better goes with truer, averaged over the models of each training and then over
trainings.

The interval resamples trainings, since conclusions are about other trainings of their kind (a model and its
dictionaries are not independent), and then circuits within each model, which are random draws as well.

If the nodes are known, the truth of a circuit is an F1, which penalises superfluous nodes. Quality and size must be
kept apart:

- a metric of how *good* a circuit is is compared with F1 among circuits with as many nodes as the known one. Over all
  sizes even `faithfulness` is unrelated to F1 (0.03), because a circuit ten times too large is faithful; with
  interchange accuracy as the truth, the correlation over all sizes is 0.90. This rule was set after the first results,
  but no verdict depended on it.
- a metric of how *large* a circuit is is compared among circuits that meet the target, as on the leaderboard.

If the truth says only what a circuit does, all circuits count and sizes are not judged.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from benchmark import metrics
from benchmark.discovery.search import Budget
from benchmark.ground_truth.circuit_metrics import TARGET, Case, RankableMetric
from benchmark.ground_truth.trained_models import TrainedModel
from benchmark.interventions.ablation import keep_only, random_circuit
from benchmark.model.circuit import Circuit
from benchmark.seeds import seed_of
from benchmark.statistics.intervals import UNKNOWN, Interval, cluster_bootstrap, spearman
from benchmark.tasks.answers import answer_logits

SWAPPED = (1 / 6, 1 / 3, 2 / 3)
"""Shares of the known circuit's nodes that are swapped for other nodes."""

DRAWS = 4
"""Number of circuits per share; half as many more are random."""

SEARCHES: tuple[tuple[str, int], ...] = (
    *(("mask", tokens) for tokens in (1_000, 3_000, 10_000, 30_000) for _ in range(2)),
    *(("attribution", tokens) for tokens in (100, 1_000)),
    *(("random", 1_000) for _ in range(2)),
)
"""Ranking and budget in prompt tokens of each discovered circuit."""

FEWEST = 5
"""Minimum number of circuits of a model for a correlation."""

RESAMPLES = 500
"""Number of bootstrap draws."""


@dataclass(frozen=True, eq=False)
class Examined:
    """A trained model, circuits of it, and the truth about them.

    Attributes:
        truths: How right each circuit is.
        reached: Whether each circuit meets the target on validation prompts.
        equal: Whether each circuit has as many nodes as the known one.
    """

    known: TrainedModel
    cases: Sequence[Case]
    truths: Float[NDArray[np.float64], " circuit"]
    reached: Bool[NDArray[np.bool_], " circuit"]
    equal: Bool[NDArray[np.bool_], " circuit"]

    def counts(self, metric: RankableMetric) -> Bool[NDArray[np.bool_], " circuit"]:
        """The circuits on which a metric is compared with the truth."""
        if not self.known.exact:
            return np.full(len(self.cases), not metric.is_size)
        return self.reached if metric.is_size else self.equal


@dataclass(frozen=True)
class RankAgreement:
    """How well a metric agrees with the truth: its mean rank correlation and 95 % limits, and the numbers behind it.

    Positive if better values go with truer circuits, `nan` if undefined.
    """

    correlation: float = math.nan
    low: float = math.nan
    high: float = math.nan
    models: int = 0
    circuits: int = 0


def examined(known: TrainedModel) -> Examined:
    """Draw and discover circuits of a model, and find out how right they are."""
    cases, batch = list(population(known)), known.prompts.validation
    truths = np.array([known.truth(case.circuit) for case in cases])
    with torch.no_grad():
        logits = [answer_logits(known.model, batch, keep_only(case.circuit, known.means)) for case in cases]
    losses = np.array([metrics.task_loss(each, batch.answer, batch.other) for each in logits])
    nodes = np.array([metrics.node_count(case.circuit) for case in cases])
    return Examined(known, cases, truths, losses <= TARGET, nodes == metrics.node_count(known.circuit))


def agreement(metric: RankableMetric, models: Sequence[Examined]) -> RankAgreement:
    """How well a metric agrees with the truth; the same arguments give the same interval."""
    origin = attrgetter("known.origin")
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

    The nodes of a site that is kept whole stay, since there is nothing to swap them for.
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
    """Circuits of a model, of every quality."""
    generator = torch.Generator().manual_seed(seed_of("truth", known.name))
    circuit = known.circuit
    wrong = [degraded(circuit, generator, share) for share in SWAPPED for _ in range(DRAWS)]
    random = [random_circuit(circuit, generator) for _ in range(DRAWS + DRAWS // 2)]
    for each in (circuit, *wrong, *random):
        yield replace(Case.of(known, each, generator), generator=torch.Generator())
    for ranking, tokens in SEARCHES:
        budget = Budget(tokens=tokens, learning_rate=0.03)
        found = known.search(budget, generator, target=TARGET, ranking=ranking)
        yield Case(known, found.circuit, found.order, torch.Generator())


def _row(metric: RankableMetric, model: Examined) -> Float[NDArray[np.float64], "circuit 2"] | None:
    """Signed metric and truth of the circuits that count; `None` if there are too few."""
    sign = -1.0 if metric.direction == "lower" else 1.0
    pairs = []
    for number in model.counts(metric).nonzero()[0].tolist():
        case = model.cases[number]
        case.generator.manual_seed(seed_of("truth score", model.known.name, number))  # independent of earlier scores
        pairs.append((sign * metric.score(case), model.truths[number]))
    found = np.array([pair for pair in pairs if not math.isnan(pair[0])]).reshape(-1, 2)
    return found if len(found) >= FEWEST else None


def _mean(values: Sequence[float]) -> float:
    """Mean of the values that are defined; `nan` if none is."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
