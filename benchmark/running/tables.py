"""Turns the cells of a run into the rows of its tables."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmark.discovery.settings import CircuitConfig
from benchmark.leaderboard.ranking import LEADERBOARD, leaderboard, rules_of, table
from benchmark.metrics import METRICS
from benchmark.plugins.versions import code_version
from benchmark.records.curves import CURVES, CurveRow, read_curves, read_points
from benchmark.records.table import (
    COSTS,
    RECORDS,
    CellName,
    Cost,
    Measurement,
    Record,
    merge,
    read_costs,
    read_measurements,
    read_records,
    replace_files,
    rows_in,
    table_text,
    without_cells,
)
from benchmark.records.table import (
    columns as columns_of,
)
from benchmark.running.cells import Cell
from benchmark.running.config import RunConfig
from benchmark.running.executor import Outcome
from benchmark.running.experiment import adding_to, joined_experiment
from benchmark.running.store import Store


def check_tables(out: Path, run: RunConfig) -> None:
    """Make sure that a folder can take the tables of a run, before anything is computed; changes nothing.

    Raises:
        ValueError: In one line, if its tables are of other settings, if it holds other files in their place, or if it
            holds rows by an older definition of a metric that the run leaves as they are.
    """
    rows = read_records(out / RECORDS)
    read_costs(out / COSTS)
    read_curves(out / CURVES)
    joined_experiment(out, run, RECORDS)
    for row in rows:
        known = METRICS.get(row.metric)
        if known is None or row.metric_version == known.version or _replaces(run, row):
            continue
        raise ValueError(
            f"{out / RECORDS} has {row.metric} of {row.method}, seed {row.seed}, by version {row.metric_version} of "
            f"its definition, now {known.version}, and this run leaves it there: run that too, or choose another --out"
        )


def _replaces(run: RunConfig, row: Record) -> bool:
    """Whether a run measures again what a row holds."""
    return row.method in run.methods and row.seed in run.seeds and row.task in ("", *run.tasks)


def write_tables(run: RunConfig, outcomes: Iterable[Outcome], store: Store, out: Path, workers: int) -> None:
    """Bring `run.json` and the tables of a folder up to date, all at once: of a cell of the run no old row stays.

    The same outcomes give the same bytes, whatever the folder held of these cells before; costs are as they were.

    Args:
        run: The settings of the run.
        outcomes: How its cells ended.
        store: Where their artifacts are.
        out: The folder of the tables; rows of cells that the run does not have stay.
        workers: Number of processes that computed.

    Raises:
        ValueError: In one line, if another process has meanwhile written tables of other settings.
    """
    outcomes = list(outcomes)
    ended = {cell_name(run.preset, outcome.cell) for outcome in outcomes}
    anew = {cell_name(run.preset, outcome.cell) for outcome in outcomes if outcome.status != "found"}
    rows = [row for outcome in outcomes for row in rows_of(outcome, run, store)]
    points = [row for outcome in outcomes for row in curves_of(outcome, run, store)]
    costs = list(costs_of(outcomes, run, store, workers))
    with adding_to(out, run, RECORDS):
        records = table_text(merge(without_cells(read_records(out / RECORDS), ended), rows), Record)
        curves = merge(without_cells(read_curves(out / CURVES), ended), points)
        board = leaderboard(rows_in(records, Record), {run.preset: rules_of(run.circuit)})
        texts = {
            CURVES: table_text(curves, CurveRow),
            COSTS: table_text(merge(without_cells(read_costs(out / COSTS), anew), costs), Cost),
            RECORDS: records,
            LEADERBOARD: table(board),
        }
        replace_files({out / name: text for name, text in texts.items()})


def rows_of(outcome: Outcome, run: RunConfig, store: Store) -> Iterator[Record]:
    """The records of one cell: what it measured, or that it failed."""
    columns = {"preset": run.preset, "config_hash": outcome.cell.key[:12], **_columns(outcome.cell)}
    if outcome.status == "failed":
        for failure in _failures(outcome):
            yield Record.of(replace(failure, ablation=outcome.cell.ablation), **columns, code_version=code_version())
        return
    columns["code_version"] = store.manifest(outcome.cell.key).code_version
    for measurement in read_measurements(store.artifact(outcome.cell.key)):
        yield Record.of(measurement, **columns)


def _failures(outcome: Outcome) -> Iterator[Measurement]:
    """What stands in the place of all that a cell of this kind may measure."""
    for metric in METRICS.values():
        if metric.cell == outcome.cell.kind:
            yield Measurement(metric.name, status="failed", reason=outcome.reason)


def curves_of(outcome: Outcome, run: RunConfig, store: Store) -> Iterator[CurveRow]:
    """The points of the curves that one cell drew."""
    columns = {name: value for name, value in _columns(outcome.cell).items() if name in columns_of(CurveRow)}
    for point in [] if outcome.status == "failed" else read_points(store.artifact(outcome.cell.key)):
        yield CurveRow(preset=run.preset, **columns, **asdict(point))


def costs_of(outcomes: Iterable[Outcome], run: RunConfig, store: Store, workers: int) -> Iterator[Cost]:
    """What the cells that were computed now took; one that was found keeps the row that it has."""
    for outcome in outcomes:
        if outcome.status == "computed":
            manifest = store.manifest(outcome.cell.key)
            yield Cost(
                preset=run.preset,
                kind=outcome.cell.kind,
                seconds=manifest.seconds,
                peak_mib=round(manifest.peak_memory / 2**20, 1),
                workers=workers,
                **_names(outcome.cell),
            )


def cell_name(preset: str, cell: Cell) -> CellName:
    """The cell as rows name it."""
    return CellName(cell.kind, preset, **_names(cell))


def _names(cell: Cell) -> dict[str, Any]:
    names = ("method", "variant", "graph", "task", "seed")
    return {name: cell.params[name] for name in names if name in cell.params and cell.kind != "corpus"}


def _columns(cell: Cell) -> dict[str, Any]:
    """The columns of a record that its cell decides."""
    if "circuit" not in cell.params:
        return _names(cell)
    circuit = CircuitConfig(**cell.params["circuit"])
    return _names(cell) | {"ranking": circuit.found_by, "target_loss": circuit.target_loss}
