"""`bench sweep`: frontiers of capability against size, with what each point cost."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from benchmark.cli.cells import (
    Engine,
    cell_options,
    check_installation,
    claim_folders,
    compute,
    dry_run_table,
    exit_if_failed,
    methods_argument,
)
from benchmark.cli.errors import user_errors
from benchmark.cli.text import WIDTH, table_lines
from benchmark.running.store import Store

if TYPE_CHECKING:
    from benchmark.studies.frontier import SweepRow


@click.command()
@methods_argument("all", "all", name="families", metavar="[FAMILY,...]")
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
    engine: Engine,
    dry_run: bool,
) -> None:
    """Run each family at several settings: density, width, a dictionary's L0 and its number of features.

    Writes sweep.csv: what each point can do, what it cost, how large its circuits are next to those of the family's own
    point and of the leading reference, whether another point of any family is better in both, and into how many
    features of a dictionary concepts and features of another width split. Cells are shared with `bench run`; after a
    stop the same command resumes. Exit 1 if a cell failed; its point has a row all the same.
    """
    from benchmark.running.experiment import adding_to, joined_experiment
    from benchmark.running.plan import by_urgency
    from benchmark.running.schedule import kernels_of
    from benchmark.studies.frontier import SWEEP, sweep_rows, write_sweep
    from benchmark.studies.sweep import sweep_points

    place = Store(store)
    with user_errors():
        check_installation()
        points = sweep_points(preset, families, tasks, seeds, changes)
        run = points[0].run
        wanted = [cell for point in points for cell in point.wanted]  # made here: the folder of a corpus may be missing
        groups = {f"{point.family:<15}{point.name:<28}": point.cells for point in points}
        joined_experiment(out, run, SWEEP)
    cells = by_urgency(wanted, run.estimated_seconds)
    if dry_run:
        header = f"{'family':<15}{'point':<28}"
        remark = f"{len(points)} points, {{}}, if every point takes as long as the preset's own"
        click.echo(dry_run_table(header, groups, cells, place, run.estimated_seconds, engine.workers, remark))
        return
    claim_folders(place, out)
    outcomes = compute(cells, place, out, engine, run.estimated_seconds)
    rows = sweep_rows(points, outcomes, place)
    swept = replace(run, methods=tuple(dict.fromkeys(point.family for point in points)))
    with user_errors(), adding_to(out, swept, SWEEP, kernels_of(outcomes)):
        write_sweep(out, rows)
    click.echo(_tables(rows))
    click.echo(f"table in {out / SWEEP}, artifacts in {place.root}", err=True)
    exit_if_failed(outcomes)


def _tables(rows: "Sequence[SweepRow]") -> str:
    """One table of what the points reach, with the reasons where they do not, and one of how they compare."""
    lines = _aligned(("family", "point", "loss", "size", "found", "params", "FLOPs", "recov", "l0", ""), _shown, rows)
    for row in rows:
        if row.status != "ok":
            lines += wrap(f"{row.family} {row.point}: {row.status}: {row.reason}", WIDTH, subsequent_indent="  ")
    lines += ["", f"size: {rows[0].size_metric}, geometric mean over circuits that all of a family reach", *SHOWN, ""]
    lines += _aligned(("family", "point", "/ own", "/ ref", "split", "back", "null"), _compared, rows)
    return "\n".join([*lines, "", *COMPARED])


def _aligned(header: Sequence[str], shown: "Callable[[SweepRow], list[str]]", rows: "Sequence[SweepRow]") -> list[str]:
    """The lines of a table, names to the left and numbers to the right."""
    from rich.table import Table

    table = Table(width=WIDTH, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in header:
        table.add_column(name, no_wrap=True, justify="left" if name in ("family", "point", "") else "right")
    for row in rows:
        table.add_row(row.family, row.point, *shown(row))
    return table_lines(table)


def _shown(row: "SweepRow") -> list[str]:
    return [
        _digits(row.validation_loss, ".3f"),
        _digits(row.size, ".0f"),
        f"{row.circuits_reached}/{row.circuits}",
        _digits(row.nonzero_parameters, ".1e"),
        _digits(row.training_flops, ".1e"),
        _digits(row.loss_recovered, ".2f"),
        _digits(row.l0, ".1f"),
        {True: "-", False: "*", None: "?"}[row.dominated],
    ]


def _compared(row: "SweepRow") -> list[str]:
    return [
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


SHOWN = (
    "found: circuits at the target / tried; FLOPs: of the training",
    "*: on the frontier; -: dominated: another point reaches as many circuits, and",
    "  its loss and sizes, over what both reach, are no greater",
    "?: not known, see above",
)

COMPARED = (
    "/ own, / ref: size over that of the preset's point of the family, and of the",
    "  leading reference, over tasks that both reach, with 95 % intervals over tasks",
    "split: features of the wider of this point and the family's own into which one",
    "  of the narrower splits; back: the other way round; null: by chance",
)
