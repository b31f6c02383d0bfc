"""What came of a sweep: a row for each operating point, with what it can do, what it cost and what dominates it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd

from benchmark.leaderboard.ranking import Summary, aggregated, over_seeds, size_metric
from benchmark.methods import with_role
from benchmark.metrics.registry import METRICS, SPLITS, Aggregate
from benchmark.records.table import Keyed, Measurement, read_measurements, read_table, write_table
from benchmark.running.cells import Cell
from benchmark.running.executor import Outcome
from benchmark.running.store import Store
from benchmark.seeds import seed_of
from benchmark.statistics.intervals import geometric_mean, none_for_nan, size_ratio
from benchmark.studies.sweep import Item, OperatingPoint
from benchmark.tasks import TASKS

SWEEP = "sweep.csv"

CircuitStatus = Literal["ok", "not_reached", "failed"]


@dataclass(frozen=True, kw_only=True)
class SweepRow(Keyed):
    """One row of `sweep.csv`; numbers are summed up over seeds as their metrics ask. Three columns name it.

    A family's own point is the preset's. Columns that end in `_low` and `_high` are limits of 95 % intervals: of ratios
    of sizes over tasks, else over seeds.

    Attributes:
        preset: The preset that the settings start from.
        family: Name of the method.
        point: The settings that are varied.
        validation_loss: Next-token loss of the model that the circuits live in, nats.
        nonzero_parameters: Of the model.
        training_flops: Of the training.
        loss_recovered: Of a dictionary.
        l0: Of a dictionary.
        size: Geometric mean over the circuits, of a task in a seed, that every point of the family reaches, of those
            points that reach any.
        size_metric: What sizes are, by the rule of the leaderboard: `verified_edges` or `edges`.
        size_circuits: Number of those circuits.
        over_own: Its sizes over those of the family's own point, where both reach a task in a seed: geometric mean over
            seeds, then over tasks.
        over_own_tasks: Number of tasks.
        over_reference: The same over the own point of the leading reference, the method that others are matched to.
        over_reference_tasks: Number of tasks.
        concept_splits: Of a dictionary: features among which a concept is divided.
        feature_splits: Of the family's own point and this one, features of the wider among which one of the narrower is
            divided; the own point counts as the narrower of two of one width.
        feature_splits_back: Features of the narrower among which one of the wider is divided.
        feature_splits_null: feature_splits with the wider one's features turned to other text.
        splitting: feature_splits over the larger of the other two, median over seeds: 1 if they are just different.
        circuits: Circuits tried, of a task in a seed, controls apart.
        circuits_reached: Those that reach the target.
        dominated: Whether another point of any family has a loss and a size that are both at most as large and one of
            them smaller, and reaches as many circuits; between two points, sizes are over what both reach.
        seeds: Number of training seeds.
        status: `ok`; `not_reached` without any circuit; `failed` if a cell failed.
        reason: Why the status is not `ok`.
    """

    KEY: ClassVar[int] = 3

    preset: str
    family: str
    point: str
    validation_loss: float | None
    nonzero_parameters: float | None
    training_flops: float | None
    loss_recovered: float | None
    l0: float | None
    size: float | None
    size_metric: str
    size_circuits: int
    over_own: float | None
    over_own_low: float | None
    over_own_high: float | None
    over_own_tasks: int
    over_reference: float | None
    over_reference_low: float | None
    over_reference_high: float | None
    over_reference_tasks: int
    concept_splits: float | None
    concept_splits_low: float | None
    concept_splits_high: float | None
    feature_splits: float | None
    feature_splits_low: float | None
    feature_splits_high: float | None
    feature_splits_back: float | None
    feature_splits_back_low: float | None
    feature_splits_back_high: float | None
    feature_splits_null: float | None
    feature_splits_null_low: float | None
    feature_splits_null_high: float | None
    splitting: float | None
    splitting_low: float | None
    splitting_high: float | None
    circuits: int
    circuits_reached: int
    dominated: bool | None
    seeds: int
    status: CircuitStatus
    reason: str


Sizes = Mapping[Item, float | int]
"""The size of each circuit that reaches the target."""


class PointResult(NamedTuple):
    """What a point is compared by: its validation loss, nats, and the size of each circuit that reaches the target."""

    loss: float
    sizes: Sizes


def sweep_rows(points: Sequence[OperatingPoint], outcomes: Sequence[Outcome], store: Store) -> list[SweepRow]:
    """A row for each point, also for those that failed or reached nothing.

    Args:
        points: All points of the sweep.
        outcomes: How their cells ended.
        store: Where their artifacts are.
    """
    ended = {outcome.cell.key: outcome for outcome in outcomes}
    found = [_measured(point, ended, store) for point in points]
    circuits = (rows for each in found for rows in each.circuits.values())
    metric = size_metric({name: row.status for name, row in rows.items()} for rows in circuits)
    sizes = [_sizes(each, metric) for each in found]
    results = [
        PointResult(each.facts["validation_loss"], reached) if reached and not each.failure else None
        for each, reached in zip(found, sizes, strict=True)
    ]
    own = {point.family: reached for point, reached in zip(points, sizes, strict=True) if point.own is None}
    lead = next(iter(with_role("reference")), "")
    families = {name: [each for each, at in zip(sizes, points, strict=True) if at.family == name] for name in own}
    return [
        SweepRow(
            preset=point.run.preset,
            family=point.family,
            point=point.name,
            validation_loss=each.facts.get("validation_loss"),
            nonzero_parameters=each.facts.get("nonzero_parameters"),
            training_flops=each.facts.get("training_flops"),
            loss_recovered=each.facts.get("loss_recovered"),
            l0=each.facts.get("l0"),
            **_place(result, families[point.family], results),
            **_over("over_own", point, reached, {} if point.own is None else own[point.family]),
            **_over("over_reference", point, reached, {} if point.family == lead else own.get(lead, {})),
            **_splitting(each.splits),
            size_metric=metric,
            circuits=len(each.circuits),
            circuits_reached=len(reached),
            seeds=len(point.run.seeds),
            status="failed" if each.failure else "ok" if reached else "not_reached",
            reason=each.failure or ("" if reached else "no circuit reaches the target"),
        )
        for point, each, reached, result in zip(points, found, sizes, results, strict=True)
    ]


def dominates(other: PointResult, one: PointResult) -> bool:
    """Whether a point leaves no reason to choose another.

    It has to reach as many circuits, since what is not reached is larger than anything; sizes are compared over those
    that both reach.
    """
    shared = sorted(one.sizes.keys() & other.sizes.keys())
    if not shared or len(other.sizes) < len(one.sizes):
        return False
    sizes = [geometric_mean([each.sizes[item] for item in shared]) for each in (other, one)]
    return (other.loss <= one.loss and sizes[0] <= sizes[1]) and (other.loss < one.loss or sizes[0] < sizes[1])


def write_sweep(folder: Path, rows: Sequence[SweepRow]) -> None:
    """Write `sweep.csv` into a folder, in the place of an earlier one; the same rows give the same bytes."""
    write_table(folder / SWEEP, rows, SweepRow)


def settings_of(row: SweepRow) -> dict[str, float]:
    """The settings of a point by name, as its name tells them."""
    return {key: float(value) for key, _, value in (part.partition("=") for part in row.point.split())}


def read_sweep(folder: Path) -> list[SweepRow]:
    """The rows of a folder's `sweep.csv`, none without one; `ValueError` in one line if it is another file."""
    return read_table(folder / SWEEP, SweepRow)


