"""Turns the cells of a run into the rows of its tables."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.cells import Cell
from benchmark.concepts import CONCEPTS
from benchmark.config import CircuitConfig, RunConfig
from benchmark.curves import CURVES, CurveRow, read_curves, read_points, update_curves
from benchmark.executor import Outcome
from benchmark.leaderboard import rules_of, write_leaderboard
from benchmark.metrics import METRICS
from benchmark.metrics.registry import CONTROLS
from benchmark.records import (
    COSTS,
    RECORDS,
    Cost,
    Measurement,
    Record,
    read_costs,
    read_measurements,
    read_records,
    update_costs,
    update_records,
)
from benchmark.records import (
    columns as columns_of,
)
from benchmark.store import Store
from benchmark.tasks.shifts import SHIFTS
from benchmark.versions import code_version

DRAWN = ("circuit", "claims")
"""The kinds of cell that draw curves."""

OF_CIRCUITS = tuple(f"benchmark.metrics.{module}" for module in ("size", "task", "agreement", "intervention", "depth"))
"""The modules whose metrics a circuit's cell measures."""

OF_CLAIMS = (
    "error_compounding",
    "replaced_kl",
    "firing_rate_spread",
    "connection_density",
    "connection_density_null",
    "coactive_connection_density",
    "coactive_connection_density_null",
    "token_loss_correlation",
    "context_dilution",
    "dilution_slope",
)
"""The metrics that a claims cell measures."""

FAILED_ROWS = {
    "profile": ("validation_loss", "parameters", "nonzero_parameters", "training_flops"),
    "circuit": tuple(
        name
        for name, metric in METRICS.items()
        if name not in OF_CLAIMS
        if name == "verified_edges" or (metric.function is not None and metric.function.split(":")[0] in OF_CIRCUITS)
    ),
    "validity": ("undefined_rate", "illusion_rate", "graded_rate", "named_nodes"),
    "claims": OF_CLAIMS,
}
"""The metrics that say so when a cell of a kind failed, so that no row of an earlier run stays in their place."""


def check_tables(out: Path, run: RunConfig) -> None:
    """Make sure that a folder can take the tables of a run, before anything is computed.

    Raises:
        ValueError: In one line, if it holds other files in the place of tables, or rows of the preset by an older
            definition of a metric that the run leaves as they are.
    """
    rows = read_records(out / RECORDS)
    read_costs(out / COSTS)
    read_curves(out / CURVES)
    for row in rows:
        known = METRICS.get(row.metric)
        if known is None or row.preset != run.preset or row.metric_version == known.version or _replaces(run, row):
            continue
        raise ValueError(
            f"{out / RECORDS} has {row.metric} of {row.method}, seed {row.seed}, by version {row.metric_version} of "
            f"its definition, now {known.version}, and this run leaves it there: run that too, or choose another --out"
        )


def _replaces(run: RunConfig, row: Record) -> bool:
    """Whether a run measures again what a row holds."""
    return row.method in run.methods and row.seed in run.seeds and row.task in ("", *run.tasks)


def write_tables(run: RunConfig, outcomes: Iterable[Outcome], store: Store, out: Path, workers: int) -> None:
    """Bring `records.csv`, `curves.csv`, `costs.csv` and `leaderboard.csv` of a folder up to date.

    Args:
        run: The settings of the run.
        outcomes: How its cells ended.
        store: Where their artifacts are.
        out: The folder of the tables; rows of other runs stay.
        workers: Number of processes that computed.
    """
    outcomes = list(outcomes)
    rows = [row for outcome in outcomes for row in rows_of(outcome, run, store)]
    records = update_records(out / RECORDS, rows)
    update_curves(out / CURVES, *curves_of(outcomes, run, store))
    update_costs(out / COSTS, costs_of(outcomes, run, store, workers))
    write_leaderboard(out, records, {run.preset: rules_of(run.circuit)})


def rows_of(outcome: Outcome, run: RunConfig, store: Store) -> Iterator[Record]:
    """The records of one cell: what it measured, or that it failed."""
    columns = {"preset": run.preset, "config_hash": outcome.cell.key[:12], **_columns(outcome.cell)}
    if outcome.status == "failed":
        for failure in _failures(outcome, run):
            yield Record.of(replace(failure, ablation=outcome.cell.ablation), **columns, code_version=code_version())
        return
    columns["code_version"] = store.manifest(outcome.cell.key).code_version
    for measurement in read_measurements(store.artifact(outcome.cell.key)):
        yield Record.of(measurement, **columns)


def _failures(outcome: Outcome, run: RunConfig) -> Iterator[Measurement]:
    """What stands in the place of all that a cell would have measured."""
    for metric in FAILED_ROWS.get(outcome.cell.kind, ()):
        shift = SHIFTS.get(metric.removeprefix("agreement_"))
        if shift is None or shift.concerns(outcome.cell.params["task"]):
            yield Measurement(metric, status="failed", reason=outcome.reason)
    if outcome.cell.kind == "circuit" and run.circuit.redundancy:
        yield Measurement("second_circuit_nodes", status="failed", reason=outcome.reason)
    if outcome.cell.kind == "validity":
        for concept in run.validity.concepts or CONCEPTS:
            for metric in CONTROLS:
                yield Measurement(metric, concept=concept, status="failed", reason=outcome.reason)


def curves_of(outcomes: Iterable[Outcome], run: RunConfig, store: Store) -> tuple[list[CurveRow], list[CurveRow]]:
    """One row for each cell that may draw curves, and the rows of what they drew."""
    cells, rows = [], []
    for outcome in outcomes:
        if outcome.cell.kind in DRAWN:
            columns = {name: value for name, value in _columns(outcome.cell).items() if name in columns_of(CurveRow)}
            placed = partial(CurveRow, preset=run.preset, **columns)
            cells.append(placed(curve="", unit="", x=0.0, series="", value=0.0, n=0))
            points = [] if outcome.status == "failed" else read_points(store.artifact(outcome.cell.key))
            rows += [placed(**asdict(point)) for point in points]
    return cells, rows


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


def _names(cell: Cell) -> dict[str, Any]:
    names = ("method", "variant", "graph", "task", "seed")
    return {name: cell.params[name] for name in names if name in cell.params and cell.kind != "corpus"}


def _columns(cell: Cell) -> dict[str, Any]:
    """The columns of a record that its cell decides."""
    if "circuit" not in cell.params:
        return _names(cell)
    circuit = CircuitConfig(**cell.params["circuit"])
    return _names(cell) | {"ranking": circuit.found_by, "target_loss": circuit.target_loss}
