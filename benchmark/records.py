"""The tidy files of a run: one row a measured value (`records.csv`), one row a computed cell (`costs.csv`)."""

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin

from benchmark.metrics.registry import METRICS

Status = Literal["ok", "not_reached", "not_generalised", "unsolved", "undefined", "one_seed", "unmatched", "failed"]
"""Whether a value can be trusted, and if there is none, why."""

STATUSES: tuple[Status, ...] = get_args(Status)

VALUED: tuple[Status, ...] = ("ok", "not_generalised", "one_seed", "unmatched")
"""Statuses beside which a number may stand; the others never have one."""

INTERVALS = ("", "seeds", "prompts")
"""What the limits of an interval are taken over; empty where there is none."""

RECORDS = "records.csv"
COSTS = "costs.csv"
MEASUREMENTS = "records.json"
VALIDITY = "validity.json"


@dataclass(frozen=True)
class Measurement:
    """One number that a cell measured, or the reason why there is none.

    A value that is not finite is no measurement: it becomes `undefined`, and limits that are not finite stay empty.

    Attributes:
        metric: Name of a registered metric.
        value: The number; `None` where the status says why.
        low: Lower limit of the 95 % interval.
        high: Upper limit.
        interval: What the interval is taken over: `seeds` or `prompts`.
        n: Number of independent clusters behind the value: distinct pairs of prompts, windows of documents, or seeds;
            `None` where nothing was sampled.
        status: Whether the value can be trusted.
        reason: Why the status is not `ok`, one line.
        concept: Name of the concept that it is of, if any.
        ablation: The ablation that it was measured under; empty where there was none or several. A circuit's cell
            states it for each of its measurements; nothing is filled in later.
    """

    metric: str
    value: float | int | None = None
    low: float | int | None = None
    high: float | int | None = None
    interval: str = ""
    n: int | None = None
    status: str = "ok"
    reason: str = ""
    concept: str = ""
    ablation: str = ""

    def __post_init__(self) -> None:
        value, low, high = (_finite(number) for number in (self.value, self.low, self.high))
        if value is None and self.value is not None:
            reason = self.reason or f"{self.metric} came out as {self.value}"
            self._become(status="undefined", reason=reason)
        if value is None or low is None or high is None:
            self._become(interval="")
            low = high = None
        self._become(value=value, low=low, high=high)
        _check(self)

    def _become(self, **columns: Any) -> None:
        for name, value in columns.items():
            object.__setattr__(self, name, value)

    @classmethod
    def or_why(cls, metric: str, value: float, why: str = "", concept: str = "") -> "Measurement":
        """A value without limits, or why there is none."""
        return cls(metric, value, concept=concept, reason="" if math.isfinite(value) else why)

    def without_value(self, status: str, reason: str) -> "Measurement":
        """The same metric with a status in the place of its number."""
        return Measurement(self.metric, status=status, reason=reason, concept=self.concept, ablation=self.ablation)


@dataclass(frozen=True)
class Keyed:
    """A row of a file; its first `KEY` columns name it."""

    KEY: ClassVar[int]


@dataclass(frozen=True, kw_only=True)
class Record(Keyed):
    """One row of `records.csv`. The columns up to `metric` are its key.

    Attributes:
        preset: The preset of the run.
        method: Name of the method.
        variant: How its artifact is read; empty if the value is the artifact's own, whatever the variant.
        graph: `channel` or `unit`; empty if the value depends on neither.
        task: Name of the task; empty if the value is of no task.
        concept: Name of the concept; empty if the value is of none.
        seed: Training seed.
        ranking: How nodes were ordered (`mask`, `attribution`, `random`), and under which ablation unless by means
            (`mask:resample`); empty where no circuit was searched.
        ablation: What an ablated node held (`mean`), or how the ablated nodes were chosen (`stochastic`); empty where
            no node was ablated, or where the value is over several ablations (`robust_faithfulness`).
        target_loss: The task loss that the circuit was cut to, nats.
        metric: Name of the metric.
        metric_version: Version of its definition.
        value: The number; `None` where the status says why.
        low: Lower limit of the 95 % interval.
        high: Upper limit.
        interval: What the interval is taken over: `seeds` or `prompts`.
        n: Number of independent clusters behind the value: distinct pairs of prompts, windows of documents, or seeds;
            empty where nothing was sampled.
        unit: Unit of the value.
        status: Whether the value can be trusted.
        reason: Why the status is not `ok`, one line.
        config_hash: Hash of the configuration that the value depends on.
        code_version: Version of the code that measured it.
    """

    KEY: ClassVar[int] = 11

    preset: str = ""
    method: str
    variant: str = ""
    graph: str = ""
    task: str = ""
    concept: str = ""
    seed: int | None = None
    ranking: str = ""
    ablation: str = ""
    target_loss: float | None = None
    metric: str
    metric_version: int = 1
    value: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str = ""
    n: int | None = None
    unit: str = ""
    status: str = "ok"
    reason: str = ""
    config_hash: str = ""
    code_version: str = ""

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def of(cls, measurement: Measurement, **columns: Any) -> "Record":
        """The row of a measurement: unit and version are the registry's, the other columns are given."""
        known = METRICS.get(measurement.metric)
        described = {} if known is None else {"unit": known.unit, "metric_version": known.version}
        measured = {name: value for name, value in asdict(measurement).items() if value != ""}
        return cls(**{**described, **columns, **measured})


