"""What the commands that compute cells have in common: options, checks, computation and dry runs."""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from functools import partial, wraps
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.completion import REGISTRIES, completes
from benchmark.cli.errors import PRESET, FiniteRange, available_executor, device, names, seeds, user_errors
from benchmark.cli.folders import FOLDER, claim
from benchmark.cli.list import registry_of
from benchmark.cli.ownership import check_ownership
from benchmark.cli.text import WIDTH
from benchmark.report.words import counted
from benchmark.running.cells import Cell
from benchmark.running.duration import duration
from benchmark.running.executors import EXECUTORS
from benchmark.running.store import Store, StoreFailedError
from benchmark.stopping import STOPPED, stop_requests

if TYPE_CHECKING:
    from benchmark.running.schedule import Outcome

MOST_WORKERS = 1024
"""Most processes of a run."""

Seconds = Callable[[Cell], float]
"""How long a cell is expected to take on one core."""

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

LEAST_LIMIT = 3600.0
"""Seconds that a cell may take at least, whatever is expected of it."""

SLOWEST = 20.0
"""A cell is taken for hanging after this many times the seconds that are expected of it."""


@dataclass(frozen=True)
class Engine:
    """Where and how cells are computed, as the options of a command say.

    Attributes:
        executor: A name of `EXECUTORS`.
        workers: Largest number of cells at the same time.
        device: The kind of device that models are on.
        cell_limit: Seconds after which a cell is stopped; `None` for 20 times what is expected, at least an hour.
        log: The file to which events are appended, one line of JSON each; `None` for none.
    """

    executor: str
    workers: int
    device: str
    cell_limit: float | None
    log: Path | None

    def limit(self, expected: Seconds) -> Seconds:
        """Seconds after which each cell is stopped, given those that are expected of it."""
        if self.cell_limit is not None:
            return lambda cell: self.cell_limit or LEAST_LIMIT
        return lambda cell: max(LEAST_LIMIT, SLOWEST * expected(cell))


def cell_options(writes: str, default_tasks: str | None = None, default_seeds: str | None = None) -> Decorator:
    """Decorator that adds the options shared by all commands that compute cells, always in the same order.

    The command receives what the last of them say as an `engine`.

    Args:
        writes: What is written into the folder of `--out`.
        default_tasks: The tasks if none are given; `None` for the preset's.
        default_seeds: The training seeds if none are given; `None` for the preset's.
    """

    def decorated(command: Command) -> Command:
        @wraps(command)
        def gathered(**given: Any) -> Any:
            engine = Engine(**{each.name: given.pop(each.name) for each in fields(Engine)})
            return command(**given, engine=engine)

        return run_options(writes, default_tasks, default_seeds)(_with_options(gathered, ENGINE_OPTIONS))

    return decorated


def run_options(writes: str, default_tasks: str | None = None, default_seeds: str | None = None) -> Decorator:
    """Decorator that adds the options of a run and of its two folders; the arguments are as above."""
    folders = (
        click.option("--out", default="results", show_default=True, type=FOLDER, help=f"Folder of {writes}."),
        click.option("--store", default="store", show_default=True, type=FOLDER, help="Folder of artifacts."),
    )

    def decorated(command: Command) -> Command:
        return settings_options(default_tasks, default_seeds)(_with_options(command, folders))

    return decorated


def settings_options(default_tasks: str | None = None, default_seeds: str | None = None) -> Decorator:
    """Decorator that adds the options that say which cells a command is about; the arguments are as above."""

    def default(value: str | None) -> dict[str, Any]:
        return {"show_default": "the preset's"} if value is None else {"default": value, "show_default": True}

    options = (
        click.option(
            "--preset", default="quick", show_default=True, type=PRESET, help="Settings; see `bench list presets`."
        ),
        click.option(
            "--tasks",
            callback=names,
            shell_complete=completes("tasks", "all"),
            help="`all`, NAME,NAME or file:PATH.",
            **default(default_tasks),
        ),
        click.option("--seeds", callback=seeds, metavar="0,1,2", help="Training seeds.", **default(default_seeds)),
        click.option(
            "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change the preset: circuit.target_loss=0.1."
        ),
    )
    return partial(_with_options, options=options)


