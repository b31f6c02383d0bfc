"""The tidy files of a run: one row a measured value (`records.csv`), one row a computed cell (`costs.csv`)."""

import csv
import io
import json
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, get_args
from uuid import uuid4

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

LOCK = ".lock"
"""The file that the process which writes into a folder of tables holds locked."""

PATIENCE = 60.0
"""Seconds to wait for another process that writes into the same folder; it takes a few."""


@dataclass(frozen=True)
class Measurement:
    """One number that a cell measured, or the reason why there is none.

    A value that is not finite is no measurement: it becomes `undefined`, and limits that are not finite stay empty.
    Limits stay within the range that the metric declares.

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
        elif self.metric in METRICS:
            low, high = (METRICS[self.metric].within(limit) for limit in (low, high))
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


class CellName(NamedTuple):
    """The cell that a row is of; the kind is empty where a row's metric is no longer known."""

    kind: str
    preset: str = ""
    method: str = ""
    variant: str = ""
    graph: str = ""
    task: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class Keyed:
    """A row of a file; its first `KEY` columns name it."""

    KEY: ClassVar[int]

    @property
    def cell(self) -> CellName:
        """The cell that the row is of."""
        raise NotImplementedError

    def named(self, kind: str) -> CellName:
        """The cell of a kind to which the row's other columns belong."""
        return CellName(kind, *(getattr(self, name) for name in CellName._fields[1:]))


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

    @property
    def cell(self) -> CellName:
        """The cell that measured it: that of a circuit where there is a task, else what the metric's registry says."""
        known = METRICS.get(self.metric)
        return self.named("circuit" if self.task else (known and known.cell) or "")

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

    @property
    def cell(self) -> CellName:
        """The cell that it is of."""
        return self.named(self.kind)


Row = TypeVar("Row", bound=Keyed)
Value = str | float | int | None
"""What stands in a file, `None` for nothing."""

Key = tuple[Value, ...]
"""What names a row."""

Parser = Callable[[str], Value]
"""What reads the texts of a column; `ValueError` for what cannot stand there."""


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


def without_cells(rows: Iterable[Row], cells: Collection[CellName]) -> list[Row]:
    """The rows that are of none of these cells; a metric that is no longer known is of any cell that fits the row."""
    gone = {*cells, *(cell._replace(kind="") for cell in cells)}
    return [row for row in rows if row.cell not in gone]


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
    return _columns(kind)


@cache
def _columns(kind: type) -> tuple[str, ...]:
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


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else changes the tables of a folder meanwhile; it is made if it is missing.

    Raises:
        ValueError: Another process holds the folder for longer than it takes to write tables.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=PATIENCE)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(
            f"another process has been writing into folder {str(folder)!r} for {PATIENCE:g} s; wait for it or choose "
            "another --out"
        ) from None
    try:
        for leftover in folder.glob(".*.partial"):  # of a process that was killed: whoever lives holds the lock
            leftover.unlink()
        yield
    finally:
        lock.release()


def replace_files(texts: Mapping[Path, str]) -> None:
    """Put texts into files, in this order, once all of them are on the disk; each is replaced at once or not at all."""
    partial = {path: path.with_name(f".{path.name}.{uuid4().hex}.partial") for path in texts}
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial[path].write_text(text, encoding="utf-8", newline="")
        for path, written in partial.items():
            os.replace(written, path)
    finally:
        for written in partial.values():
            written.unlink(missing_ok=True)


def replace_file(path: Path, text: str) -> None:
    """Put a text into a file, at once or not at all; its folder is made if it is missing."""
    replace_files({path: text})


def table_text(rows: Iterable[Row], kind: type[Row]) -> str:
    """The file of a kind of rows, in the order in which they come."""
    header = columns(kind)
    return csv_text(header, ([getattr(row, name) for name in header] for row in rows))


def write_table(path: Path, rows: Iterable[Row], kind: type[Row]) -> None:
    """Write rows of a kind, in the order in which they come, in the place of a file."""
    replace_file(path, table_text(rows, kind))


def _order(key: Key) -> tuple[tuple[bool, str | float | int], ...]:
    """Sorts keys, with nothing before anything."""
    return tuple((value is not None, "" if value is None else value) for value in key)