@dataclass(frozen=True, kw_only=True)
class Cost(Keyed):
    """One row of `costs.csv`: what a cell took; no two runs agree on it. The columns up to `kind` are its key.

    Attributes:
        preset: The preset of the run.
        method: Name of the method, where the cell is of one.
        variant: Of the artifact, where the cell is of one.
        graph: `channel` or `unit`, where the cell is of one.
        task: Name of the task, where the cell is of one.
        seed: Training seed, where the cell has one.
        kind: The kind of cell: `corpus`, `train`, `profile`, `circuit`.
        seconds: Wall-clock time.
        peak_mib: Peak resident memory of the process that computed it, MiB.
        workers: Processes that ran side by side.
    """

    KEY: ClassVar[int] = 7

    preset: str = ""
    method: str = ""
    variant: str = ""
    graph: str = ""
    task: str = ""
    seed: int | None = None
    kind: str
    seconds: float
    peak_mib: float | None = None
    workers: int | None = None


Row = TypeVar("Row", bound=Keyed)
Value = str | float | int | None
"""What stands in a file, `None` for nothing."""

Key = tuple[Value, ...]
"""What names a row."""


def _finite(number: float | int | None) -> float | None:
    return float(number) if number is not None and math.isfinite(number) else None


def _check(row: Measurement | Record) -> None:
    """A number stands only where the status allows it, and a reason wherever the status is not `ok`."""
    if row.status not in STATUSES:
        raise ValueError(f"{row.metric}: unknown status {row.status!r}; choose from {', '.join(STATUSES)}")
    if row.interval not in INTERVALS:
        raise ValueError(f"{row.metric}: unknown interval {row.interval!r}; choose from seeds, prompts")
    if row.status == "ok" and row.value is None:
        raise ValueError(f"{row.metric}: the status is ok but there is no value")
    if row.status not in VALUED and row.value is not None:
        raise ValueError(f"{row.metric}: the status is {row.status}, so the value {row.value} cannot stand beside it")
    if row.status != "ok" and not row.reason:
        raise ValueError(f"{row.metric}: the status {row.status} needs a reason")


# What a cell measured