@dataclass(frozen=True)
class _Measured:
    """What the cells of a point measured.

    Attributes:
        facts: Means over seeds by metric; empty if a seed has none.
        circuits: By task and seed, controls apart, what was measured of a circuit; empty for one that failed.
        splits: By metric, how features are divided, one value a seed; empty if a seed has none.
        failure: Why a cell failed; empty if none did.
    """

    facts: Mapping[str, float]
    circuits: Mapping[Item, Mapping[str, Measurement]]
    splits: Mapping[str, Sequence[float]]
    failure: str


def _measured(point: OperatingPoint, ended: Mapping[str, Outcome], store: Store) -> _Measured:
    def read(cell: Cell) -> dict[str, Measurement]:
        if ended[cell.key].status == "failed":
            return {}
        rows = read_measurements(store.artifact(cell.key))
        return {row.metric: row for row in rows if row.ablation in ("", cell.ablation)}

    failed = [ended[cell.key] for cell in point.cells if ended[cell.key].status == "failed"]
    profiles = pd.DataFrame([_numbers(read(cell)) for cell in point.profiles.values()], dtype=float)
    known = profiles.dropna(axis="columns")
    facts = {str(name): aggregated(known[name].tolist(), METRICS[str(name)].aggregate) for name in known}
    circuits = {item: read(cell) for item, cell in point.circuits.items() if not TASKS[item[0]].control}
    splits = _splits([read(cell) for cell in point.splittings.values()])
    return _Measured(facts, circuits, splits, f"{failed[0].cell.label}: {failed[0].reason}" if failed else "")


