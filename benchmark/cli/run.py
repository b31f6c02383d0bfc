"""`bench run`: train the methods, discover and score their circuits, write the leaderboard."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.cells import cell_options, check_installation, compute, held, what_is_left
from benchmark.cli.errors import names, user_errors
from benchmark.running.store import Store

if TYPE_CHECKING:
    from benchmark.running.config import RunConfig
    from benchmark.running.plan import Plan


@click.command()
@click.option("--method", "methods", default="all", show_default=True, callback=names, help="`all` or NAME,NAME.")
@cell_options("the tables")
@click.option("--executor", type=click.Choice(["local"]), default="local", show_default=True, help="Where cells run.")
@click.option("--fresh", is_flag=True, help="Compute every cell of this run again.")
@click.option("--dry-run", is_flag=True, help="Say what would be computed and what is done; write nothing.")
def run(
    methods: Sequence[str],
    preset: str,
    tasks: Sequence[str],
    seeds: Sequence[int],
    changes: Sequence[str],
    out: Path,
    store: Path,
    workers: int,
    executor: str,
    fresh: bool,
    dry_run: bool,
) -> None:
    """Train the methods, discover and score their circuits, and write the leaderboard.

    A run that was stopped loses nothing that it finished: the same command resumes.
    """
    from benchmark.running.config import configure
    from benchmark.running.plan import plan
    from benchmark.running.tables import check_tables

    with user_errors():
        check_installation()
        settings = configure(preset, methods, tasks, seeds, changes)
        made = plan(settings)
        check_tables(out, settings)
    if dry_run:
        place = Store(store)
        states = {cell.key: "missing" if fresh else place.state(cell.key) for cell in made.cells}
        missing = [cell for cell in made.cells if states[cell.key] != "done"]
        lines = [*_notes(made), *(f"{states[cell.key]:<8} {cell.label}" for cell in made.cells)]
        lines += what_is_left(made.cells, missing, place, settings.estimated_seconds, workers)
        click.echo("\n".join(lines))
    else:
        _carry_out(settings, made, Store(store), out, workers, fresh)


def _notes(made: "Plan") -> list[str]:
    return [f"also trains {name}: {reason}" for name, reason in made.added.items()]


def _carry_out(settings: "RunConfig", made: "Plan", store: Store, out: Path, workers: int, fresh: bool) -> None:
    """Compute what is missing, write the tables and print the leaderboard; exit 1 if a cell failed."""
    from benchmark.cli.show import leaderboard_of
    from benchmark.running.tables import write_tables

    with held(store, out):
        if fresh:
            for cell in made.cells:
                store.discard(cell.key)
        for note in _notes(made):
            click.echo(note, err=True)
        outcomes = compute(made.cells, store, workers, settings.estimated_seconds)
        with user_errors():
            write_tables(settings, outcomes, store, out, workers)
    click.echo(leaderboard_of(out, as_json=False))
    click.echo(f"tables in {out}, artifacts in {store.root}", err=True)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        logs = [store.log(outcome.cell.key) for outcome in failed]
        told = "".join(f"; {log}" for log in logs if log.exists())
        click.echo(
            f"{len(failed)} of {len(outcomes)} cells failed, see the reasons in {out / 'records.csv'}{told}", err=True
        )
        raise click.exceptions.Exit(1)
