"""The claims about sparse circuits, each with its number, its interval and a verdict by a rule that is declared here.

A claim is confirmed where the whole interval lies on the claimed side of its bound, refuted where it lies on the other
side, and undecided else. Intervals are Student's t over training seeds, from three seeds on; for ratios of sizes they
are over tasks, which is what one wants to conclude to. Of one seed only the intervals over prompts or windows are
known, which say nothing about the method: the verdict is then undecided.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmark.leaderboard.ranking import Board, Place, aggregated
from benchmark.metrics.registry import METRICS
from benchmark.statistics.intervals import UNKNOWN, Interval, proportion_interval, student_interval
from benchmark.studies.compare import compare, place_named
from benchmark.studies.frontier import SweepRow, settings_of

Verdict = Literal["confirmed", "refuted", "undecided"]


@dataclass(frozen=True)
class Criterion:
    """One number that a claim can be judged by.

    Attributes:
        of: What it is of, to be printed.
        method: The method.
        metric: The metric, a mean over tasks and concepts.
        bound: Where the claim begins to hold.
        above: Whether it holds above the bound or below.
        over: Another metric of the same method that the number is divided by; empty for none.
        over_method: Another method whose metric the number is divided by, over the tasks that both reach.
        graph: Whose circuits.
        variant: How the method's artifact is read; empty for the first way that is ranked.
        among: A count that has to add up to `ENOUGH` over the seeds for the number to mean anything; empty for none.
    """

    of: str
    method: str
    metric: str
    bound: float
    above: bool = True
    over: str = ""
    over_method: str = ""
    graph: Literal["unit", "channel"] = "unit"
    variant: str = ""
    among: str = ""


@dataclass(frozen=True)
class AtPoint:
    """One number of an operating point of the sweep that a claim can be judged by.

    Attributes:
        of: What it is of, to be printed; `{times}` stands for how many times the family's own value the setting is.
        method: The family.
        raised: The setting whose highest point it is.
        column: Of `sweep.csv`; its limits are those of the interval.
        bound: Where the claim begins to hold.
        above: Whether it holds above the bound or below.
    """

    of: str
    method: str
    raised: str
    column: str
    bound: float
    above: bool = True


@dataclass(frozen=True)
class Claim:
    """Something that is said of sparse circuits.

    Attributes:
        sentence: What is said.
        criteria: The numbers that it is judged by.
    """

    sentence: str
    criteria: tuple[Criterion | AtPoint, ...]


@dataclass(frozen=True)
class Finding:
    """A criterion applied.

    Attributes:
        value: The number; `nan` where there is none.
        interval: Its 95 % interval, of a share of too few cases the exact one; unknown where the verdict says why.
        seeds: Training seeds behind it.
        verdict: Whether the claim holds.
        reason: Why it is undecided, and which seeds were left out; empty if neither.
    """

    value: float
    interval: Interval
    seeds: int
    verdict: Verdict
    reason: str = ""


ENOUGH = 10
"""Cases below which a share says nothing."""

_DICTIONARIES = ("sae", "transcoder", "clt")

# Where each claim begins to hold; its sentence says the same number.
SMALLER, DENSE, OF_NULL, FOLD, ALIKE = 8.0, 0.25, 0.5, 10.0, 0.9
ILLUSIONS, REPLACED, PRIVILEGED, DILUTED = 0.1, 0.5, 0.2, -0.5

CLAIMS: tuple[Claim, ...] = (
    Claim(
        f"weight-sparse circuits are about 16 times smaller than dense ones at equal loss (at least {SMALLER:g} times)",
        (
            Criterion(
                "edges, dense / weight_sparse", "dense", "edges", SMALLER, over_method="weight_sparse", graph="channel"
            ),
            Criterion(
                "edges, dense / activation_sparse",
                *("dense", "edges", SMALLER),
                over_method="activation_sparse",
                graph="channel",
            ),
            Criterion(
                "verified edges, dense / weight_sparse",
                *("dense", "verified_edges", SMALLER),
                over_method="weight_sparse",
                graph="channel",
            ),
        ),
    ),
    Claim(
        f"connections between features are dense: over {DENSE:.0%} of all pairs are needed to carry 95 % of what is "
        f"read, and more than {OF_NULL:.0%} of what permuted decoders need",
        (
            *(
                Criterion(f"density, {name}", name, "connection_density", DENSE)
                for name in ("transcoder", "clt", "weight_sparse")
            ),
            *(
                Criterion(
                    f"density / null, {name}", name, "connection_density", OF_NULL, over="connection_density_null"
                )
                for name in ("transcoder", "clt")
            ),
        ),
    ),
    Claim(
        "errors of dictionaries compound over layers: more than one layer at a time adds up to",
        tuple(
            Criterion(f"KL together / added up, {name}", name, "error_compounding", 1.0, variant="errors_available")
            for name in _DICTIONARIES
        ),
    ),
    Claim(
        "raising L0 or width does not fix it: at the highest of either, circuits of dictionaries still have more edges "
        "than those of weight-sparse transformers",
        tuple(
            AtPoint(f"{name}, {{times}} {said} / weight_sparse", name, key, "over_weight_sparse", 1.0)
            for name in _DICTIONARIES
            for key, said in (("k", "L0"), ("features", "width"))
        ),
    ),
    Claim(
        "wider dictionaries split features: the widest divide a feature of the preset's among more of theirs than are "
        "needed by chance, or the other way round",
        tuple(AtPoint(f"splitting, {name}", name, "features", "splitting", 1.0) for name in _DICTIONARIES),
    ),
    Claim(
        f"some features are naturally sparser than others: rates differ {FOLD:g}-fold between the 10th and "
        "90th percentile",
        tuple(Criterion(f"ln ratio, {name}", name, "firing_rate_spread", math.log(FOLD)) for name in _DICTIONARIES),
    ),
    Claim(
        f"sparse and dense models find the same tokens hard (the paper: 0.93; here: above {ALIKE:g})",
        (
            Criterion("correlation, weight_sparse with dense", "weight_sparse", "token_loss_correlation", ALIKE),
            Criterion("correlation, dense with its next seed", "dense", "token_loss_correlation", ALIKE),
        ),
    ),
    Claim(
        f'top-activating examples hide "dogs on jetskis": of nodes named by them over {ILLUSIONS:.0%} are illusions',
        tuple(
            Criterion(f"illusion rate, {name}", name, "illusion_rate", ILLUSIONS, among="named_nodes")
            for name in (*_DICTIONARIES, "weight_sparse")
        ),
    ),
    Claim(
        f"labels can replace a feature of their concept: over {REPLACED:.0%} of what it does",
        tuple(
            Criterion(f"label replacement, {name}", name, "label_replacement_score", REPLACED)
            for name in (*_DICTIONARIES, "weight_sparse")
        ),
    ),
    Claim(
        f"neurons have a privileged basis, the residual stream has none (ln kurtosis, own basis over random: "
        f"{PRIVILEGED:g})",
        (
            Criterion("neurons, dense", "dense", "basis_privilege_neuron", PRIVILEGED),
            Criterion("residual reads, dense", "dense", "basis_privilege_residual_read", PRIVILEGED, above=False),
            Criterion(
                "residual reads, weight_sparse",
                "weight_sparse",
                "basis_privilege_residual_read",
                PRIVILEGED,
                above=False,
            ),
        ),
    ),
    Claim(
        f"attention averages, so bracket depth dilutes with length (log-log slope: -1 for averaging, "
        f"below {DILUTED:g})",
        tuple(
            Criterion(f"slope, {name}", name, "dilution_slope", DILUTED, above=False)
            for name in ("dense", "weight_sparse", "activation_sparse")
        ),
    ),
)
"""What is said, in the order of the talk that it is from."""


def findings(
    board: Board, sweep: Sequence[SweepRow], generator: np.random.Generator
) -> list[tuple[Claim, list[Finding]]]:
    """All claims, judged by the rows of one preset.

    Args:
        board: The rows.
        sweep: Operating points of the same preset.
        generator: Source of resampled tasks.
    """
    return [
        (
            replace(claim, criteria=tuple(_said(sweep, one) for one in claim.criteria)),
            [
                _at_point(sweep, one) if isinstance(one, AtPoint) else _finding(board, one, generator)
                for one in claim.criteria
            ],
        )
        for claim in CLAIMS
    ]


def _times(sweep: Sequence[SweepRow], criterion: AtPoint) -> float:
    """The highest value of a setting over the family's own, which is the one of most points; 1 if it was not raised."""
    found = [settings_of(row) for row in sweep if row.family == criterion.method]
    values = [settings[criterion.raised] for settings in found if criterion.raised in settings]
    return max(values) / min(values, key=lambda value: (-values.count(value), value)) if values else 1.0


