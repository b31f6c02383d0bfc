"""The claims about sparse circuits, each with its number, its interval and a verdict by a rule that is declared here.

A claim is confirmed where the whole interval lies on the claimed side of its bound, refuted where it lies on the other
side, and undecided else. Intervals are Student's t over training seeds, from three seeds on; for ratios of sizes they
are over tasks, which is what one wants to conclude to. Of one seed only the intervals over prompts or windows are
known, which say nothing about the method: the verdict is then undecided.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from benchmark.leaderboard.ranking import Board, EntryKey, aggregated, over_seeds
from benchmark.methods import METHODS, dictionaries, with_role
from benchmark.metrics.registry import METRICS
from benchmark.metrics.shares import share
from benchmark.seeds import seed_of
from benchmark.statistics.intervals import UNKNOWN, Interval, proportion_interval
from benchmark.studies.compare import place_named, ratio_of_sizes, values
from benchmark.studies.frontier import SweepRow, settings_of

Verdict = Literal["confirmed", "refuted", "undecided"]


@dataclass(frozen=True)
class Criterion:
    """One number that a claim can be judged by.

    Attributes:
        of: What it is of, to be printed.
        method: The method.
        metric: The metric, summed up over tasks and concepts, then over seeds, as it asks for; a ratio by the median.
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


# Where each claim begins to hold; its sentence says the same number.
SMALLER, DENSE, OF_NULL, FOLD, ALIKE = 8.0, 0.25, 0.5, 10.0, 0.9
ILLUSIONS, REPLACED, PRIVILEGED, DILUTED = 0.1, 0.5, 0.2, -0.5


def claims() -> list[Claim]:
    """What is said, in the order of the talk that it is from, of the installed methods by what their records declare.

    Sparse are all methods but controls and the last reference, the dense model that the others are held against.
    """
    lead, dense = (*with_role("reference"), "", "")[:2]
    native = [method.name for method in METHODS.values() if not method.explains and method.role != "control"]
    native.sort(key=lambda name: name != lead)
    coded = dictionaries()
    sparse = [*coded, *(name for name in native if name != dense)]
    told = (
        *_of_sizes(lead, dense, native),
        *_of_dictionaries(lead, coded, sparse),
        *_of_losses(lead, dense),
        *_of_labels(sparse),
        *_of_transformers(lead, dense, native),
    )
    return [claim for claim in told if claim.criteria]


def _of_sizes(lead: str, dense: str, native: Sequence[str]) -> Iterator[Claim]:
    compared = [("edges", name) for name in native if name != dense] + [("verified_edges", lead)]
    yield Claim(
        f"weight-sparse circuits are about 16 times smaller than dense ones at equal loss (at least {SMALLER:g} times)",
        tuple(
            Criterion(
                f"{metric.replace('_', ' ')}, {dense} / {name}",
                *(dense, metric, SMALLER),
                over_method=name,
                graph="channel",
            )
            for metric, name in compared
        ),
    )


def _of_dictionaries(lead: str, coded: Sequence[str], sparse: Sequence[str]) -> Iterator[Claim]:
    density = "connection_density"
    yield Claim(
        f"connections between features are dense: over {DENSE:.0%} of all pairs are needed to carry 95 % of what is "
        f"read, and more than {OF_NULL:.0%} of what permuted decoders need",
        (
            *(Criterion(f"density, {name}", name, density, DENSE) for name in sparse),
            *(Criterion(f"density / null, {name}", name, density, OF_NULL, over=f"{density}_null") for name in coded),
        ),
    )
    yield Claim(
        "errors of dictionaries compound over layers: more than one layer at a time adds up to",
        tuple(
            Criterion(f"KL together / added up, {name}", name, "error_compounding", 1.0, variant="errors_available")
            for name in coded
        ),
    )
    axes = [(name, axis) for name in coded for axis in METHODS.named(name).sweep]
    yield Claim(
        "raising L0 or width does not fix it: at the highest of either, circuits of dictionaries still "
        "have more edges than those of weight-sparse transformers",
        tuple(
            AtPoint(f"{name}, {{times}} {axis.quantity or axis.key} / {lead}", name, axis.key, "over_reference", 1.0)
            for name, axis in axes
        ),
    )
    yield Claim(
        "wider dictionaries split features: the widest that was swept divides a feature among more of its own than are "
        "needed by chance, or the other way round",
        tuple(
            AtPoint(f"splitting, {name}", name, axis.key, "splitting", 1.0)
            for name, axis in axes
            if axis.quantity == "width"
        ),
    )
    yield Claim(
        f"some features are naturally sparser than others: rates differ {FOLD:g}-fold between the 10th and 90th "
        "percentile",
        tuple(Criterion(f"ln ratio, {name}", name, "firing_rate_spread", math.log(FOLD)) for name in coded),
    )


def _of_losses(lead: str, dense: str) -> Iterator[Claim]:
    yield Claim(
        f"sparse and dense models find the same tokens hard (the paper: 0.93; here: above {ALIKE:g})",
        (
            Criterion(f"correlation, {lead} with {dense}", lead, "token_loss_correlation", ALIKE),
            Criterion(f"correlation, {dense} with its next seed", dense, "token_loss_correlation", ALIKE),
        ),
    )