def _numbers(rows: Mapping[str, Measurement]) -> dict[str, float | int | None]:
    return {name: row.value for name, row in rows.items()}


def _splits(seeds: Sequence[Mapping[str, Measurement]]) -> dict[str, list[float]]:
    """How features are divided, seed by seed, and one way over the other; what a seed has no value of is left out."""
    found = pd.DataFrame(map(_numbers, seeds), columns=list(SPLITS), dtype=float).dropna(axis="columns")
    ways = found.reindex(columns=["feature_splits", "feature_splits_back", "feature_splits_null"])
    splitting = ways["feature_splits"] / ways[["feature_splits_back", "feature_splits_null"]].max(axis=1, skipna=False)
    return {**{str(name): found[name].tolist() for name in found}, "splitting": splitting.dropna().tolist()}


def _sizes(found: _Measured, metric: str) -> Sizes:
    """The sizes of the circuits that reach the target, in edges where the metric has no value."""
    sizes: dict[Item, float | int] = {}
    for item, rows in found.circuits.items():
        ok = {name: row.value for name, row in rows.items() if row.status == "ok" and row.value is not None}
        if "edges" in ok:
            sizes[item] = ok.get(metric, ok["edges"])
    return sizes


def _place(
    result: PointResult | None, family: Sequence[Sizes], results: Sequence[PointResult | None]
) -> dict[str, Any]:
    """The columns that say how a point compares with those of its family and with all others."""
    if result is None:
        return {"size": None, "size_circuits": 0, "dominated": None}
    shared = set.intersection(*(set(sizes) for sizes in family if sizes))
    return {
        "size": geometric_mean([result.sizes[item] for item in sorted(shared)]) if shared else None,
        "size_circuits": len(shared),
        "dominated": any(dominates(other, result) for other in results if other),
    }


def _over(name: str, point: OperatingPoint, own: Sizes, others: Sizes) -> dict[str, Any]:
    """The columns of a point's sizes over those of another, where both reach a task in a seed."""
    first, second = (
        pd.Series(list(sizes.values()), pd.MultiIndex.from_tuples(sizes, names=["task", "seed"]), float)
        for sizes in (own, others)
    )
    generator = np.random.default_rng(seed_of("sweep", name, point.family, point.name))
    ratio = size_ratio(first, second, generator)
    return {**_limits(name, Summary(ratio.value, ratio.low, ratio.high)), f"{name}_tasks": ratio.tasks}


def _splitting(splits: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    found: dict[str, float | None] = {}
    for name in (*SPLITS, "splitting"):
        aggregate: Aggregate
        aggregate, low = ("median", 0.0) if name == "splitting" else (METRICS[name].aggregate, METRICS[name].low)
        found |= _limits(name, over_seeds(splits.get(name, []), aggregate, low, math.inf))
    return found


def _limits(name: str, found: Summary) -> dict[str, float | None]:
    """A value and its interval as three columns, `None` for what is not known."""
    known: dict[str, float | None] = none_for_nan(dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True)))
    return known
