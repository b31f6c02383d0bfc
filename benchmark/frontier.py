"""What came of a sweep: a row for each operating point, with what it can do, what it cost and what dominates it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, NamedTuple

from benchmark.cells import Cell
from benchmark.executor import Outcome
from benchmark.records import Measurement, csv_text, read_measurements, replace_file
from benchmark.statistics import geometric_mean
from benchmark.store import Store
from benchmark.sweep import Item, Point
from benchmark.tasks import TASKS

SWEEP = "sweep.csv"

Status = Literal["ok", "not_reached", "failed"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of `sweep.csv`; numbers are means over seeds, `None` where there is none.

    Attributes:
        preset: The preset that the settings start from.
        family: Name of the method.
        point: The settings that are varied.
        validation_loss: Next-token loss of the model that the circuits live in, nats.
        nonzero_parameters: Of the model.
        training_flops: Of the training.
        loss_recovered: Of a dictionary.
        l0: Of a dictionary.
        size: Geometric mean over the tasks that every point of the family reaches in every seed, of those that reach
            any.
        size_metric: `verified_edges` if all circuits of the sweep that reach the target have them, else `edges`.
        size_tasks: Number of those tasks.
        tasks: Tasks tried, controls apart.
        tasks_reached: Tasks that this point reaches in every seed.
        dominated: Whether another point of any family has a loss and a size that are both at most as large and one of
            them smaller; between two points, sizes are over what the first reaches, and the other has to reach it too.
        seeds: Number of training seeds.
        status: `ok`; `not_reached` without any task; `failed` if a cell failed.
        reason: Why the status is not `ok`.
    """

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
    size_tasks: int
    tasks: int
    tasks_reached: int
    dominated: bool | None
    seeds: int
    status: Status
    reason: str


class Standing(NamedTuple):
    """Where a point stands: its validation loss in nats, and the size of each circuit that reaches the target."""

    loss: float
    sizes: Mapping[Item, float | int]


def sweep_rows(points: Sequence[Point], outcomes: Sequence[Outcome], store: Store) -> list[Row]:
    """A row for each point, also for those that failed or reached nothing.

    Args:
        points: All points of the sweep.
        outcomes: How their cells ended.
        store: Where their artifacts are.
    """
    ended = {outcome.cell.key: outcome for outcome in outcomes}
    found = [_measured(point, ended, store) for point in points]
    metric = _size_metric(found)
    stood = [_stood(point, each, metric) for point, each in zip(points, found, strict=True)]
    standings = [each.standing for each in stood]
    return [
        _row(
            point,
            each,
            how,
            [other.tasks for other, at in zip(stood, points, strict=True) if at.family == point.family],
            metric,
            standings,
        )
        for point, each, how in zip(points, found, stood, strict=True)
    ]


def dominates(other: Standing, one: Standing) -> bool:
    """Whether a point leaves no reason to choose another.

    It has to reach all that the other reaches, since what is not reached is larger than anything; sizes are compared
    over that.
    """
    if not one.sizes.keys() <= other.sizes.keys():
        return False
    sizes = [geometric_mean([each.sizes[item] for item in one.sizes]) for each in (other, one)]
    return (other.loss <= one.loss and sizes[0] <= sizes[1]) and (other.loss < one.loss or sizes[0] < sizes[1])


def write_sweep(folder: Path, rows: Sequence[Row]) -> None:
    """Write `sweep.csv` into a folder, in the place of an earlier one; the same rows give the same bytes."""
    header = [field.name for field in fields(Row)]
    replace_file(folder / SWEEP, csv_text(header, [list(asdict(row).values()) for row in rows]))


@dataclass(frozen=True)
class _Measured:
    """What the cells of a point measured.

    Attributes:
        facts: Means over seeds by metric; empty if a seed has none.
        circuits: By task and seed, controls apart, what was measured of a circuit; empty for one that failed.
        failure: Why a cell failed; empty if none did.
    """

    facts: Mapping[str, float]
    circuits: Mapping[Item, Mapping[str, Measurement]]
    failure: str