def _said(sweep: Sequence[SweepRow], criterion: Criterion | AtPoint) -> Criterion | AtPoint:
    """A criterion whose text says how far the setting was raised."""
    if isinstance(criterion, Criterion):
        return criterion
    times = _times(sweep, criterion)
    return replace(criterion, of=criterion.of.format(times=f"{times:.3g}x" if times > 1 else "more"))


def _at_point(sweep: Sequence[SweepRow], criterion: AtPoint) -> Finding:
    """Of the point of a family at which a setting is highest."""
    rows = [row for row in sweep if row.family == criterion.method and criterion.raised in settings_of(row)]
    if not rows:
        return _undecided(f"no operating points of {criterion.method}: `bench sweep {criterion.method}` makes them")
    row = max(rows, key=lambda one: settings_of(one)[criterion.raised])
    value, low, high = (getattr(row, criterion.column + end) for end in ("", "_low", "_high"))
    if value is None:
        return _undecided(row.reason or f"no value of {criterion.column}", seeds=row.seeds)
    if _times(sweep, criterion) <= 1:
        return _undecided(
            f"no point of {criterion.method} has a higher {criterion.raised} than its own", value, row.seeds
        )
    if low is None:
        over_tasks = hasattr(row, f"{criterion.column}_tasks")
        return _undecided("one task" if over_tasks else f"{_seeds(row.seeds)}: no interval", value, row.seeds)
    return _judged(criterion, value, Interval(low, high), row.seeds)


