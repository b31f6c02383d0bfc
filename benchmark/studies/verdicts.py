"""Published claims about sparse circuits, each judged by a number, its interval and a decision rule declared here.

A claim is confirmed if its whole interval lies on the claimed side of the bound, refuted if it lies on the other side,
and undecided otherwise. Intervals are Student's t over training seeds, from three seeds on. Those of size ratios are
Student's t over tasks, from three tasks on, since tasks are what we generalize to; they need no second seed. For all
other numbers one seed leaves only intervals over prompts or windows. They say nothing about the method, so the verdict
is then undecided.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from benchmark.leaderboard.ranking import Board, EntryKey, aggregated, over_seeds
from benchmark.methods import METHODS, dictionaries, with_role
from benchmark.metrics.registry import METRICS
from benchmark.metrics.shares import share
from benchmark.statistics.intervals import UNKNOWN, Interval, proportion_interval, size_ratio
from benchmark.studies.compare import place_named, values
from benchmark.studies.frontier import SweepRow, settings_of


@dataclass(frozen=True)
class Criterion:
    """One number by which a claim can be judged.

    Attributes:
        of: What it measures, for display.
        method: The method.
        metric: The metric, aggregated over tasks and concepts, then over seeds, as it declares; a ratio by the median.
        bound: The value from which the claim holds.
        above: Whether the claim holds above the bound or below it.
        over: Another metric of the same method that the number is divided by; empty for none.
        over_method: Another method whose metric the number is divided by, over the tasks that both reach.
        graph: The graph of the circuits.
        variant: How the method's artifact is read; empty for the first ranked one.
        among: A count that must total at least `ENOUGH` over the seeds for the number to be meaningful; empty for none.
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
    """One number of a sweep's operating point by which a claim can be judged.

    Attributes:
        of: What it measures, for display; `{times}` stands for the ratio of the setting to the family's own value.
        method: The family.
        raised: The setting; the criterion looks at the point where it is highest.
        column: Column of `sweep.csv`; its limits are those of the interval.
        bound: The value from which the claim holds.
        above: Whether the claim holds above the bound or below it.
    """

    of: str
    method: str
    raised: str
    column: str
    bound: float
    above: bool = True


@dataclass(frozen=True)
class Claim:
    """A published claim about sparse circuits, and the numbers by which it is judged."""

    sentence: str
    criteria: Sequence[Criterion | AtPoint]


@dataclass(frozen=True)
class Finding:
    """The result of applying a criterion.

    Attributes:
        value: The number; `nan` if there is none.
        interval: Its 95 % interval, the exact one for a share of too few cases; unknown where the reason says why.
        seeds: Number of training seeds behind it.
        verdict: Whether the claim holds.
        reason: Why it is undecided; empty if it is decided.
    """

    value: float
    interval: Interval
    seeds: int
    verdict: Literal["confirmed", "refuted", "undecided"]
    reason: str = ""


ENOUGH = 10
"""Fewest cases for a share to be meaningful."""


# The bound of each claim, which its sentence states as well.
SMALLER, DENSE, OF_NULL, FOLD, ALIKE = 8.0, 0.25, 0.5, 10.0, 0.9
ILLUSIONS, REPLACED, PRIVILEGED, DILUTED = 0.1, 0.5, 0.2, -0.5


def claims() -> list[Claim]:
    """The claims about the installed methods, in the order of the talk they come from.

    Every method counts as sparse except controls, the last reference, which is the dense model that the others are
    compared with, and methods that run only by name: models and dictionaries of their users.
    """
    lead, dense = (*with_role("reference"), "", "")[:2]
    judged = [method for method in METHODS.values() if method.role != "control" and not method.by_name]
    native = [method.name for method in judged if not method.explains]
    native.sort(key=lambda name: name != lead)
    coded = dictionaries()
    sparse = [*coded, *(name for name in native if name != dense)]
    found = [
        *_of_circuits_and_dictionaries(lead, dense, native, coded, sparse),
        *_of_models(lead, dense, native, sparse),
    ]
    return [claim for claim in found if claim.criteria]