@dataclass(frozen=True)
class _Stood:
    """What came of a point.

    Attributes:
        tasks: Those that it reaches in every seed.
        status: Whether it has a place among the others.
        reason: Why not.
        standing: Its place.
    """

    tasks: set[str]
    status: Status
    reason: str
    standing: Standing | None


def _measured(point: Point, ended: Mapping[str, Outcome], store: Store) -> _Measured:
    def read(cell: Cell) -> dict[str, Measurement]:
        if ended[cell.key].status == "failed":
            return {}
        return {row.metric: row for row in read_measurements(store.artifact(cell.key)) if not row.ablation}

    failed = [ended[cell.key] for cell in point.cells if ended[cell.key].status == "failed"]
    profiles = [read(cell) for cell in point.profiles.values()]
    facts = {}
    for name in set.intersection(*(set(profile) for profile in profiles)):
        values = [value for profile in profiles if (value := profile[name].value) is not None]
        if len(values) == len(profiles):
            facts[name] = sum(values) / len(values)
    circuits = {item: read(cell) for item, cell in point.circuits.items() if not TASKS[item[0]].control}
    reason = f"{failed[0].cell.label}: {failed[0].reason}" if failed else ""
    return _Measured(facts, circuits, reason)


def _size_metric(found: Sequence[_Measured]) -> str:
    """`verified_edges` if every circuit that reaches the target has them, else `edges`."""
    reached = [rows for each in found for rows in each.circuits.values() if _ok(rows, "edges")]
    return "verified_edges" if reached and all(_ok(rows, "verified_edges") for rows in reached) else "edges"


def _ok(rows: Mapping[str, Measurement], metric: str) -> bool:
    return metric in rows and rows[metric].status == "ok"


def _sizes(found: _Measured, metric: str) -> dict[Item, float | int]:
    """The sizes of the circuits that reach the target."""
    sizes = {}
    for item, rows in found.circuits.items():
        if _ok(rows, metric):
            value = rows[metric].value
            assert value is not None, item
            sizes[item] = value
    return sizes


def _stood(point: Point, found: _Measured, metric: str) -> _Stood:
    """What a point reaches, and its status."""
    sizes = _sizes(found, metric)
    tasks = {task for task, _ in sizes if all((task, seed) in sizes for seed in point.run.seeds)}
    status, reason = _status(found, tasks)
    standing = Standing(found.facts["validation_loss"], sizes) if status == "ok" else None
    return _Stood(tasks, status, reason, standing)


def _row(
    point: Point,
    found: _Measured,
    stood: _Stood,
    family: Sequence[set[str]],
    metric: str,
    standings: Sequence[Standing | None],
) -> Row:
    """The row of a point.

    Args:
        point: The point.
        found: What its cells measured.
        stood: What came of that.
        family: The tasks that each point of its family reaches.
        metric: What sizes are.
        standings: Of all points.
    """
    one = stood.standing
    shared = set.intersection(*filter(None, family)) if one else set()
    common = [size for (task, _), size in one.sizes.items() if task in shared] if one else []
    return Row(
        preset=point.run.preset,
        family=point.family,
        point=point.name,
        validation_loss=found.facts.get("validation_loss"),
        nonzero_parameters=found.facts.get("nonzero_parameters"),
        training_flops=found.facts.get("training_flops"),
        loss_recovered=found.facts.get("loss_recovered"),
        l0=found.facts.get("l0"),
        size=geometric_mean(common) if common else None,
        size_metric=metric,
        size_tasks=len(shared),
        tasks=len({task for task, _ in found.circuits}),
        tasks_reached=len(stood.tasks),
        dominated=None if one is None else any(dominates(other, one) for other in standings if other),
        seeds=len(point.run.seeds),
        status=stood.status,
        reason=stood.reason,
    )


def _status(found: _Measured, reached: set[str]) -> tuple[Status, str]:
    if found.failure:
        return "failed", found.failure
    if reached:
        return "ok", ""
    return "not_reached", "no task has a circuit at the target in every seed"
