"""`bench sweep`: frontiers of capability against size, with what each point cost."""

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from benchmark.cli.cells import (
    cell_options,
    compute,
    exit_if_failed,
    groups_of_cells,
    held,
    missing_cells,
    other_code,
    what_is_left,
)
from benchmark.cli.errors import names, user_errors

if TYPE_CHECKING:
    from benchmark.running.cells import Cell
    from benchmark.running.store import Store
    from benchmark.studies.frontier import SweepRow
    from benchmark.studies.sweep import OperatingPoint

WIDTH = 80
"""Columns of the text."""


@click.command()
@click.argument("families", metavar="[FAMILY,...]", default="all", callback=names)
@cell_options("sweep.csv")
@click.option("--dry-run", is_flag=True, help="List the points and what they cost; write nothing.")
def sweep(
    families: Sequence[str],
    preset: str,
    tasks: Sequence[str],
    seeds: Sequence[int],
    changes: Sequence[str],
    out: Path,
    store: Path,
    workers: int | None,
    dry_run: bool,
) -> None:
    """Run families at several settings each: density, width, a dictionary's L0 and features.

    Writes sweep.csv: what each point can do, what it cost, how large its circuits are, beside those of the family's own
    point and of the leading reference, whether another point of any family is better in both, and among how many
    features of a dictionary concepts and features of another width are divided. Cells are shared with `bench run`; the
    same command resumes after a stop. Exit 1 if a cell failed; its point has a row all the same.
    """
    from benchmark.cli.ownership import check_ownership
    from benchmark.cli.registries import say_what_is_left_out
    from benchmark.running.experiment import joined_experiment
    from benchmark.running.store import Store
    from benchmark.studies.frontier import SWEEP
    from benchmark.studies.sweep import sweep_points

    with user_errors():
        check_ownership()
        say_what_is_left_out()
        points = sweep_points(preset, () if "all" in families else families, tasks, seeds, changes)
        for point in points:
            assert point.cells  # made here, as the folder of a corpus may be missing
        joined_experiment(out, points[0].run, SWEEP)
    count = workers or os.cpu_count() or 1
    if dry_run:
        _describe(points, Store(store), count)
    else:
        _carry_out(points, Store(store), out, count)


def _carry_out(points: "Sequence[OperatingPoint]", store: "Store", out: Path, workers: int) -> None:
    """Compute what is missing, then write and print the frontier; exit 1 if a cell failed."""
    from benchmark.running.experiment import adding_to
    from benchmark.studies.frontier import SWEEP, sweep_rows, write_sweep

    with held(store, out):
        outcomes = compute(_cells(points), store, workers, points[0].run.estimated_seconds)
    rows = sweep_rows(points, outcomes, store)
    families = tuple(dict.fromkeys(point.family for point in points))
    with user_errors(), adding_to(out, replace(points[0].run, methods=families), SWEEP):
        write_sweep(out, rows)
    click.echo(_tables(rows))
    click.echo(f"table in {out / SWEEP}, artifacts in {store.root}", err=True)
    exit_if_failed(outcomes)


def _cells(points: "Sequence[OperatingPoint]") -> "list[Cell]":
    """The cells of all points, each once, the most urgent first."""
    from benchmark.running.plan import by_urgency

    wanted = (cell for point in points for cell in point.wanted)
    return by_urgency(wanted, points[0].run.estimated_seconds)


def _describe(points: "Sequence[OperatingPoint]", store: "Store", workers: int) -> None:
    """Print the points and what they cost, a cell that several need at the first of them; write nothing."""
    seconds = points[0].run.estimated_seconds
    groups = {f"{point.family:<15}{point.name:<28}": point.cells for point in points}
    click.echo(f"{'family':<15}{'point':<28}{'cells':>7}{'missing':>9}{'work':>16}")
    click.echo("\n".join(groups_of_cells(groups, store, seconds)))
    cells = _cells(points)
    missing = missing_cells(cells, store)
    left = what_is_left(cells, missing, seconds, workers)
    told = f"{len(points)} points, {left}, if every point takes as long as the preset's own"
    click.echo("\n".join([*other_code(cells, missing, store), *wrap(told, WIDTH)]))


def _tables(rows: "Sequence[SweepRow]") -> str:
    """The rows as a table, what was not reached, and as another table how points compare."""
    lines = _aligned(("family", "point", "loss", "size", "found", "params", "FLOPs", "recov", "l0", ""), _shown, rows)
    for row in rows:
        if row.status != "ok":
            lines += wrap(f"{row.family} {row.point}: {row.status}: {row.reason}", WIDTH, subsequent_indent="  ")
    lines += ["", *_caption(rows), ""]
    lines += _aligned(("family", "point", "/ own", "/ ref", "split", "back", "null"), _compared, rows)
    return "\n".join([*lines, "", *COMPARED])


def _aligned(header: Sequence[str], shown: "Callable[[SweepRow], list[str]]", rows: "Sequence[SweepRow]") -> list[str]:
    """Lines of a table, names to the left and numbers to the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(width=WIDTH, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in header:
        table.add_column(name, no_wrap=True, justify="left" if name in ("family", "point", "") else "right")
    for row in rows:
        table.add_row(*shown(row))
    text = io.StringIO()
    Console(file=text, width=WIDTH, color_system=None).print(table)
    return [line.rstrip() for line in text.getvalue().splitlines()]


def _shown(row: "SweepRow") -> list[str]:
    mark = {True: "-", False: "*", None: "?"}[row.dominated]
    return [
        row.family,
        row.point,
        _digits(row.validation_loss, ".3f"),
        _digits(row.size, ".0f"),
        f"{row.circuits_reached}/{row.circuits}",
        _digits(row.nonzero_parameters, ".1e"),
        _digits(row.training_flops, ".1e"),
        _digits(row.loss_recovered, ".2f"),
        _digits(row.l0, ".1f"),
        mark,
    ]


def _compared(row: "SweepRow") -> list[str]:
    return [
        row.family,
        row.point,
        _ratio(row.over_own, row.over_own_low, row.over_own_high),
        _ratio(row.over_reference, row.over_reference_low, row.over_reference_high),
        _digits(row.feature_splits, ".2f"),
        _digits(row.feature_splits_back, ".2f"),
        _digits(row.feature_splits_null, ".2f"),
    ]


def _ratio(value: float | None, low: float | None, high: float | None) -> str:
    limits = "" if low is None or high is None else f" [{low:.2g}, {high:.2g}]"
    return _digits(value, ".2g") + limits


def _digits(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _caption(rows: "Sequence[SweepRow]") -> list[str]:
    return [
        f"size: {rows[0].size_metric}, geometric mean over circuits that all of a family reach",
        "found: circuits at the target / tried; FLOPs: of the training",
        "*: on the frontier; -: dominated: another point reaches as many circuits, and",
        "  its loss and sizes, over what both reach, are no greater",
        "?: not known, see above",
    ]


COMPARED = (
    "/ own, / ref: size over that of the preset's point of the family, and of the",
    "  leading reference, over tasks that both reach, with 95 % intervals over tasks",
    "split: features of the wider of this point and the family's own among which one",
    "  of the narrower is divided; back: the other way round; null: by chance",
)