def _of_circuits_and_dictionaries(
    lead: str, dense: str, native: Sequence[str], coded: Sequence[str], sparse: Sequence[str]
) -> Iterator[Claim]:
    sizes = [("edges", name) for name in native if name != dense] + [("verified edges", lead)]
    yield Claim(
        f"weight-sparse circuits are about 16 times smaller than dense ones at equal loss (at least {SMALLER:g} times)",
        [
            Criterion(
                f"{size}, {dense} / {to}", dense, size.replace(" ", "_"), SMALLER, over_method=to, graph="channel"
            )
            for size, to in sizes
        ],
    )
    density = "connection_density"
    yield Claim(
        f"connections between features are dense: over {DENSE:.0%} of all pairs are needed to carry 95 % of what is "
        f"read, and more than {OF_NULL:.0%} of what permuted decoders need",
        [Criterion(f"density, {name}", name, density, DENSE) for name in sparse]
        + [Criterion(f"density / null, {name}", name, density, OF_NULL, over=f"{density}_null") for name in coded],
    )
    yield Claim(
        "errors of dictionaries compound over layers: replacing all layers at once loses more than the layers lose one "
        "at a time in total",
        [
            Criterion(f"KL together / added up, {name}", name, "error_compounding", 1.0, variant="errors_available")
            for name in coded
        ],
    )
    axes = [(name, axis) for name in coded for axis in METHODS.named(name).sweep]
    yield Claim(
        "raising L0 or width does not fix it: at the highest value of either, circuits of dictionaries still have more "
        "edges than those of weight-sparse transformers",
        [
            AtPoint(f"{name}, {{times}} {axis.quantity or axis.key} / {lead}", name, axis.key, "over_reference", 1.0)
            for name, axis in axes
        ],
    )
    wider = [(name, axis.key) for name, axis in axes if axis.quantity == "width"]
    yield Claim(
        "wider dictionaries split features: the widest one in the sweep divides a feature among more of its own than "
        "chance, or the reverse direction, would need",
        [AtPoint(f"splitting, {name}", name, width, "splitting", 1.0) for name, width in wider],
    )
    yield Claim(
        f"some features are naturally sparser than others: firing rates differ {FOLD:g}-fold between the 10th and the "
        "90th percentile",
        [Criterion(f"ln ratio, {name}", name, "firing_rate_spread", math.log(FOLD)) for name in coded],
    )


def _of_models(lead: str, dense: str, native: Sequence[str], sparse: Sequence[str]) -> Iterator[Claim]:
    yield Claim(
        f"sparse and dense models find the same tokens hard (the paper: 0.93; here: above {ALIKE:g})",
        [
            Criterion(f"correlation, {lead} with {dense}", lead, "token_loss_correlation", ALIKE),
            Criterion(f"correlation, {dense} with its next seed", dense, "token_loss_correlation", ALIKE),
        ],
    )
    rate = "illusion_rate"
    yield Claim(
        f'top-activating examples hide "dogs on jetskis": of the nodes named by them over {ILLUSIONS:.0%} are '
        "illusions",
        [Criterion(f"illusion rate, {name}", name, rate, ILLUSIONS, among="named_nodes") for name in sparse],
    )
    chosen = {"best detector": "pooled_label_score", "node that suits them": "pooled_by_score_label_score"}
    yield Claim(
        f"labels can replace a feature of their concept: over {REPLACED:.0%} of what it does, all concepts together",
        [Criterion(f"{node}, {name}", name, metric, REPLACED) for node, metric in chosen.items() for name in sparse],
    )
    stream = "basis_privilege_residual_read"
    yield Claim(
        "neurons have a privileged basis and the residual stream does not (ln kurtosis, own basis over random: "
        f"{PRIVILEGED:g})",
        [Criterion(f"neurons, {dense}", dense, "basis_privilege_neuron", PRIVILEGED)]
        + [Criterion(f"residual reads, {name}", name, stream, PRIVILEGED, above=False) for name in (dense, lead)],
    )
    yield Claim(
        "attention averages, so bracket depth dilutes with length (log-log slope: -1 for averaging, "
        f"below {DILUTED:g})",
        [Criterion(f"slope, {name}", name, "dilution_slope", DILUTED, above=False) for name in native],
    )


def findings(board: Board, sweep: Sequence[SweepRow]) -> list[tuple[Claim, list[Finding]]]:
    """All claims, judged by the rows of one preset and by the sweep's operating points of the same preset."""
    found = []
    for claim in claims():
        criteria, judged = list[Criterion | AtPoint](), []
        for criterion in claim.criteria:
            if isinstance(criterion, AtPoint):
                times = _times(sweep, criterion)
                judged.append(_at_point(sweep, criterion, times))
                shown = f"{times:.3g}x" if times > 1 else "more"
                criteria.append(replace(criterion, of=criterion.of.format(times=shown)))
            else:
                judged.append(_of_records(board, criterion))
                criteria.append(criterion)
        found.append((replace(claim, criteria=criteria), judged))
    return found