def read_table(path: Path, kind: type[Row]) -> list[Row]:
    """The rows of a file of a kind, none if there is no file.

    Raises:
        ValueError: In one line, if it is another file, or with the line and the column of a value that cannot stand
            there, or with both lines of two rows that have one key.
    """
    if not path.exists():
        return []
    try:
        return rows_in(path.read_text(encoding="utf-8-sig"), kind)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a {kind.__name__.lower()}s file: it is not UTF-8 text") from error
    except ValueError as error:
        raise ValueError(f"{path}{error}") from error


def rows_in(text: str, kind: type[Row]) -> list[Row]:
    """The rows of a table, as `table_text` writes it or as a spreadsheet saves it."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    parsers, rows = _parsers(kind), dict[Key, tuple[int, Row]]()
    try:
        header = next(reader, [])
        _check_header(header, kind)
        for values in filter(None, reader):
            row = _row(reader.line_num, parsers, header, values, kind)
            first, _ = rows.setdefault(key(row), (reader.line_num, row))
            if first != reader.line_num:
                raise ValueError(f" line {reader.line_num}: has the same key as line {first}")
    except csv.Error as error:
        raise ValueError(f" line {reader.line_num}: not CSV: {error}") from error
    return [row for _, row in rows.values()]


def _check_header(header: Sequence[str], kind: type) -> None:
    missing = [name for name in columns(kind) if name not in header]
    foreign = [name for name in header if name not in columns(kind)]
    twice = sorted({name for name in header if header.count(name) > 1})
    if missing:
        raise ValueError(f" is not a {kind.__name__.lower()}s file: it lacks the columns {', '.join(missing)}")
    if foreign:
        raise ValueError(f" has columns that would be lost: {', '.join(foreign)}")
    if twice:
        raise ValueError(f" has columns twice: {', '.join(twice)}")


def _row(line: int, parsers: Mapping[str, Parser], header: Sequence[str], texts: Sequence[str], kind: type[Row]) -> Row:
    if len(texts) != len(header):
        raise ValueError(f" line {line}: {len(texts)} values under {len(header)} columns")
    values, at = dict[str, Any](), ""
    try:
        for name, text in zip(header, texts, strict=True):
            at = f", column {name}"
            values[name] = parsers[name](text)
        at = ""
        return kind(**values)
    except ValueError as error:
        raise ValueError(f" line {line}{at}: {error}") from error


def _parsers(kind: type[Keyed]) -> dict[str, Parser]:
    """What reads the texts of each column; most stand there many times."""
    return {
        field.name: lru_cache(partial(_value, kind=_plain(field.type), empty=_optional(field.type)))
        for field in fields(kind)
    }


def _optional(annotation: Any) -> bool:
    return type(None) in get_args(annotation)


def _plain(annotation: Any) -> Any:
    """An annotation without `None`; `int | float` is read as a float."""
    options = [one for one in get_args(annotation) if one is not type(None)]
    if set(options) == {int, float}:
        return float
    return options[0] if _optional(annotation) else annotation


def _value(text: str, kind: Any, empty: bool) -> Value:
    """What `printed` printed."""
    if text == "" and empty:
        return None
    if kind is int or kind is float:
        return _number(text, kind)
    if kind is str:
        return text
    choices = {"true": True, "false": False} if kind is bool else {choice: choice for choice in get_args(kind)}
    chosen = text.lower() if kind is bool else text  # a spreadsheet saves TRUE
    if chosen not in choices:
        raise ValueError(f"{text!r} is not one of {', '.join(map(str, choices.values()))}")
    return choices[chosen]


def _number(text: str, kind: type[int] | type[float]) -> int | float:
    """A number without blanks, underscores or digits of other scripts, all of which Python reads too."""
    if re.fullmatch(r"[-+]?[0-9]+" if kind is int else r"[-+.0-9eE]+", text):
        with suppress(ValueError):
            number = kind(text)
            if math.isfinite(number):
                return number
    raise ValueError(f"{text!r} is not a {'whole' if kind is int else 'finite'} number")
