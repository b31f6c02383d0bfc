"""`bench records`: make the tables of a run again from its store."""

from collections.abc import Sequence
from pathlib import Path

import click

from benchmark.cli.cells import check_installation, method_option, run_options
from benchmark.cli.errors import OneLineGroup, user_errors
from benchmark.cli.folders import claim
from benchmark.report.words import counted
from benchmark.running.store import Store


@click.group(cls=OneLineGroup)
def records() -> None:
    """Make the tables of a run again from its store."""


@records.command()
@method_option
@run_options("the tables")
def rebuild(
    methods: Sequence[str],
    preset: str,
    tasks: Sequence[str],
    seeds: Sequence[int],
    changes: Sequence[str],
    out: Path,
    store: Path,
) -> None:
    """Write the tables of a run from what its store holds, and compute nothing.

    Takes the options of the `bench run` that filled the store. Cells that are missing or corrupt get no rows, and keep
    those that the folder has; exit 1 if there are any.
    """
    from benchmark.running.config import configure
    from benchmark.running.plan import plan
    from benchmark.running.schedule import Outcome
    from benchmark.running.tables import check_tables, write_tables

    place = Store(store)
    with user_errors():
        check_installation()
        settings = configure(preset, methods, tasks, seeds, changes)
        cells = plan(settings).cells
        check_tables(out, settings)
        outcomes = [Outcome(cell, "computed") for cell in cells if place.state(cell.key) == "done"]
        if not outcomes:
            raise ValueError(f"store {str(store)!r} has no cell of this run: give the options that the run had")
        claim(out)
        write_tables(settings, outcomes, place, out)
    left = len(cells) - len(outcomes)
    click.echo(f"tables in {out} from {counted(len(outcomes), 'cell')}" + f", {left} not in the store" * bool(left))
    if left:
        raise click.exceptions.Exit(1)