def _times(sweep: Sequence[SweepRow], criterion: AtPoint) -> float:
    """The highest value of a setting over the family's own, which most points share; 1 if it was not raised."""
    found = [settings_of(row) for row in sweep if row.family == criterion.method]
    values = [settings[criterion.raised] for settings in found if criterion.raised in settings]
    return max(values) / min(values, key=lambda value: (-values.count(value), value)) if values else 1.0


def _at_point(sweep: Sequence[SweepRow], criterion: AtPoint, times: float) -> Finding:
    rows = [row for row in sweep if row.family == criterion.method and criterion.raised in settings_of(row)]
    if not rows:
        return _undecided(f"no operating points of {criterion.method}: `bench sweep {criterion.method}` makes them")
    row = max(rows, key=lambda one: settings_of(one)[criterion.raised])
    value, low, high = (getattr(row, criterion.column + end) for end in ("", "_low", "_high"))
    if value is None:
        return _undecided(row.reason or f"no value of {criterion.column}", seeds=row.seeds)
    if times <= 1:
        reason = f"no point of {criterion.method} has a higher {criterion.raised} than its own"
        return _undecided(reason, value, row.seeds)
    if low is None:
        tasks = getattr(row, f"{criterion.column}_tasks", None)
        why = _no_interval(row.seeds, "training seed") if tasks is None else _no_interval(tasks, "task")
        return _undecided(why, value, row.seeds)
    return _judged(criterion, value, Interval(low, high), row.seeds)


def _of_records(board: Board, criterion: Criterion) -> Finding:
    try:
        place = _place(board, criterion.method, criterion.variant, criterion.graph)
        return _ratio(board, criterion, place) if criterion.over_method else _mean(board, criterion, place)
    except ValueError as error:
        return _undecided(str(error))


def _place(board: Board, method: str, variant: str, graph: str) -> EntryKey:
    return place_named(board, f"{method}/{variant}" if variant else method)._replace(graph=graph)


def _ratio(board: Board, criterion: Criterion, place: EntryKey) -> Finding:
    """A ratio of sizes, over the tasks that both methods reach."""
    other = _place(board, criterion.over_method, "", criterion.graph)
    sizes = [values(board, each, criterion.metric)["value"] for each in (place, other)]
    found = size_ratio(sizes[0], sizes[1])
    seeds = sizes[0].index.intersection(sizes[1].index).unique("seed")
    if math.isnan(found.low):
        why = _no_interval(found.tasks, "shared task") if found.tasks else "no task that both reach"
        return _undecided(why, found.value, len(seeds))
    return _judged(criterion, found.value, Interval(found.low, found.high), len(seeds))


def _mean(board: Board, criterion: Criterion, place: EntryKey) -> Finding:
    """A metric or the ratio of two, over tasks, then over seeds."""
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
        if cases.sum() < ENOUGH:  # the share over all seeds' cases together, with its exact interval
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
        return _undecided(_no_interval(len(by_seed), "training seed"), value, len(by_seed))
    return _judged(criterion, value, Interval(low, high), len(by_seed))


def _by_seed(board: Board, place: EntryKey, metric: str) -> "pd.Series[float]":
    """A metric over the tasks of each seed."""
    aggregate = METRICS[metric].aggregate
    return values(board, place, metric)["value"].groupby("seed").agg(lambda each: aggregated(each.tolist(), aggregate))


def _no_interval(count: int, of: str) -> str:
    """Why a number has no interval: there are too few seeds or tasks."""
    return f"{count} {of}{'s' if count > 1 else ''}: no interval"


def _judged(criterion: Criterion | AtPoint, value: float, interval: Interval, seeds: int) -> Finding:
    low, high = (interval.low, interval.high) if criterion.above else (-interval.high, -interval.low)
    bound = criterion.bound if criterion.above else -criterion.bound
    if low > bound:
        return Finding(value, interval, seeds, "confirmed")
    if high < bound:
        return Finding(value, interval, seeds, "refuted")
    return Finding(value, interval, seeds, "undecided", f"the interval contains the bound, {criterion.bound:g}")


def _undecided(reason: str, value: float = math.nan, seeds: int = 0, interval: Interval = UNKNOWN) -> Finding:
    return Finding(value, interval, seeds, "undecided", reason)
