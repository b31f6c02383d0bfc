"""`bench run`: train the methods, find their circuits, write the leaderboard."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.errors import STOPPED, names, seeds, user_errors
from benchmark.cli.folders import claim
from benchmark.duration import duration

if TYPE_CHECKING:
    from benchmark.config import RunConfig
    from benchmark.executor import Outcome
    from benchmark.plan import Plan
    from benchmark.store import Store


@click.command()
@click.option("--method", "methods", default="all", show_default=True, callback=names, help="`all` or NAME,NAME.")
@click.option("--preset", default="quick", show_default=True, help="Sizes, tasks and seeds; see `bench list presets`.")
@click.option("--tasks", callback=names, help="`all` or NAME,NAME instead of the preset's.")
@click.option("--seeds", callback=seeds, metavar="0,1,2", help="Training seeds instead of the preset's.")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change the preset: circuit.target_loss=0.1."
)
@click.option(
    "--out", default="results", show_default=True, type=click.Path(path_type=Path), help="Folder of the tables."
)
@click.option(
    "--store", default="store", show_default=True, type=click.Path(path_type=Path), help="Folder of artifacts."
)
@click.option("--workers", type=click.IntRange(1), help="Processes; default: one a core. Changes no number.")
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
    from benchmark.config import configure
    from benchmark.plan import plan
    from benchmark.store import Store

    with user_errors():
        check_ownership()
        settings = configure(preset, methods, tasks, seeds, changes)
        made = plan(settings)
    count = workers or os.cpu_count() or 1
    if dry_run:
        _describe(settings, made, Store(store), count, fresh)
    else:
        _carry_out(settings, made, Store(store), out, count, fresh)


def _carry_out(settings: "RunConfig", made: "Plan", store: "Store", out: Path, workers: int, fresh: bool) -> None:
    """Compute what is missing, then write the tables; exit 1 if a cell failed, 130 after Ctrl-C."""
    from benchmark.gather import check_tables, write_tables

    with ExitStack() as held:
        with user_errors():
            check_tables(out)
            claim(out, store.root)
            held.enter_context(store.lock())
        if fresh:
            for cell in made.cells:
                store.discard(cell.key)
        outcomes = _compute(settings, made, store, workers)
        write_tables(settings, outcomes, store, out, workers)
    _conclude(outcomes, store, out)


def _compute(settings: "RunConfig", made: "Plan", store: "Store", workers: int) -> "list[Outcome]":
    """Compute what is missing, with progress on the terminal."""
    from rich.console import Console

    from benchmark.executor import execute
    from benchmark.progress import Tally, display_on

    began = time.monotonic()
    display = display_on(Console(stderr=True, highlight=False), Tally(settings.estimated_seconds))
    try:
        with display:
            for name, reason in made.added.items():
                display.say(f"also trains {name}: {reason}")
            outcomes = execute(made.cells, store, workers, display)
    except KeyboardInterrupt:
        click.echo("stopped; the same command goes on from here", err=True)
        raise click.exceptions.Exit(STOPPED) from None
    counts = Counter(outcome.status for outcome in outcomes)
    told = ", ".join(f"{counts[status]} {status}" for status in ("computed", "found", "failed") if counts[status])
    display.say(f"{len(outcomes)} cells: {told}; {duration(time.monotonic() - began)}")
    return outcomes


def _conclude(outcomes: "Sequence[Outcome]", store: "Store", out: Path) -> None:
    """Print the leaderboard and where things are; exit 1 if a cell failed."""
    from benchmark.cli.leaderboard import leaderboard_text

    click.echo(leaderboard_text(out, as_json=False))
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
    from benchmark.plan import expected_seconds

    states = {cell.key: "missing" if fresh else store.state(cell.key) for cell in made.cells}
    for name, reason in made.added.items():
        click.echo(f"also trains {name}: {reason}")
    for cell in made.cells:
        click.echo(f"{states[cell.key]:<8} {cell.label}")
    missing = [cell for cell in made.cells if states[cell.key] != "done"]
    seconds = expected_seconds(missing, settings.estimated_seconds, workers)
    click.echo(
        f"{len(made.cells)} cells, {len(made.cells) - len(missing)} done; the rest takes about {duration(seconds)} "
        f"with {workers} worker{'s' if workers > 1 else ''}"
    )
