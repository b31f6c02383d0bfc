"""Turns the cells of a run into the rows of its tables."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.discovery.settings import CircuitConfig
from benchmark.disk import replace_files
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
    columns,
    merge,
    read_costs,
    read_measurements,
    read_records,
    rows_in,
    table_text,
    without_cells,
)
from benchmark.running.cells import Cell
from benchmark.running.config import RunConfig
from benchmark.running.experiment import adding_to, joined_experiment
from benchmark.running.schedule import Outcome, kernels_of
from benchmark.running.store import Store


def check_tables(out: Path, run: RunConfig) -> None:
    """Make sure that a folder can take the tables of a run, before anything is computed; changes nothing.

    Raises:
        ValueError: In one line, if its tables belong to other settings, if it has other files in their place, or if it
            has rows by an older definition of a metric that the run would not replace.
    """
    rows = read_records(out / RECORDS)
    read_costs(out / COSTS)
    read_curves(out / CURVES)
    joined_experiment(out, run, RECORDS)
    for row in rows:
        known = METRICS.get(row.metric)
        replaced = row.method in run.methods and row.seed in run.seeds and row.task in ("", *run.tasks)
        if known is not None and row.metric_version != known.version and not replaced:
            raise ValueError(
                f"{out / RECORDS} has {row.metric} of {row.method}, seed {row.seed}, by version {row.metric_version} "
                f"of its definition, now {known.version}, and this run would not replace it: include it in the run, or "
                "choose another --out"
            )


def write_tables(
    run: RunConfig, outcomes: Iterable[Outcome], store: Store, out: Path, workers: int | None = None
) -> None:
    """Bring `run.json` and the tables of a folder up to date, all at once; no old row of the run's cells stays.

    The same outcomes give the same bytes, whatever rows of these cells the folder had before, except for costs: a cell
    that was found in the store keeps its row there.

    Args:
        run: The settings of the run.
        outcomes: How its cells ended.
        store: Where their artifacts are.
        out: The folder of the tables; rows of cells that are not part of the run stay.
        workers: Number of processes that computed; `None` if unknown.

    Raises:
        ValueError: In one line, if another process has meanwhile written tables of other settings.
    """
    outcomes = list(outcomes)
    ended = {_cell_name(run, outcome.cell) for outcome in outcomes}
    anew = {_cell_name(run, outcome.cell) for outcome in outcomes if outcome.status != "found"}
    rows = [row for outcome in outcomes for row in _records(outcome, run, store)]
    points = [
        CurveRow(preset=run.preset, **_columns(outcome.cell, CurveRow), **asdict(point))
        for outcome in outcomes
        if outcome.status != "failed"
        for point in read_points(store.artifact(outcome.cell.key))
    ]
    costs = [_cost(outcome.cell, run, store, workers) for outcome in outcomes if outcome.status == "computed"]
    with adding_to(out, run, RECORDS, kernels_of(outcomes)):
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


def _records(outcome: Outcome, run: RunConfig, store: Store) -> Iterator[Record]:
    """The records of one cell: what it measured; if it failed, that each metric of its kind has no value and why."""
    cell = outcome.cell
    named = {"preset": run.preset, "config_hash": cell.key[:12], **_columns(cell, Record)}
    if outcome.status == "failed":
        for metric in METRICS.values():
            if metric.cell == cell.kind:
                failure = Measurement(metric.name, status="failed", reason=outcome.reason, ablation=cell.ablation)
                yield Record.of(failure, **named, code_version=code_version())
        return
    computed_by = store.manifest(cell.key).code_version
    for measurement in read_measurements(store.artifact(cell.key)):
        yield Record.of(measurement, **named, code_version=computed_by)


def _cost(cell: Cell, run: RunConfig, store: Store, workers: int | None) -> Cost:
    manifest = store.manifest(cell.key)
    return Cost(
        preset=run.preset,
        kind=cell.kind,
        seconds=manifest.seconds,
        peak_mib=round(manifest.peak_memory / 2**20, 1),
        workers=workers,
        **_names(cell),
    )


def _cell_name(run: RunConfig, cell: Cell) -> CellName:
    return CellName(cell.kind, run.preset, **_names(cell))


def _names(cell: Cell) -> dict[str, Any]:
    names = ("method", "variant", "graph", "task", "seed")
    return {name: cell.params[name] for name in names if name in cell.params and cell.kind != "corpus"}


def _columns(cell: Cell, row: type[Record | CurveRow]) -> dict[str, Any]:
    """The columns of a row that its cell determines."""
    named = _names(cell)
    if "circuit" in cell.params:
        circuit = CircuitConfig(**cell.params["circuit"])
        named |= {"ranking": circuit.found_by, "target_loss": circuit.target_loss}
    return {name: value for name, value in named.items() if name in columns(row)}