method_option = click.option(
    "--method",
    "methods",
    default="all",
    show_default=True,
    callback=names,
    shell_complete=completes("methods", "all"),
    help="`all` or NAME,NAME.",
)
"""Decorator that adds the option for the methods of a run."""


def methods_argument(
    default: str | Callable[[], str], *also: str, name: str = "methods", metavar: str = "[METHOD,...]"
) -> Decorator:
    """Decorator that adds the argument for the methods that a command is about.

    Args:
        default: The methods if none are given.
        also: What may be given instead of a list, such as `all`.
        name: What the command calls them.
        metavar: What its help calls them.
    """
    completion = completes("methods", *also)
    return click.argument(name, metavar=metavar, default=default, callback=names, shell_complete=completion)


ENGINE_OPTIONS = (
    click.option(
        "--workers",
        type=click.IntRange(1, MOST_WORKERS),
        default=lambda: min(os.cpu_count() or 1, MOST_WORKERS),
        show_default="one per core",
        help="Processes. Changes no number.",
    ),
    click.option(
        "--device",
        type=click.Choice(["cpu", "cuda", "mps", "auto"]),
        default="cpu",
        show_default=True,
        callback=device,
        help="Where models are trained and run. Another device trains another model for the same seed.",
    ),
    click.option(
        "--executor",
        type=click.Choice(tuple(EXECUTORS)),
        default="local",
        show_default=True,
        is_eager=True,
        callback=available_executor,
        help="What runs cells: processes here, a Ray cluster or Slurm.",
    ),
    click.option(
        "--cell-limit",
        type=FiniteRange(1, 10**7),
        metavar="SECONDS",
        show_default="20 times what it is expected to take, at least an hour",
        help="Stop a cell that takes longer, and record it as failed.",
    ),
    click.option("--log", type=FOLDER, metavar="FILE", help="Append what happens to a file, one line of JSON each."),
)
"""The options that say where and how cells are computed."""


def _with_options(command: Command, options: Sequence[Decorator]) -> Command:
    for option in reversed(options):  # click shows first what was added last
        command = option(command)
    return command


def compared_methods() -> str:
    """The reference models and the dictionaries, as an argument."""
    from benchmark.methods import dictionaries, with_role

    return ",".join([*with_role("reference"), *dictionaries()])


def check_installation() -> None:
    """Report every record that could not be loaded; `ValueError` if the installed packages are not ours."""
    check_ownership()
    for kind in REGISTRIES:
        registry_of(kind)


def claim_folders(store: Store, out: Path) -> None:
    """Make sure that the folders of a run can be written to; a usage error if they cannot."""
    with user_errors():
        claim(out, store.root)


