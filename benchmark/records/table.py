"""The tidy files of a run: one row per measured value (`records.csv`), one row per computed cell (`costs.csv`)."""

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, get_args

from benchmark.disk import remove_partial, replace_file
from benchmark.files import LONGEST_INTEGER, CorruptFileError, printable, read_rows, read_text
from benchmark.metrics.registry import METRICS

Status = Literal[
    "ok",
    "not_reached",
    "not_generalised",
    "not_certified",
    "unsolved",
    "undefined",
    "one_seed",
    "unmatched",
    "failed",
]
"""Whether a value can be trusted, or why there is none."""

STATUSES: tuple[Status, ...] = get_args(Status)

VALUED: tuple[Status, ...] = ("ok", "not_generalised", "one_seed", "unmatched")
"""The statuses that allow a number; the others never have one."""

INTERVALS = ("", "seeds", "prompts")
"""What the limits of an interval are over; empty without an interval."""

RECORDS = "records.csv"
COSTS = "costs.csv"
MEASUREMENTS = "records.json"
VALIDITY = "validity.json"

LOCK = ".lock"
"""The file that a process holds locked while it writes into a folder of tables."""

PATIENCE = 60.0
"""Seconds to wait for another process that writes into the same folder; writing takes a few."""


@dataclass(frozen=True)
class Measurement:
    """One number that a cell measured, or the reason why there is none.

    A value that is not finite becomes `undefined`, and limits that are not finite are left empty. Limits are clipped to
    the range that the metric declares.

    Attributes:
        metric: Name of a registered metric.
        value: The number; `None` where the status says why.
        low: Lower limit of the 95 % interval.
        high: Upper limit.
        interval: What the interval is over: `seeds` or `prompts`.
        n: Number of independent clusters behind the value: distinct pairs of prompts, windows of documents, or seeds;
            `None` if nothing was sampled.
        status: Whether the value can be trusted.
        reason: Why the status is not `ok`, one line.
        concept: Name of the concept, if the value is about one.
        ablation: The ablation that it was measured under; empty if there was none or several. A circuit's cell states
            it for each of its measurements; nothing is filled in later.
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
        value, low, high = (
            float(number) if number is not None and math.isfinite(number) else None
            for number in (self.value, self.low, self.high)
        )
        become = partial(object.__setattr__, self)
        if value is None and self.value is not None:
            become("status", "undefined")
            become("reason", self.reason or f"{self.metric} came out as {self.value}")
        if value is None or low is None or high is None:
            become("interval", "")
            low = high = None
        elif self.metric in METRICS:
            low, high = (METRICS[self.metric].within(limit) for limit in (low, high))
        for name, number in (("value", value), ("low", low), ("high", high)):
            become(name, number)
        _check(self)

    @classmethod
    def or_why(cls, metric: str, value: float, why: str = "", concept: str = "") -> "Measurement":
        """A value without limits, or why there is none."""
        return cls(metric, value, concept=concept, reason="" if math.isfinite(value) else why)

    def without_value(self, status: str, reason: str) -> "Measurement":
        """The same metric with a status instead of a number."""
        return Measurement(self.metric, status=status, reason=reason, concept=self.concept, ablation=self.ablation)


class CellName(NamedTuple):
    """The cell that a row belongs to; the kind is empty if the row's metric is no longer known."""

    kind: str
    preset: str = ""
    method: str = ""
    variant: str = ""
    graph: str = ""
    task: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class Keyed:
    """A row of a file; its first `KEY` columns are its key."""

    KEY: ClassVar[int]

    @property
    def cell(self) -> CellName:
        """The cell that the row belongs to."""
        raise NotImplementedError

    def named(self, kind: str) -> CellName:
        """The cell of the given kind that the row's other columns identify."""
        return CellName(kind, *(getattr(self, name) for name in CellName._fields[1:]))


@dataclass(frozen=True, kw_only=True)
class Record(Keyed):
    """One row of `records.csv`. The columns up to `metric` are its key.

    Attributes:
        preset: The preset of the run.
        method: Name of the method.
        variant: How its artifact is read; empty if the value belongs to the artifact itself, whatever the variant.
        graph: `channel` or `unit`; empty if the value does not depend on it.
        task: Name of the task; empty if the value is not about a task.
        concept: Name of the concept; empty if the value is not about one.
        seed: Training seed.
        ranking: How nodes were ordered (`mask`, `attribution`, `random`), with the ablation unless it is the mean
            (`mask:resample`); empty if no circuit was searched for.
        ablation: The ablation values (`mean`), or how the ablated nodes were chosen (`stochastic`); empty if no node
            was ablated, or if the value is over several ablations (`robust_faithfulness`).
        target_loss: The task loss that circuits have to reach, nats.
        metric: Name of the metric.
        metric_version: Version of its definition.
        value: The number; `None` where the status says why.
        low: Lower limit of the 95 % interval.
        high: Upper limit.
        interval: What the interval is over: `seeds` or `prompts`.
        n: Number of independent clusters behind the value: distinct pairs of prompts, windows of documents, or seeds;
            empty if nothing was sampled.
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
        """The cell that measured it: a circuit's if there is a task, otherwise of the kind that the metric declares."""
        known = METRICS.get(self.metric)
        return self.named("circuit" if self.task else (known and known.cell) or "")

    @classmethod
    def of(cls, measurement: Measurement, **columns: Any) -> "Record":
        """The row of a measurement, with the unit and version from the registry and the other columns as given."""
        known = METRICS.get(measurement.metric)
        described = {} if known is None else {"unit": known.unit, "metric_version": known.version}
        measured = {name: value for name, value in asdict(measurement).items() if value != ""}
        return cls(**{**described, **columns, **measured})


