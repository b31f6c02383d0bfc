"""Results of a sweep: one row per operating point, with its capability, cost, circuit sizes and what dominates it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import pandas as pd

from benchmark.leaderboard.ranking import aggregated, over_seeds, size_metric
from benchmark.methods import with_role
from benchmark.metrics.registry import METRICS, SPLITS
from benchmark.records.table import Keyed, Measurement, read_measurements, read_table, write_table
from benchmark.running.cells import Cell
from benchmark.running.schedule import Outcome
from benchmark.running.store import Store
from benchmark.statistics.intervals import geometric_mean, none_for_nan, size_ratio
from benchmark.studies.sweep import Item, OperatingPoint

SWEEP = "sweep.csv"

FACTS = ("validation_loss", "nonzero_parameters", "training_flops", "loss_recovered", "l0")
"""Metrics of the trained model that have a column."""


@dataclass(frozen=True, kw_only=True)
class SweepRow(Keyed):
    """One row of `sweep.csv`; the first three columns are its key, and numbers are aggregated over seeds.

    A family's own point is the preset's. Columns that end in `_low` and `_high` are limits of 95 % intervals, over
    tasks for ratios of sizes and otherwise over seeds.

    Attributes:
        preset: The preset that the settings start from.
        family: Name of the method.
        point: The settings that are varied.
        validation_loss: Next-token loss of the model that contains the circuits, nats.
        nonzero_parameters: Nonzero parameters of that model.
        training_flops: Floating-point operations of its training.
        loss_recovered: Share of the next-token loss that a dictionary recovers.
        l0: Mean number of a dictionary's features that fire at a position.
        size: Geometric mean over the circuits (one per task and seed) that all points of the family reach, leaving out
            points that reach none.
        size_metric: The metric of all sizes, as on the leaderboard: `verified_edges` or `edges`.
        size_circuits: Number of those circuits.
        over_own: Ratio of its sizes to those of the family's own point, where both reach a task in a seed: geometric
            mean over seeds, then over tasks.
        over_own_tasks: Number of tasks in that ratio.
        over_reference: The same ratio to the own point of the leading reference, which other methods are matched to.
        over_reference_tasks: Number of tasks in that ratio.
        concept_splits: Number of a dictionary's features that a concept is divided among.
        feature_splits: Of the family's own point and this one, number of features of the wider dictionary that one of
            the narrower is divided among; at equal width the own point counts as the narrower.
        feature_splits_back: Number of features of the narrower that one of the wider is divided among.
        feature_splits_null: `feature_splits` with the wider dictionary's features shifted to other text.
        splitting: `feature_splits` over the larger of the other two, median over seeds; 1 if the dictionaries merely
            differ.
        circuits: Number of circuits searched for, one per task and seed, without control tasks.
        circuits_reached: Number of those that reach the target.
        dominated: Whether another point of any family has at most the loss and at most the size, one of them strictly
            smaller, and reaches at least as many circuits; the sizes of two points are over what both reach.
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
    status: Literal["ok", "not_reached", "failed"]
    reason: str


Sizes = Mapping[Item, float | int]
"""The size of each circuit that reaches the target."""


class PointResult(NamedTuple):
    """What points are compared by: validation loss, nats, and the size of each circuit that reaches the target."""

    loss: float
    sizes: Sizes


def sweep_rows(points: Sequence[OperatingPoint], outcomes: Sequence[Outcome], store: Store) -> list[SweepRow]:
    """One row per point, from the outcomes of the sweep's cells; also for points that failed or reached nothing."""
    ended = {outcome.cell.key: outcome for outcome in outcomes}
    found = [_measured(point, ended, store) for point in points]
    circuits = (rows for each in found for rows in each.circuits.values())
    metric = size_metric({name: row.status for name, row in rows.items()} for rows in circuits)
    sizes = [_sizes(each.circuits, metric) for each in found]
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
            **{name: each.facts[name] for name in FACTS},
            **_compared(result, families[point.family], results),
            **_over("over_own", point, reached, {} if point.own is None else own[point.family]),
            **_over("over_reference", point, reached, {} if point.family == lead else own.get(lead, {})),
            **each.splits,
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

    It must reach at least as many circuits, since what is not reached counts as larger than anything; sizes are
    compared over the circuits that both reach.
    """
    shared = sorted(one.sizes.keys() & other.sizes.keys())
    if not shared or len(other.sizes) < len(one.sizes):
        return False
    sizes = [geometric_mean([each.sizes[item] for item in shared]) for each in (other, one)]
    return (other.loss <= one.loss and sizes[0] <= sizes[1]) and (other.loss < one.loss or sizes[0] < sizes[1])


def write_sweep(folder: Path, rows: Sequence[SweepRow]) -> None:
    """Write `sweep.csv` into a folder, replacing an earlier one; the same rows give the same bytes."""
    write_table(folder / SWEEP, rows, SweepRow)


def settings_of(row: SweepRow) -> dict[str, float]:
    """The settings of a point by name, parsed from the point's name."""
    return {key: float(value) for key, _, value in (part.partition("=") for part in row.point.split())}


