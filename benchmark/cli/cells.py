"""What the commands that compute cells share: their options, and how they compute, refuse, describe and fail."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.errors import STOPPED, names, seeds, user_errors
from benchmark.cli.folders import claim
from benchmark.running.duration import duration

if TYPE_CHECKING:
    from benchmark.running.cells import Cell
    from benchmark.running.executor import Outcome
    from benchmark.running.store import Store

Command = Callable[..., Any]
Seconds = Callable[["Cell"], float]
"""What a cell is expected to take on one core."""


def cell_options(writes: str, default_tasks: str | None = None, default_seeds: str | None = None) -> Callable[..., Any]:
    """Decorator that gives a command the options of all that compute cells, in one order.

    Args:
        writes: What is written into the folder of `--out`.
        default_tasks: The tasks if none are given; `None` for the preset's.
        default_seeds: The training seeds.
    """
    folder = click.Path(path_type=Path)
    options = (
        click.option("--preset", default="quick", show_default=True, help="Settings; see `bench list presets`."),
        click.option("--tasks", callback=names, help="`all` or NAME,NAME.", **_default(default_tasks)),
        click.option("--seeds", callback=seeds, metavar="0,1,2", help="Training seeds.", **_default(default_seeds)),
        click.option(
            "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change the preset: circuit.target_loss=0.1."
        ),
        click.option("--out", default="results", show_default=True, type=folder, help=f"Folder of {writes}."),
        click.option("--store", default="store", show_default=True, type=folder, help="Folder of artifacts."),
        click.option(
            "--workers", type=click.IntRange(1, 1024), help="Processes; default: one a core. Changes no number."
        ),
    )

    def decorated(command: Command) -> Command:
        for option in reversed(options):  # click shows first what was added last
            command = option(command)
        return command

    return decorated


def _default(value: str | None) -> dict[str, Any]:
    return {"show_default": "the preset's"} if value is None else {"default": value, "show_default": True}


@contextmanager
def held(store: "Store", out: Path) -> Iterator[None]:
    """Both folders can be written to, and the store is this process's alone; one line for the user if not."""
    with ExitStack() as stack:
        with user_errors():
            claim(out, store.root)
            stack.enter_context(store.lock())
        yield


def compute(
    cells: "Sequence[Cell]", store: "Store", workers: int, seconds: Seconds, notes: Sequence[str] = ()
) -> "list[Outcome]":
    """Compute what is missing, with progress on the terminal; exit 130 after Ctrl-C.

    Args:
        cells: The most urgent first.
        store: Where artifacts are found and put.
        workers: Largest number of processes.
        seconds: What each is expected to take.
        notes: Lines to say first.
    """
    from rich.console import Console

    from benchmark.running.executor import execute
    from benchmark.running.progress_display import Tally, display_on

    began = time.monotonic()
    display = display_on(Console(stderr=True, highlight=False), Tally(seconds))
    try:
        with display:
            for note in notes:
                display.say(note)
            outcomes = execute(cells, store, workers, display)
    except KeyboardInterrupt:
        click.echo("stopped; the same command goes on from here", err=True)
        raise click.exceptions.Exit(STOPPED) from None
    counts = Counter(outcome.status for outcome in outcomes)
    told = ", ".join(f"{counts[status]} {status}" for status in ("computed", "found", "failed") if counts[status])
    display.say(f"{len(outcomes)} cells: {told}; {duration(time.monotonic() - began)}")
    return outcomes


def exit_if_failed(outcomes: "Sequence[Outcome]") -> None:
    """Say how many cells failed, with the first one's reason, and exit with 1; nothing if none did."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        first = failed[0]
        click.echo(f"{len(failed)} of {len(outcomes)} cells failed: {first.cell.label}: {first.reason}", err=True)
        raise click.exceptions.Exit(1)


# Dry runs


def what_is_left(cells: "Sequence[Cell]", missing: "Sequence[Cell]", seconds: Seconds, workers: int) -> str:
    """How many cells there are, how many are done, and what the missing ones take; one sentence."""
    from benchmark.running.plan import expected_seconds

    return (
        f"{len(cells)} cells, {len(cells) - len(missing)} done; the rest takes about "
        f"{duration(expected_seconds(missing, seconds, workers))} with {workers} worker{'s' if workers > 1 else ''}"
    )


def other_code(cells: "Sequence[Cell]", missing: "Sequence[Cell]", store: "Store") -> list[str]:
    """The line on the cells that are done by another version of our code, if there are any."""
    told = store.other_code({cell.key for cell in cells} - {cell.key for cell in missing})
    return [told] if told else []


def groups_of_cells(groups: "Mapping[str, Sequence[Cell]]", store: "Store", seconds: Seconds) -> Iterator[str]:
    """A line for each group, `LABEL cells missing work`; a cell that several need counts at the first of them."""
    counted: set[str] = set()
    for label, cells in groups.items():
        own = [cell for cell in cells if cell.key not in counted]
        missing = missing_cells(own, store)
        counted |= {cell.key for cell in own}
        work = duration(sum(map(seconds, missing), 0.0))
        yield f"{label}{len(own):>7}{len(missing):>9}{work:>16}"


def missing_cells(cells: "Sequence[Cell]", store: "Store") -> "list[Cell]":
    """The cells that have no sound artifact."""
    return [cell for cell in cells if store.state(cell.key) != "done"]