@dataclass(frozen=True, kw_only=True)
class Cost(Keyed):
    """One row of `costs.csv`: the cost of a cell, which differs from run to run. The columns up to `kind` are its key.

    Attributes:
        preset: The preset of the run.
        method: Name of the method, if the cell has one.
        variant: Variant of the artifact, if the cell has one.
        graph: `channel` or `unit`, if the cell has one.
        task: Name of the task, if the cell has one.
        seed: Training seed, if the cell has one.
        kind: The kind of cell: `corpus`, `train`, `profile`, `circuit`.
        seconds: Wall-clock time.
        peak_mib: Peak resident memory of the process that computed it, MiB.
        workers: Number of processes that ran in parallel.
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
        """The cell whose cost it is."""
        return self.named(self.kind)


Row = TypeVar("Row", bound=Keyed)
Value = str | float | int | None
"""A value in a file, `None` for an empty field."""

Key = tuple[Value, ...]
"""The values that identify a row."""


def _check(row: Measurement | Record) -> None:
    """A number only where the status allows it, and a reason wherever the status is not `ok`."""
    if row.status not in STATUSES:
        raise ValueError(f"{row.metric}: unknown status {row.status!r}; choose from {', '.join(STATUSES)}")
    if row.interval not in INTERVALS:
        raise ValueError(f"{row.metric}: unknown interval {row.interval!r}; choose from seeds, prompts")
    if row.status == "ok" and row.value is None:
        raise ValueError(f"{row.metric}: the status is ok but there is no value")
    if row.status not in VALUED and row.value is not None:
        raise ValueError(f"{row.metric}: the status is {row.status}, which does not allow the value {row.value}")
    if row.status != "ok" and not row.reason:
        raise ValueError(f"{row.metric}: the status {row.status} needs a reason")


def write_measurements(measurements: Iterable[Measurement], folder: Path) -> None:
    """Write what a cell measured into its folder, as `records.json`."""
    rows = [{name: value for name, value in asdict(row).items() if value not in ("", None)} for row in measurements]
    names = [tuple(row.get(name, "") for name in ("metric", "concept", "ablation")) for row in rows]
    assert len(set(names)) == len(names), f"a metric was measured twice: {names}"
    (folder / MEASUREMENTS).write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_measurements(folder: Path) -> list[Measurement]:
    """What a cell measured, none if it measures nothing; `CorruptFileError` if the file is damaged."""
    path = folder / MEASUREMENTS
    return read_rows(path, Measurement) if path.exists() else []


def read_records(path: Path) -> list[Record]:
    """The rows of a `records.csv`, none if there is no file; `ValueError` in one line if the header does not match."""
    return read_table(path, Record)


def read_costs(path: Path) -> list[Cost]:
    """The rows of a `costs.csv`, none if there is no file; `ValueError` in one line if the header does not match."""
    return read_table(path, Cost)


def without_cells(rows: Iterable[Row], cells: Collection[CellName]) -> list[Row]:
    """The rows that belong to none of these cells; an unknown metric belongs to any cell that fits the row."""
    gone = {*cells, *(cell._replace(kind="") for cell in cells)}
    return [row for row in rows if row.cell not in gone]


def merge(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """The old rows, with new ones replacing those with the same key, sorted by key, empty values first."""
    added = list(new)
    fresh = {key(row): row for row in added}
    assert len(fresh) == len(added), "two new rows have the same key"
    rows = {**{key(row): row for row in old}, **fresh}
    by_key = sorted(rows, key=lambda name: [(value is not None, "" if value is None else value) for value in name])
    return [rows[name] for name in by_key]


def key(row: Keyed) -> Key:
    """The values of a row's key columns, numbers as they are printed."""
    values = (getattr(row, name) for name in columns(type(row))[: row.KEY])
    return tuple(float(printed(value)) if isinstance(value, float) else value for value in values)


def columns(kind: type) -> tuple[str, ...]:
    """The columns of a kind of row, in the order of its file."""
    return _columns(kind)