def _finding(board: Board, criterion: Criterion, generator: np.random.Generator) -> Finding:
    try:
        place = _place(board, criterion.method, criterion.variant, criterion.graph)
        return _ratio(board, criterion, place, generator) if criterion.over_method else _mean(board, criterion, place)
    except ValueError as error:
        return _undecided(str(error))


def _place(board: Board, method: str, variant: str, graph: str) -> Place:
    return place_named(board, f"{method}/{variant}" if variant else method)._replace(graph=graph)


def _ratio(board: Board, criterion: Criterion, place: Place, generator: np.random.Generator) -> Finding:
    """Of sizes, over the tasks that both methods reach."""
    other = _place(board, criterion.over_method, "", criterion.graph)
    found = compare(board.records, place, other, board.rules, generator, criterion.metric).ratio
    shared = (board.reached(each, criterion.metric).keys() for each in (place, other))
    seeds = {seed for _, seed in set.intersection(*map(set, shared))}
    if found.tasks < 2:
        return _undecided("no task that both reach" if not found.tasks else "one task", found.value, len(seeds))
    return _judged(criterion, found.value, Interval(found.low, found.high), len(seeds))


def _mean(board: Board, criterion: Criterion, place: Place) -> Finding:
    """Of a metric over tasks, then over seeds."""
    by_seed = _by_seed(board, place, criterion.metric)
    if not criterion.over:
        return _of_seeds(board, criterion, place, by_seed)
    below = _by_seed(board, place, criterion.over)
    ratios = {seed: value / below[seed] for seed, value in by_seed.items() if below.get(seed)}
    finding = _of_seeds(board, criterion, place, ratios)
    left_out = [f"seed {seed}" for seed in by_seed if seed not in ratios]
    told = [f"{', '.join(left_out)} left out: {criterion.over} is 0 or not known there"] * bool(left_out)
    return replace(finding, reason="; ".join([*filter(None, [finding.reason]), *told]))


def _of_seeds(board: Board, criterion: Criterion, place: Place, by_seed: Mapping[int | None, float]) -> Finding:
    """Of one number per seed."""
    values = list(by_seed.values())
    if not values:
        return _undecided(f"no value of {criterion.metric}")
    if criterion.among:
        cases = _by_seed(board, place, criterion.among)
        if sum(cases.values()) < ENOUGH:
            return _few(criterion, by_seed, cases)
    value = sum(values) / len(values)
    interval = student_interval(values)
    if math.isnan(interval.low):
        return _undecided(f"{_seeds(len(values))}: no interval", value, len(values))
    return _judged(criterion, value, interval, len(values))


def _few(criterion: Criterion, by_seed: Mapping[int | None, float], cases: Mapping[int | None, float]) -> Finding:
    """A share of too few cases to judge by: that of all seeds' cases together, with its exact interval."""
    counted = round(sum(value * cases.get(seed, 0) for seed, value in by_seed.items()))
    every = round(sum(cases.values()))
    told = f"{every} {criterion.among.replace('_', ' ')} in all"
    return _undecided(told, counted / every if every else math.nan, len(by_seed), proportion_interval(counted, every))


def _by_seed(board: Board, place: Place, metric: str) -> Mapping[int | None, float]:
    found: dict[int | None, list[float]] = {}
    for (_, seed), row in board.reached(place, metric).items():
        assert row.value is not None
        found.setdefault(seed, []).append(row.value)
    return {seed: aggregated(values, METRICS[metric].aggregate) for seed, values in found.items()}


def _seeds(count: int) -> str:
    return f"{count} training seed{'s' if count > 1 else ''}"


def _judged(criterion: Criterion | AtPoint, value: float, interval: Interval, seeds: int) -> Finding:
    """The verdict on a number with an interval."""
    low, high = (interval.low, interval.high) if criterion.above else (-interval.high, -interval.low)
    bound = criterion.bound if criterion.above else -criterion.bound
    if low > bound:
        return Finding(value, interval, seeds, "confirmed")
    if high < bound:
        return Finding(value, interval, seeds, "refuted")
    return Finding(value, interval, seeds, "undecided", f"the interval holds the bound, {criterion.bound:g}")


def _undecided(reason: str, value: float = math.nan, seeds: int = 0, interval: Interval = UNKNOWN) -> Finding:
    return Finding(value, interval, seeds, "undecided", reason)
