"""Shows the progress of a run: live bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from benchmark.running.cells import Cell
from benchmark.running.duration import duration
from benchmark.running.estimates import Estimates

SECONDS_BETWEEN_LINES = 10.0
"""Without a terminal, a cell's progress is printed at most this often."""


@dataclass
class Activity:
    """A worker's cell, when it began, the steps done out of all (0 while unknown), and the computation's own remark."""

    cell: Cell
    began: float
    done: int = 0
    total: int = 0
    note: str = ""

    @property
    def share(self) -> float:
        """The fraction that is done, 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    def __str__(self) -> str:
        steps = f"{self.done}/{self.total}" if self.total else ""
        return " · ".join(filter(None, [self.cell.label, steps, self.note]))


class Tally:
    """How far a run is, and when it will be done; a live display reads it while the run changes it, hence the copies.

    Args:
        estimates: How long cells are expected to take; learns from each that ends.
        clock: A monotonic clock, seconds.
    """

    def __init__(self, estimates: Estimates, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.total = self.done = self.failures = 0
        self.running: dict[int, Activity] = {}
        self._estimates = estimates
        self._began = clock()
        self._missing: dict[str, Cell] = {}
        self._ended: list[Cell] = []
        self._workers = 1

    def begin(self, missing: Sequence[Cell]) -> None:
        """Start the clock; the missing cells will be computed."""
        self._began = self.clock()
        self.total = len(missing)
        self._missing = {cell.key: cell for cell in missing}

    def start(self, worker: int, cell: Cell) -> None:
        """A worker has started on a cell."""
        self.running[worker] = Activity(cell, self.clock())
        self._workers = max(self._workers, len(self.running))

    def end(self, worker: int, seconds: float) -> Cell:
        """Count a worker's cell as computed, in some seconds; return the cell."""
        cell = self._end(worker)
        self._estimates.learn(cell, seconds)
        return cell

    def fail(self, worker: int, lost: Sequence[Cell] = ()) -> Cell:
        """Count a worker's cell as failed, together with the cells that need it; return the cell."""
        self.failures += 1 + len(lost)
        return self._end(worker, lost)

    def give_back(self, worker: int) -> Cell:
        """Take a worker's cell, which has yet to be computed, off the running ones; return the cell."""
        return self.running.pop(worker).cell

    def find(self, cell: Cell) -> None:
        """Count a missing cell that another run has computed."""
        self._count([cell])

    def _end(self, worker: int, lost: Sequence[Cell] = ()) -> Cell:
        cell = self.running.pop(worker).cell
        self._count([cell, *lost])
        return cell

    def _count(self, cells: Sequence[Cell]) -> None:
        for each in cells:
            self.done += each.key in self._missing  # an artifact that was lost is computed once more than is counted
            self._ended.append(self._missing.pop(each.key, each))

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self._began

    @property
    def share(self) -> float:
        """The fraction of the expected work that is done, 0 to 1."""
        expected = self._expected
        ended, missing = (sum(map(expected, list(cells))) for cells in (self._ended, self._missing.values()))
        done = ended + sum(expected(each.cell) * each.share for each in list(self.running.values()))
        return min(done / (ended + missing), 1.0) if ended + missing else 1.0

    @property
    def left(self) -> float | None:
        """Expected seconds until the end; `None` at the end and while less than 2 % is done."""
        if not 0.02 <= self.share < 1:
            return None
        expected = self._expected
        rest = {key: expected(cell) for key, cell in list(self._missing.items())}
        rest |= {each.cell.key: expected(each.cell) * (1 - each.share) for each in list(self.running.values())}
        return max(sum(rest.values()) / self._workers, *rest.values())

    @property
    def _expected(self) -> Estimates:
        """The estimates, which know how far the running cells have come."""
        estimates = self._estimates.copy()
        for each in list(self.running.values()):
            if each.share:
                estimates.learn(each.cell, self.clock() - each.began, each.share)
        return estimates

    def summary(self) -> str:
        """Elapsed time, time left and failures in a few words."""
        left = "" if self.left is None else f", about {duration(self.left)} left"
        return f"{duration(self.elapsed)}{left}" + (f", {self.failures} failed" if self.failures else "")


