"""`bench sweep`: frontiers of capability against size, with what each point cost."""

import io
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from benchmark.cli.errors import STOPPED, names, seeds, user_errors
from benchmark.cli.folders import claim
from benchmark.duration import duration

if TYPE_CHECKING:
    from benchmark.executor import Outcome
    from benchmark.store import Store
    from benchmark.sweep import Point, Row

WIDTH = 80
"""Columns of the text."""


@click.command()
@click.argument("families", metavar="[FAMILY,...]", default="all", callback=names)
@click.option("--preset", default="quick", show_default=True, help="Settings that the points start from.")
@click.option("--tasks", callback=names, help="`all` or NAME,NAME instead of the preset's.")
@click.option("--seeds", callback=seeds, metavar="0,1,2", help="Training seeds instead of the preset's.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change the preset: dense.tokens=100000.")
@click.option(
    "--out", default="results", show_default=True, type=click.Path(path_type=Path), help="Folder of sweep.csv."
)
@click.option(
    "--store", default="store", show_default=True, type=click.Path(path_type=Path), help="Folder of artifacts."
)
@click.option("--workers", type=click.IntRange(1), help="Processes; default: one a core. Changes no number.")
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

    Writes sweep.csv: what each point can do, what it cost, how large its circuits are, and whether another point of any
    family is better in both. Cells are those of `bench run` and are shared with it; the same command goes on after a
    stop. Exit 1 if a cell failed; its point has a row all the same.
    """
    from benchmark.cli.ownership import check_ownership
    from benchmark.store import Store
    from benchmark.sweep import sweep_points

    with user_errors():
        check_ownership()
        points = sweep_points(preset, () if "all" in families else families, tasks, seeds, changes)
        for point in points:
            assert point.cells  # made here, as the folder of a corpus may be missing
    count = workers or os.cpu_count() or 1
    if dry_run:
        _describe(points, Store(store), count)
    else:
        _carry_out(points, Store(store), out, count)


def _carry_out(points: "Sequence[Point]", store: "Store", out: Path, workers: int) -> None:
    """Compute what is missing, then write and print the frontier; exit 1 if a cell failed, 130 after Ctrl-C."""
    from benchmark.sweep import SWEEP, sweep_rows, write_sweep

    with ExitStack() as held:
        with user_errors():
            claim(out, store.root)
            held.enter_context(store.lock())
        outcomes = _compute(points, store, workers)
    rows = sweep_rows(points, outcomes, store)
    write_sweep(out, rows)
    click.echo(_table(rows))
    click.echo(f"table in {out / SWEEP}, artifacts in {store.root}", err=True)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        first = failed[0]
        click.echo(f"{len(failed)} of {len(outcomes)} cells failed: {first.cell.label}: {first.reason}", err=True)
        raise click.exceptions.Exit(1)


def _compute(points: "Sequence[Point]", store: "Store", workers: int) -> "list[Outcome]":
    """Compute what is missing, with progress on the terminal."""
    from rich.console import Console

    from benchmark.executor import execute
    from benchmark.plan import by_urgency
    from benchmark.progress import Tally, display_on

    estimate = points[0].run.estimated_seconds
    cells = by_urgency((cell for point in points for cell in point.circuits.values()), estimate)
    try:
        with display_on(Console(stderr=True, highlight=False), Tally(estimate)) as display:
            return execute(cells, store, workers, display)
    except KeyboardInterrupt:
        click.echo("stopped; the same command goes on from here", err=True)
        raise click.exceptions.Exit(STOPPED) from None


def _describe(points: "Sequence[Point]", store: "Store", workers: int) -> None:
    """Print the points and what they cost, a cell that several need at the first of them; write nothing."""
    from benchmark.plan import by_urgency, expected_seconds

    estimate = points[0].run.estimated_seconds
    counted: set[str] = set()
    click.echo(f"{'family':<15}{'point':<28}{'cells':>7}{'missing':>9}{'work':>16}")
    for point in points:
        own = [cell for cell in point.cells if cell.key not in counted]
        missing = [cell for cell in own if store.state(cell.key) != "done"]
        counted |= {cell.key for cell in own}
        work = duration(sum(map(estimate, missing), 0.0))
        click.echo(f"{point.family:<15}{point.name:<28}{len(own):>7}{len(missing):>9}{work:>16}")
    every = by_urgency((cell for point in points for cell in point.circuits.values()), estimate)
    rest = [cell for cell in every if store.state(cell.key) != "done"]
    click.echo(
        f"{len(points)} points, {len(every)} cells, {len(every) - len(rest)} done; the rest takes about "
        f"{duration(expected_seconds(rest, estimate, workers))}\nwith {workers} worker{'s' if workers > 1 else ''}, if "
        "every point takes as long as the preset's own"
    )


def _table(rows: "Sequence[Row]") -> str:
    """The rows as a table, with what was not reached below."""
    from rich.console import Console
    from rich.table import Table

    table = Table(width=WIDTH, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("family", "point", "loss", "size", "tasks", "params", "FLOPs", "recov", "l0", ""):
        table.add_column(name, no_wrap=True, justify="left" if name in ("family", "point", "") else "right")
    for row in rows:
        table.add_row(*_shown(row))
    text = io.StringIO()
    Console(file=text, width=WIDTH, color_system=None).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    for row in rows:
        if row.status != "ok":
            lines += wrap(f"{row.family} {row.point}: {row.status}: {row.reason}", WIDTH, subsequent_indent="  ")
    return "\n".join([*lines, "", *_caption(rows)])


def _shown(row: "Row") -> list[str]:
    mark = {True: "-", False: "*", None: "?"}[row.dominated]
    return [
        row.family,
        row.point,
        _digits(row.validation_loss, ".3f"),
        _digits(row.size, ".0f"),
        f"{row.tasks_reached}/{row.tasks}",
        _digits(row.nonzero_parameters, ".1e"),
        _digits(row.training_flops, ".1e"),
        _digits(row.loss_recovered, ".2f"),
        _digits(row.l0, ".1f"),
        mark,
    ]


def _digits(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _caption(rows: "Sequence[Row]") -> list[str]:
    return [
        f"size: {rows[0].size_metric}, geometric mean over tasks that all of a family reach",
        "tasks: reached in every seed / tried; FLOPs: of the training",
        "*: on the frontier; -: dominated, another point has no greater loss and size",
        "?: not known, see above",
    ]