def compute(
    cells: Sequence[Cell], store: Store, out: Path, engine: Engine, seconds: Seconds, *, fresh: bool = False
) -> "list[Outcome]":
    """Compute the missing cells, with progress on the terminal; exit 130 after Ctrl-C, 1 if disk or cluster fail.

    Args:
        cells: The most urgent first.
        store: Where artifacts are looked up and put.
        out: The folder of the tables; kernels that its `run.json` records are used.
        engine: Where and how cells are computed.
        seconds: How long each cell takes as stated; corrected by what cells in the store took.
        fresh: Whether what the store has of these cells is removed first.
    """
    from rich.console import Console

    from benchmark.running.estimates import Estimates
    from benchmark.running.event_log import LoggedDisplay, log, logged_to
    from benchmark.running.execution import execute
    from benchmark.running.executors import ExecutorFailedError, executor_named
    from benchmark.running.experiment import recorded_kernels
    from benchmark.running.progress_display import Tally, display_on

    began = time.monotonic()
    with user_errors():
        kernels = recorded_kernels(out)
        executor = executor_named(engine.executor, store, engine.workers, engine.device)
    with ExitStack() as stack:
        with user_errors():
            stack.enter_context(logged_to(engine.log))
            if fresh:
                store.discard_all(cell.key for cell in cells)
            estimates = Estimates.of(seconds, cells, store)
        display = display_on(Console(stderr=True, highlight=False), Tally(estimates))
        try:
            with display, stop_requests() as stop_requested:
                shown, limit = LoggedDisplay(display), engine.limit(estimates)
                outcomes = execute(cells, store, executor, shown, kernels, limit, stop_requested)
        except KeyboardInterrupt:
            log("run stopped")
            click.echo(f"stopped; the same command{' without --fresh' * fresh} resumes from here", err=True)
            raise click.exceptions.Exit(STOPPED) from None
        except (StoreFailedError, ExecutorFailedError) as error:
            log("run failed", reason=str(error))
            raise
        counts = Counter[str](outcome.status for outcome in outcomes)
        log("run ended", **counts, seconds=round(time.monotonic() - began, 3))
    told = ", ".join(f"{counts[status]} {status}" for status in ("computed", "found", "failed") if counts[status])
    display.say(f"{len(outcomes)} cells: {told}; {duration(time.monotonic() - began)}")
    return outcomes


def exit_if_failed(outcomes: "Sequence[Outcome]") -> None:
    """If any cell failed, print how many and the first one's reason, and exit with 1."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        first = failed[0]
        click.echo(f"{len(failed)} of {len(outcomes)} cells failed: {first.cell.label}: {first.reason}", err=True)
        raise click.exceptions.Exit(1)


# Dry runs


def what_is_left(
    cells: Sequence[Cell], missing: Sequence[Cell], store: Store, seconds: Seconds, workers: int
) -> list[str]:
    """How much is done and how long the rest takes; before it a line on cells that other code computed, if any."""
    from benchmark.running.plan import expected_seconds

    other_code = store.other_code({cell.key for cell in cells} - {cell.key for cell in missing})
    rest = (
        f"{len(cells)} cells, {len(cells) - len(missing)} done; the rest takes about "
        f"{duration(expected_seconds(missing, seconds, workers))} with {counted(workers, 'worker')}"
    )
    return [*filter(None, [other_code]), rest]


def dry_run_table(
    header: str,
    groups: Mapping[str, Sequence[Cell]],
    cells: Sequence[Cell],
    store: Store,
    seconds: Seconds,
    workers: int,
    remark: str = "{}",
) -> str:
    """A line per group of cells with their number, how many are missing and the work that takes, and what is left.

    Args:
        header: Header of the labels.
        groups: Cells by label; a cell that several groups need counts for the first of them.
        cells: All cells, the most urgent first.
        store: Where artifacts are looked up.
        seconds: How long each cell takes as stated; corrected by what cells in the store took.
        workers: Largest number of processes.
        remark: The sentence around what is left.
    """
    from benchmark.running.estimates import Estimates

    def missing(own: Sequence[Cell]) -> list[Cell]:
        return [cell for cell in own if store.state(cell.key) != "done"]

    expected = Estimates.of(seconds, cells, store)
    lines, counted_before = [f"{header}{'cells':>7}{'missing':>9}{'work':>16}"], set[str]()
    for label, group in groups.items():
        own = [cell for cell in group if cell.key not in counted_before]
        counted_before |= {cell.key for cell in own}
        work = duration(sum(map(expected, missing(own)), 0.0))
        lines.append(f"{label}{len(own):>7}{len(missing(own)):>9}{work:>16}")
    *told, left = what_is_left(cells, missing(cells), store, expected, workers)
    return "\n".join([*lines, *told, *wrap(remark.format(left), WIDTH)])