def _of_labels(sparse: Sequence[str]) -> Iterator[Claim]:
    yield Claim(
        f'top-activating examples hide "dogs on jetskis": of nodes named by them over {ILLUSIONS:.0%} are illusions',
        tuple(
            Criterion(f"illusion rate, {name}", name, "illusion_rate", ILLUSIONS, among="named_nodes")
            for name in sparse
        ),
    )
    yield Claim(
        f"labels can replace a feature of their concept: over {REPLACED:.0%} of what it does",
        tuple(Criterion(f"label replacement, {name}", name, "label_replacement_score", REPLACED) for name in sparse),
    )


def _of_transformers(lead: str, dense: str, native: Sequence[str]) -> Iterator[Claim]:
    yield Claim(
        f"neurons have a privileged basis, the residual stream has none (ln kurtosis, own basis over random: "
        f"{PRIVILEGED:g})",
        (
            Criterion(f"neurons, {dense}", dense, "basis_privilege_neuron", PRIVILEGED),
            *(
                Criterion(f"residual reads, {name}", name, "basis_privilege_residual_read", PRIVILEGED, above=False)
                for name in (dense, lead)
            ),
        ),
    )
    yield Claim(
        "attention averages, so bracket depth dilutes with length (log-log slope: -1 for averaging, "
        f"below {DILUTED:g})",
        tuple(Criterion(f"slope, {name}", name, "dilution_slope", DILUTED, above=False) for name in native),
    )


def findings(board: Board, sweep: Sequence[SweepRow]) -> list[tuple[Claim, list[Finding]]]:
    """All claims, judged by the rows of one preset.

    Args:
        board: The rows.
        sweep: Operating points of the same preset.
    """
    return [
        (
            replace(claim, criteria=tuple(_said(sweep, one) for one in claim.criteria)),
            [_at_point(sweep, one) if isinstance(one, AtPoint) else _finding(board, one) for one in claim.criteria],
        )
        for claim in claims()
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


def _finding(board: Board, criterion: Criterion) -> Finding:
    try:
        place = _place(board, criterion.method, criterion.variant, criterion.graph)
        return _ratio(board, criterion, place) if criterion.over_method else _mean(board, criterion, place)
    except ValueError as error:
        return _undecided(str(error))


def _place(board: Board, method: str, variant: str, graph: str) -> EntryKey:
    return place_named(board, f"{method}/{variant}" if variant else method)._replace(graph=graph)


def _ratio(board: Board, criterion: Criterion, place: EntryKey) -> Finding:
    """Of sizes, over the tasks that both methods reach."""
    other = _place(board, criterion.over_method, "", criterion.graph)
    generator = np.random.default_rng(seed_of("claims", board.preset, criterion.of))
    found = ratio_of_sizes(board, place, other, criterion.metric, generator)
    keys = [values(board, each, criterion.metric).index for each in (place, other)]
    seeds = keys[0].intersection(keys[1]).unique("seed")
    if found.tasks < 2:
        return _undecided("no task that both reach" if not found.tasks else "one task", found.value, len(seeds))
    return _judged(criterion, found.value, Interval(found.low, found.high), len(seeds))


def _mean(board: Board, criterion: Criterion, place: EntryKey) -> Finding:
    """Of a metric, or of the ratio of two, over tasks, then over seeds."""
    by_seed = _by_seed(board, place, criterion.metric)
    if criterion.over:
        below = _by_seed(board, place, criterion.over).reindex(by_seed.index)
        by_seed = by_seed.combine(below, share)
    if by_seed.empty:
        return _undecided(f"no value of {criterion.metric}")
    unknown = ", ".join(f"{seed}" for seed in by_seed.index[by_seed.isna()])
    if unknown:
        return _undecided(f"{criterion.over} is 0 or missing with seed {unknown}", seeds=len(by_seed))
    if criterion.among:
        cases = _by_seed(board, place, criterion.among)
        if cases.sum() < ENOUGH:  # the share of all seeds' cases together, with its exact interval
            counted, every = round((by_seed * cases).sum()), round(cases.sum())
            told, exact = f"{every} {criterion.among.replace('_', ' ')} in all", proportion_interval(counted, every)
            return _undecided(told, share(counted, every), len(by_seed), exact)
    known = METRICS[criterion.metric]
    numbers = by_seed.tolist()
    value, low, high = (
        over_seeds(numbers, "median", 0.0, math.inf)
        if criterion.over
        else over_seeds(numbers, known.aggregate, known.low, known.high)
    )
    assert value is not None
    if low is None or high is None:
        return _undecided(f"{_seeds(len(by_seed))}: no interval", value, len(by_seed))
    return _judged(criterion, value, Interval(low, high), len(by_seed))


def _by_seed(board: Board, place: EntryKey, metric: str) -> "pd.Series[float]":
    """A metric over the tasks of each seed."""
    aggregate = METRICS[metric].aggregate
    grouped = values(board, place, metric)["value"].groupby("seed")
    return grouped.agg(lambda each: aggregated(each.tolist(), aggregate))


def _seeds(count: int) -> str:
    return f"{count} training seed{'s' if count > 1 else ''}"


def _judged(criterion: Criterion | AtPoint, value: float, interval: Interval, seeds: int) -> Finding:
    low, high = (interval.low, interval.high) if criterion.above else (-interval.high, -interval.low)
    bound = criterion.bound if criterion.above else -criterion.bound
    if low > bound:
        return Finding(value, interval, seeds, "confirmed")
    if high < bound:
        return Finding(value, interval, seeds, "refuted")
    return Finding(value, interval, seeds, "undecided", f"the interval holds the bound, {criterion.bound:g}")


def _undecided(reason: str, value: float = math.nan, seeds: int = 0, interval: Interval = UNKNOWN) -> Finding:
    return Finding(value, interval, seeds, "undecided", reason)
