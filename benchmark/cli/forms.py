"""`bench forms`: the forms of each task in which the reference models do it."""

from collections.abc import Sequence
from pathlib import Path
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
)
from benchmark.cli.errors import user_errors
from benchmark.cli.text import table_lines
from benchmark.disk import replace_file
from benchmark.records.table import Value, csv_text
from benchmark.running.store import Store

if TYPE_CHECKING:
    from benchmark.studies.forms import FormLoss

FORMS = "forms.csv"
"""The table that the command writes."""


@click.command()
@cell_options(FORMS, default_tasks="all")
@click.option("--dry-run", is_flag=True, help="List what would be trained and what it costs; write nothing.")
def forms(
    preset: str,
    tasks: Sequence[str],
    seeds: Sequence[int],
    changes: Sequence[str],
    out: Path,
    store: Path,
    engine: Engine,
    dry_run: bool,
) -> None:
    """List the forms of each task that count: those in which the references do it.

    Trains the reference models and measures their task loss on prompts of each form. A form counts if the loss of each
    reference, in the mean over the seeds, is at most the target. Writes forms.csv and prints the setting to put into
    the preset; do this before any circuit is discovered. Exit 1 if a cell failed.
    """
    from rich.console import Console

    from benchmark.methods import with_role
    from benchmark.running.config import configure
    from benchmark.studies.forms import counted_forms, form_losses, model_cells

    place = Store(store)
    with user_errors():
        check_installation()
        run = configure(preset, with_role("reference"), tasks, seeds, changes)
        cells = model_cells(run)
    if dry_run:
        groups = {
            f"{method:<20}": [cell for cell in cells if cell.params.get("method") == method] for method in run.methods
        }
        click.echo(dry_run_table(f"{'method':<20}", groups, cells, place, run.estimated_seconds, engine.workers))
        return
    claim_folders(place, out)
    exit_if_failed(compute(cells, place, out, engine, run.estimated_seconds))
    console = Console(stderr=True, highlight=False)
    with console.status("") as status:
        losses = list(form_losses(run, place, lambda task: status.update(f"task {task}")))
    replace_file(out / FORMS, _as_csv(losses, run.circuit.target_loss))
    _print(losses, run.circuit.target_loss)
    click.echo("[circuit.forms]")
    for task, names in counted_forms(losses, run.circuit.target_loss).items():
        click.echo(f"{task} = [{', '.join(map('{!r}'.format, names))}]".replace("'", '"'))


def _as_csv(losses: "Sequence[FormLoss]", target: float) -> str:
    """One row a form."""
    methods = list(losses[0].losses) if losses else []
    rows: list[list[Value]] = [
        [each.task, each.form, each.split, *each.losses.values(), each.counts(target)] for each in losses
    ]
    return csv_text(["task", "form", "split", *methods, "counts"], rows)


def _print(losses: "Sequence[FormLoss]", target: float) -> None:
    """One line a task: how many of its forms count in each split, and the references' mean losses."""
    from rich.box import SIMPLE
    from rich.table import Table

    from benchmark.tasks import SPLITS

    methods = list(losses[0].losses) if losses else []
    table = Table("task", *SPLITS, *methods, box=SIMPLE)
    for task in dict.fromkeys(each.task for each in losses):
        own = [each for each in losses if each.task == task]
        of_split = [[each.counts(target) for each in own if each.split == split] for split in SPLITS]
        counts = [f"{sum(each)} of {len(each)}" for each in of_split]
        means = [f"{sum(each.losses[method] for each in own) / len(own):.3f}" for method in methods]
        table.add_row(task, *counts, *means)
    click.echo("\n".join(table_lines(table)))
