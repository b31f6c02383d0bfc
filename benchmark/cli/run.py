"""`bench run`: train the methods, find their circuits, write the leaderboard."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.cells import cell_options, compute, held, other_code, what_is_left
from benchmark.cli.errors import names, user_errors

if TYPE_CHECKING:
    from benchmark.running.config import RunConfig
    from benchmark.running.executor import Outcome
    from benchmark.running.plan import Plan
    from benchmark.running.store import Store


@click.command()
@click.option("--method", "methods", default="all", show_default=True, callback=names, help="`all` or NAME,NAME.")
@cell_options("the tables")
@click.option("--executor", type=click.Choice(["local"]), default="local", show_default=True, help="Where cells run.")
@click.option("--fresh", is_flag=True, help="Compute every cell of this run anew.")
@click.option("--dry-run", is_flag=True, help="Say what would be computed and what is done; write nothing.")
def run(
    methods: Sequence[str],
    preset: str,
    tasks: Sequence[str],
    seeds: Sequence[int],
    changes: Sequence[str],
    out: Path,
    store: Path,
    workers: int | None,
    executor: str,
    fresh: bool,
    dry_run: bool,
) -> None:
    """Train the methods, find and score their circuits, and write the leaderboard.

    What a stopped run has finished is found again: the same command goes on.
    """
    from benchmark.cli.ownership import check_ownership
    from benchmark.cli.registries import say_what_is_left_out
    from benchmark.running.config import configure
    from benchmark.running.plan import plan
    from benchmark.running.store import Store
    from benchmark.running.tables import check_tables

    with user_errors():
        check_ownership()
        say_what_is_left_out()
        settings = configure(preset, methods, tasks, seeds, changes)
        made = plan(settings)
        check_tables(out, settings)
    count = workers or os.cpu_count() or 1
    if dry_run:
        _describe(settings, made, Store(store), count, fresh)
    else:
        _carry_out(settings, made, Store(store), out, count, fresh)


def _carry_out(settings: "RunConfig", made: "Plan", store: "Store", out: Path, workers: int, fresh: bool) -> None:
    """Compute what is missing, then write the tables; exit 1 if a cell failed, 130 after Ctrl-C."""
    from benchmark.running.tables import write_tables

    with held(store, out):
        if fresh:
            for cell in made.cells:
                store.discard(cell.key)
        outcomes = compute(made.cells, store, workers, settings.estimated_seconds, _added(made))
        with user_errors():
            write_tables(settings, outcomes, store, out, workers)
    _conclude(outcomes, store, out)


def _added(made: "Plan") -> list[str]:
    return [f"also trains {name}: {reason}" for name, reason in made.added.items()]


def _conclude(outcomes: "Sequence[Outcome]", store: "Store", out: Path) -> None:
    """Print the leaderboard and where things are; exit 1 if a cell failed."""
    from benchmark.cli.leaderboard import leaderboard_of

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


def _describe(settings: "RunConfig", made: "Plan", store: "Store", workers: int, fresh: bool) -> None:
    """Print the cells, what is done and what the rest will cost; write nothing."""
    states = {cell.key: "missing" if fresh else store.state(cell.key) for cell in made.cells}
    lines = [*_added(made), *(f"{states[cell.key]:<8} {cell.label}" for cell in made.cells)]
    missing = [cell for cell in made.cells if states[cell.key] != "done"]
    lines += other_code(made.cells, missing, store)
    click.echo("\n".join([*lines, what_is_left(made.cells, missing, settings.estimated_seconds, workers)]))