class PlainDisplay:
    """A line when a cell begins or ends, and now and then in between.

    Args:
        console: Where the lines are printed.
        tally: What counts the cells.
    """

    def __init__(self, console: Console, tally: Tally) -> None:
        self.console = console
        self.tally = tally
        self._spoke: dict[int, float] = {}

    def __enter__(self) -> "PlainDisplay":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def say(self, text: str) -> None:
        """Print a line that stays."""
        with suppress(OSError):  # a terminal that was closed does not end the run
            self.console.print(Text(text), soft_wrap=True)

    def begin(self, missing: Sequence[Cell], found: int) -> None:
        """The missing cells will be computed; the number found in the store is given."""
        self.tally.begin(missing)
        self.say(f"{len(missing)} cells to compute, {found} found in the store")

    def started(self, worker: int, cell: Cell) -> None:
        """A worker has started on a cell."""
        self.tally.start(worker, cell)
        self._spoke[worker] = self.tally.clock()
        self.line(f"begin {cell.label}")

    def advanced(self, worker: int, done: int, total: int, note: str) -> None:
        """A worker's cell has reported progress."""
        activity = self.tally.running[worker]
        activity.done, activity.total, activity.note = done, total, note
        if self.tally.clock() - self._spoke[worker] >= SECONDS_BETWEEN_LINES:
            self._spoke[worker] = self.tally.clock()
            self.line(f"      {activity}")

    def finished(self, worker: int, seconds: float) -> None:
        """A worker has computed its cell."""
        cell = self.tally.end(worker, seconds)
        self.line(f"done  {cell.label} in {duration(seconds)} ({self.tally.summary()})")

    def failed(self, worker: int, reason: str, lost: Sequence[Cell]) -> None:
        """A worker's cell has failed, and with it the cells that need it."""
        cell = self.tally.fail(worker, lost)
        others = f" ({len(lost)} more cells need it)" if lost else ""
        self.line(f"FAILED {cell.label}: {reason}{others}")

    def given_back(self, worker: int, reason: str) -> None:
        """A worker's cell has not ended and will be computed again."""
        cell = self.tally.give_back(worker)
        self.say(f"{cell.label}: {reason}; it will be computed again")

    def found(self, cell: Cell) -> None:
        """Another run has computed a missing cell."""
        self.tally.find(cell)
        self.line(f"found {cell.label}, computed by another run")

    def line(self, text: str) -> None:
        """Print a line with the number of cells that are done."""
        self.say(f"[{self.tally.done}/{self.tally.total}] {text}")


class LiveDisplay(PlainDisplay):
    """A bar for the run and a line per worker, always up to date, with failures above them.

    Args:
        console: The terminal.
        tally: What counts the cells.
    """

    def __init__(self, console: Console, tally: Tally) -> None:
        super().__init__(console, tally)
        self._live = Live(console=console, get_renderable=self.picture, refresh_per_second=4, transient=True)

    def __enter__(self) -> "LiveDisplay":
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def line(self, text: str) -> None:
        """Print failures only; the picture shows everything else."""
        if text.startswith("FAILED"):
            super().line(text)

    def picture(self) -> RenderableType:
        """What the terminal shows now."""
        overall = Table.grid(padding=(0, 1), expand=True)
        overall.add_column(no_wrap=True)
        overall.add_column(ratio=1)
        overall.add_column(no_wrap=True, justify="right")
        bar = ProgressBar(total=1.0, completed=self.tally.share)
        overall.add_row(Text(f"{self.tally.done}/{self.tally.total} cells"), bar, Text(self.tally.summary()))
        running = [activity for _, activity in sorted(self.tally.running.items())]
        return Group(overall, *(Text(f"  {activity}", no_wrap=True, overflow="ellipsis") for activity in running))


def display_on(console: Console, tally: Tally) -> PlainDisplay:
    """The display for a console: live on a terminal, else plain."""
    return LiveDisplay(console, tally) if console.is_terminal else PlainDisplay(console, tally)