@cache  # mypy does not take a dataclass's type for hashable, so callers cannot use this one
def _columns(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def printed(value: Value) -> str:
    """A value as written to a file: nothing for `None`, numbers to ten significant digits, text on one line."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return printable(" ".join(str(value).split()))
    rounded = f"{value:.10g}"
    return rounded if math.isfinite(float(rounded)) else repr(value)  # rounding up can exceed the range of a float


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    """A CSV file as text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([printed(value) for value in row] for row in rows)
    return text.getvalue()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, created if missing, so that no other process changes its tables.

    Raises:
        ValueError: If another process holds the folder for longer than it takes to write tables.
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
        remove_partial(folder)  # of a killed process: a live one would hold the lock
        yield
    finally:
        lock.release()


def table_text(rows: Iterable[Row], kind: type[Row]) -> str:
    """The text of a file of rows, in the order given."""
    header = columns(kind)
    return csv_text(header, ([getattr(row, name) for name in header] for row in rows))


def write_table(path: Path, rows: Iterable[Row], kind: type[Row]) -> None:
    """Write a file of rows in the order given, replacing an earlier one."""
    replace_file(path, table_text(rows, kind))


def read_table(path: Path, kind: type[Row]) -> list[Row]:
    """The rows of a file of a kind, none if there is no file.

    Raises:
        CorruptFileError: If the header does not match, with the line and column of an invalid value, or with both
            lines of two rows that have the same key.
    """
    if not path.exists():
        return []
    text = read_text(path, kind=f"{kind.__name__.lower()}s file", encoding="utf-8-sig")
    try:
        return rows_in(text, kind)
    except ValueError as error:
        raise CorruptFileError(path, str(error)) from error


def rows_in(text: str, kind: type[Row]) -> list[Row]:
    """The rows of a table, as `table_text` writes it or as a spreadsheet saves it."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    parsers = {field.name: lru_cache(partial(_parsed, annotation=field.type)) for field in fields(kind)}  # many repeat
    rows = dict[Key, tuple[int, Row]]()
    try:
        header = next(reader, [])
        _check_header(header, kind)
        for values in filter(None, reader):
            row = _row(reader.line_num, parsers, header, values, kind)
            first, _ = rows.setdefault(key(row), (reader.line_num, row))
            if first != reader.line_num:
                raise ValueError(f"line {reader.line_num}: has the same key as line {first}")
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: not CSV: {error}") from error
    return [row for _, row in rows.values()]


def _check_header(header: Sequence[str], kind: type) -> None:
    missing = [name for name in columns(kind) if name not in header]
    foreign = [name for name in header if name not in columns(kind)]
    twice = sorted(name for name, times in Counter(header).items() if times > 1)
    if missing:
        raise ValueError(f"is not a {kind.__name__.lower()}s file: it lacks the columns {', '.join(missing)}")
    if foreign:
        raise ValueError(f"has columns that would be lost: {shown(', '.join(foreign))}")
    if twice:
        raise ValueError(f"has columns twice: {', '.join(twice)}")


def _row(
    line: int,
    parsers: Mapping[str, Callable[[str], Value]],
    header: Sequence[str],
    texts: Sequence[str],
    kind: type[Row],
) -> Row:
    if len(texts) != len(header):
        raise ValueError(f"line {line}: {len(texts)} values under {len(header)} columns")
    values, at = dict[str, Any](), ""
    try:
        for name, text in zip(header, texts, strict=True):
            at = f", column {name}"
            values[name] = parsers[name](text)
        at = ""
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"line {line}{at}: {error}") from error


def _parsed(text: str, annotation: Any) -> Value:
    """The value that `printed` wrote, by the annotation of its column."""
    kinds = (annotation, *get_args(annotation))
    if text == "" and type(None) in kinds:
        return None
    if float in kinds or int in kinds:
        return _number(text, float if float in kinds else int)
    if str in kinds:
        if printable(text) != text:
            raise ValueError(f"{shown(text)!r} contains control characters")
        return text
    choices = {"true": True, "false": False} if bool in kinds else {choice: choice for choice in get_args(annotation)}
    chosen = text.lower() if bool in kinds else text  # a spreadsheet saves TRUE
    if chosen not in choices:
        raise ValueError(f"{shown(text)!r} is not one of {', '.join(map(str, choices.values()))}")
    return choices[chosen]


def _number(text: str, kind: type[int] | type[float]) -> int | float:
    """A number without the blanks, underscores and non-ASCII digits that Python would accept."""
    if len(text) <= LONGEST_INTEGER and re.fullmatch(r"[-+]?[0-9]+" if kind is int else r"[-+.0-9eE]+", text):
        with suppress(ValueError):
            number = kind(text)
            if math.isfinite(number):
                return number
    raise ValueError(f"{shown(text)!r} is not a {'whole' if kind is int else 'finite'} number")


def shown(text: str) -> str:
    """The beginning of a text that may be of any length."""
    return text if len(text) <= 200 else f"{text[:197]}..."