def read_sweep(folder: Path) -> list[SweepRow]:
    """The rows of a folder's `sweep.csv`, none without one; `ValueError` in one line if the header does not match."""
    return read_table(folder / SWEEP, SweepRow)


Measured = Mapping[str, Measurement]
"""What a cell measured, by metric; empty for one that failed."""


class _PointMeasurements(NamedTuple):
    """Means over seeds by metric, each circuit's measurements, columns about splitting, and why a cell failed."""

    facts: Mapping[str, Any]
    circuits: Mapping[Item, Measured]
    splits: Mapping[str, Any]
    failure: str


def _measured(point: OperatingPoint, ended: Mapping[str, Outcome], store: Store) -> _PointMeasurements:
    def read(cell: Cell) -> dict[str, Measurement]:
        if ended[cell.key].status == "failed":
            return {}
        rows = read_measurements(store.artifact(cell.key))
        return {row.metric: row for row in rows if row.ablation in ("", cell.ablation)}

    def by_seed(cells: Iterable[Cell]) -> pd.DataFrame:
        """Values of the metrics that every seed has."""
        rows = [{name: row.value for name, row in read(cell).items()} for cell in cells]
        return pd.DataFrame(rows, dtype=float).dropna(axis="columns")

    failed = [ended[cell.key] for cell in point.cells if ended[cell.key].status == "failed"]
    profiles = by_seed(point.profiles.values())
    facts: dict[str, Any] = dict.fromkeys(FACTS)
    facts |= {str(name): aggregated(profiles[name].tolist(), METRICS[str(name)].aggregate) for name in profiles}
    circuits = {item: read(cell) for item, cell in point.circuits.items() if not point.run.task(item[0]).control}
    splits = _splits(by_seed(point.splittings.values()).reindex(columns=list(SPLITS)))
    return _PointMeasurements(facts, circuits, splits, f"{failed[0].cell.label}: {failed[0].reason}" if failed else "")


def _splits(by_seed: pd.DataFrame) -> dict[str, float | None]:
    """The columns that say how features are divided, and one direction relative to the other."""
    found: dict[str, float | None] = {}
    for name in SPLITS:
        known = METRICS[name]
        found |= _limits(name, over_seeds(by_seed[name].dropna().tolist(), known.aggregate, known.low, math.inf))
    controls = by_seed[["feature_splits_back", "feature_splits_null"]].max(axis=1, skipna=False)
    ratios = (by_seed["feature_splits"] / controls).dropna().tolist()
    return found | _limits("splitting", over_seeds(ratios, "median", 0.0, math.inf))


def _sizes(circuits: Mapping[Item, Measured], metric: str) -> Sizes:
    """The sizes of the circuits that reach the target, in edges where the metric has no value."""
    sizes: dict[Item, float | int] = {}
    for item, rows in circuits.items():
        ok = {name: row.value for name, row in rows.items() if row.status == "ok" and row.value is not None}
        if "edges" in ok:
            sizes[item] = ok.get(metric, ok["edges"])
    return sizes


def _compared(
    result: PointResult | None, family: Sequence[Sizes], results: Sequence[PointResult | None]
) -> dict[str, Any]:
    """The columns that compare a point with its family and with all other points."""
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
    ratio = size_ratio(first, second)
    return {**_limits(name, ratio[:3]), f"{name}_tasks": ratio.tasks}


def _limits(name: str, found: tuple[float | None, ...]) -> dict[str, float | None]:
    """A value and its interval as three columns, `None` where unknown."""
    known: dict[str, float | None] = none_for_nan(dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True)))
    return known