def write_measurements(measurements: Iterable[Measurement], folder: Path) -> None:
    """Write what a cell measured into its folder, as `records.json`."""
    rows = [{name: value for name, value in asdict(row).items() if value not in ("", None)} for row in measurements]
    names = [tuple(row.get(name, "") for name in ("metric", "concept", "ablation")) for row in rows]
    assert len(set(names)) == len(names), f"a metric was measured twice: {names}"
    (folder / MEASUREMENTS).write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_measurements(folder: Path) -> list[Measurement]:
    """What a cell measured, none if it measures nothing; `ValueError` naming a file that is not as it was written."""
    path = folder / MEASUREMENTS
    if not path.exists():
        return []
    try:
        return [Measurement(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is no list of measurements: {error}") from error


# The files of a run


def read_records(path: Path) -> list[Record]:
    """The rows of a `records.csv`, none if there is no such file; `ValueError` in one line if it is another file."""
    return read_table(path, Record)


def read_costs(path: Path) -> list[Cost]:
    """The rows of a `costs.csv`, none if there is no such file; `ValueError` in one line if it is another file."""
    return read_table(path, Cost)


def update_records(path: Path, new: Iterable[Record]) -> list[Record]:
    """Write new rows into a `records.csv`: they replace the rows with their keys, all others stay.

    The same rows give the same bytes. The file is replaced at once or not at all.

    Args:
        path: The file; made if it is missing.
        new: Rows of a run, each key once.

    Returns:
        All rows that the file now has, sorted by key.

    Raises:
        ValueError: In one line if the file there is no records file; it is left as it is.
    """
    return _update(path, new, Record)


def update_costs(path: Path, new: Iterable[Cost]) -> list[Cost]:
    """Write new rows into a `costs.csv`, as `update_records` does."""
    return _update(path, new, Cost)


def merge(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """The old rows, with the new ones in the place of those that have their keys, sorted by key."""
    added = list(new)
    fresh = {key(row): row for row in added}
    assert len(fresh) == len(added), "two new rows have the same key"
    rows = {**{key(row): row for row in old}, **fresh}
    return [rows[name] for name in sorted(rows, key=_order)]


def key(row: Keyed) -> Key:
    """The values of a row's key columns, numbers as they are printed."""
    values = (getattr(row, name) for name in columns(type(row))[: row.KEY])
    return tuple(float(printed(value)) if isinstance(value, float) else value for value in values)


def columns(kind: type) -> tuple[str, ...]:
    """The columns of a kind of row, in the order of its file."""
    return tuple(field.name for field in fields(kind))


def printed(value: Value) -> str:
    """A value as it stands in a file: nothing for `None`, numbers to ten significant digits, texts in one line."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return " ".join(str(value).split())
    rounded = f"{value:.10g}"
    return rounded if math.isfinite(float(rounded)) else repr(value)  # rounding up can leave the range of a float


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    """A CSV file as text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([printed(value) for value in row] for row in rows)
    return text.getvalue()


def replace_file(path: Path, text: str) -> None:
    """Put a text into a file, at once or not at all; its folder is made if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8", newline="")
    os.replace(partial, path)


def write_table(path: Path, rows: Iterable[Row], kind: type[Row]) -> list[Row]:
    """Write rows of a kind, each key once, in the place of a file; they come back sorted by key."""
    ordered, header = merge([], rows), columns(kind)
    replace_file(path, csv_text(header, ([getattr(row, name) for name in header] for row in ordered)))
    return ordered


def _update(path: Path, new: Iterable[Row], kind: type[Row]) -> list[Row]:
    return write_table(path, merge(read_table(path, kind), new), kind)


def _order(key: Key) -> tuple[tuple[bool, str | float | int], ...]:
    """Sorts keys, with nothing before anything."""
    return tuple((value is not None, "" if value is None else value) for value in key)


def read_table(path: Path, kind: type[Row]) -> list[Row]:
    """The rows of a file of a kind, none if there is no file; `ValueError` in one line if it is another file."""
    if not path.exists():
        return []
    try:
        header, *lines = list(csv.reader(path.read_text(encoding="utf-8").splitlines(), strict=True)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no {kind.__name__.lower()}s file: {error}") from error
    _check_header(path, header, kind)
    return [_row(path, number, header, line, kind) for number, line in enumerate(lines, start=2)]


def _check_header(path: Path, header: Sequence[str], kind: type) -> None:
    missing = [name for name in columns(kind) if name not in header]
    foreign = [name for name in header if name not in columns(kind)]
    if missing:
        raise ValueError(f"{path} is no {kind.__name__.lower()}s file: it lacks the columns {', '.join(missing)}")
    if foreign:
        raise ValueError(f"{path} has columns that would be lost: {', '.join(foreign)}")


def _row(path: Path, number: int, header: Sequence[str], line: Sequence[str], kind: type[Row]) -> Row:
    if len(line) != len(header):
        raise ValueError(f"{path} line {number}: {len(line)} values under {len(header)} columns")
    types = {field.name: field.type for field in fields(kind)}
    try:
        values: dict[str, Any] = {name: _value(text, types[name]) for name, text in zip(header, line, strict=True)}
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{path} line {number}: {error}") from error


def _value(text: str, kind: Any) -> Value:
    """What `printed` printed."""
    if kind is str or get_origin(kind) is Literal:
        return text
    if text == "" and kind in (int | None, float | None, bool | None):
        return None
    if kind == bool | None:
        if text not in ("True", "False"):
            raise ValueError(f"{text!r} is neither True nor False")
        return text == "True"
    return int(text) if kind in (int, int | None) else float(text)
