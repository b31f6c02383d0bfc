"""`bench leave-one-out`: whether circuits do their task in a form that their search has not seen."""

import math
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from benchmark.cli.cells import (
    Engine,
    cell_options,
    check_installation,
    claim_folders,
    compared_methods,
    compute,
    dry_run_table,
    exit_if_failed,
    methods_argument,
)
from benchmark.cli.errors import user_errors
from benchmark.cli.text import WIDTH, table_lines
from benchmark.running.store import Store

if TYPE_CHECKING:
    from benchmark.studies.leave_one_out import Generalisation


@click.command()
@methods_argument(compared_methods)
@cell_options("leave_one_out.csv")
@click.option("--dry-run", is_flag=True, help="List what would be computed and what it costs; write nothing.")
def leave_one_out(
    methods: Sequence[str],
    preset: str,
    tasks: Sequence[str],
    seeds: Sequence[int],
    changes: Sequence[str],
    out: Path,
    store: Path,
    engine: Engine,
    dry_run: bool,
) -> None:
    """Test circuits in a form of their task that their search has not seen.

    Every form of train and validation prompts is held out once: a circuit is discovered without it, in the unit graph,
    and measured in that form alone. Writes leave_one_out.csv, one row per search. Exit 1 if a cell failed.
    """
    from benchmark.running.config import configure
    from benchmark.running.experiment import adding_to, joined_experiment
    from benchmark.running.plan import by_urgency
    from benchmark.running.schedule import kernels_of
    from benchmark.studies import leave_one_out as study
    from benchmark.studies.tables import added, write_frame

    place = Store(store)
    with user_errors():
        check_installation()
        run = configure(preset, methods, tasks, seeds, changes)
        found = study.searches(run)
        joined_experiment(out, run, study.LEAVE_ONE_OUT)
    cells = by_urgency([each.cell for each in found], run.estimated_seconds)
    if dry_run:
        groups = {f"{method:<20}": [each.cell for each in found if each.method == method] for method in run.methods}
        click.echo(dry_run_table(f"{'method':<20}", groups, cells, place, run.estimated_seconds, engine.workers))
        return
    claim_folders(place, out)
    outcomes = compute(cells, place, out, engine, run.estimated_seconds)
    rows = study.rows_of(found, outcomes, place)
    with user_errors(), adding_to(out, run, study.LEAVE_ONE_OUT, kernels_of(outcomes)):
        rows = added(out / study.LEAVE_ONE_OUT, rows, study.KEY)
        write_frame(out / study.LEAVE_ONE_OUT, rows)
    click.echo("\n".join(text(study.by_method(rows, run.circuit.target_loss))))
    click.echo(f"tables in {out}, artifacts in {place.root}", err=True)
    exit_if_failed(outcomes)


def text(found: "Sequence[Generalisation]") -> list[str]:
    """The summary, at most 80 columns wide."""
    from rich.box import SIMPLE
    from rich.table import Table

    def nats(value: float) -> str:
        return "?" if math.isnan(value) else f"{value:.3f}"

    table = Table("method", "searches", "solved", "reached", "generalised", "loss", "whole", box=SIMPLE)
    for each in found:
        counts = map(str, (each.searches, each.solved, each.reached, each.generalised))
        table.add_row(each.method, *counts, nats(each.loss), nats(each.whole_loss))
    told = (
        "solved: the whole model does the task in the held-out form; reached: of these, the circuit reached the target "
        "in the other forms; generalised: of these, it does the task in the held-out form as well. loss, whole: median "
        "loss there of the circuits that reached the target and of their whole models, nats."
    )
    return [*table_lines(table), *wrap(told, WIDTH)]
