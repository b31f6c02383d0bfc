"""Computes the missing cells of a run, together with whatever other runs there are on the same store."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Protocol, runtime_checkable

from benchmark.disk import disk_failure
from benchmark.running.cells import KINDS, Cell
from benchmark.running.duration import duration
from benchmark.running.executors import Executor
from benchmark.running.leases import Leases
from benchmark.running.reports import Advanced, Chosen, Corrupted, Died, DiskFailed, Ended, Queued, Report, Stopped
from benchmark.running.schedule import Outcome, Schedule
from benchmark.running.store import CorruptArtifactError, Store, StoreFailedError

ATTEMPTS = 2
"""How often a cell is begun whose worker dies, or which finds the same artifact corrupt, before it fails."""

SECONDS_TO_WAIT = 0.5
"""How long a run waits for reports before it looks again at what it waits for."""

SECONDS_BETWEEN_REQUESTS = 2.0
"""How often a run asks for a lease that another run holds."""

SECONDS_TO_SAVE = 30.0
"""How long cells have to save their state when a run is stopped."""


@runtime_checkable
class Display(Protocol):
    """What shows the progress of a run."""

    def begin(self, missing: Sequence[Cell], found: int) -> None:
        """The missing cells will be computed; the number found in the store is given."""

    def say(self, text: str) -> None:
        """Print a line that stays."""

    def started(self, worker: int, cell: Cell) -> None:
        """A worker has started on a cell."""

    def advanced(self, worker: int, done: int, total: int, note: str) -> None:
        """A worker's cell has reported progress."""

    def finished(self, worker: int, seconds: float) -> None:
        """A worker has computed its cell."""

    def failed(self, worker: int, reason: str, lost: Sequence[Cell]) -> None:
        """A worker's cell has failed, and with it the cells that need it."""

    def given_back(self, worker: int, reason: str) -> None:
        """A worker's cell has not ended and will be computed again."""

    def found(self, cell: Cell) -> None:
        """Another run has computed a missing cell."""


def no_limit(cell: Cell) -> float:
    """However long a cell takes, it is not stopped."""
    return inf


def execute(
    cells: Sequence[Cell],
    store: Store,
    executor: Executor,
    display: Display,
    kernels: Chosen | None = None,
    limit: Callable[[Cell], float] = no_limit,
    stop_requested: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    """Compute the missing cells, in the given order as far as their needs allow.

    A corrupt artifact is reported, set aside and computed again. A cell that another run on the same store is computing
    is left to that run. If anything is missing, the choices of kernels are settled before the first cell, for all
    workers alike. The executor is closed at the end.

    Args:
        cells: The cells of a run by decreasing urgency, each after the cells that it needs.
        store: Where finished artifacts are looked up and put.
        executor: Where cells are computed.
        display: What shows the progress.
        kernels: The choices of kernels that are recorded already; `None` if none is to be made.
        limit: Seconds after which a cell is stopped and fails.
        stop_requested: Whether the run should save the state of its cells and stop.

    Returns:
        How each cell ended, in the order of `cells`.

    Raises:
        KeyboardInterrupt: The run was stopped; the workers are gone, and their partial folders are kept.
        StoreFailedError: The disk of the store is full or broken; the workers are gone, as above.
        StoreBusyError: The store is being cleaned up.
    """
    try:
        with store.used() as leases:
            found = {cell.key for cell in cells if store.state(cell.key) == "done"}
            for key in found:
                store.touch(key)
            if told := store.other_code(found):
                display.say(told)
            checks = [cell for cell in cells if KINDS[cell.kind].check]
            schedule = Schedule([cell for cell in cells if cell.key not in found], found, checks)
            display.begin(schedule.waiting, len(found))
            if schedule.waiting:
                if kernels is not None:
                    for remark in executor.settle(kernels):
                        display.say(remark)
                Execution(schedule, store, leases, executor, display, limit, stop_requested).compute_all()
    except OSError as error:
        if failure := disk_failure(error):
            raise _disk_failed(store, failure) from error
        raise StoreFailedError(f"cannot use store {str(store.root)!r}: {error.strerror or error}") from error
    finally:
        executor.close()
    return [schedule.outcomes.get(cell.key, Outcome(cell, "found")) for cell in cells]


def _disk_failed(store: Store, reason: str) -> StoreFailedError:
    return StoreFailedError(
        f"cannot write to store {str(store.root)!r}: {reason}; what was finished is kept, and the same command resumes"
    )


@dataclass(frozen=True)
class Running:
    """A cell that is being computed, and since when; one that waits for room on a cluster has only just begun."""

    cell: Cell
    began: float


@dataclass
class Execution:
    """A run under way: it takes cells that are ready, under a lease, and acts on the reports of the executor.

    Attributes:
        schedule: Which cells are left.
        store: Where artifacts are looked up.
        leases: What keeps other runs from the cells of this one.
        executor: Where cells are computed.
        display: What shows the progress.
        limit: Seconds after which a cell is stopped.
        stop_requested: Whether the run should stop.
    """

    schedule: Schedule
    store: Store
    leases: Leases
    executor: Executor
    display: Display
    limit: Callable[[Cell], float]
    stop_requested: Callable[[], bool]

    def __post_init__(self) -> None:
        self._running: dict[int, Running] = {}
        self._tried: Counter[tuple[str, str]] = Counter()
        self._refused: dict[str, float] = {}
        self._told: set[str] = set()

    def compute_all(self) -> None:
        """Assign cells and act on reports until nothing is left to do."""
        try:
            while self.schedule.waiting or self._running:
                if self.stop_requested():
                    self._stop()
                while self.executor.has_room and (cell := self._next()) is not None:
                    number = self.executor.assign(cell.order(self.leases.holder.token))
                    self._running[number] = Running(cell, time.monotonic())
                    self.display.started(number, cell)
                if self.schedule.waiting and not self._running:
                    self._tell_what_others_compute()
                if self.schedule.waiting or self._running:
                    for number, report in self.executor.reports(SECONDS_TO_WAIT):
                        self._act_on(number, report)
                    self._end_overdue()
        finally:
            self.executor.close()  # before the leases are released

    def _tell_what_others_compute(self) -> None:
        """Say once of each other run that this one waits for it."""
        for key, holder in self.leases.held_by_others(self._refused).items():
            if holder.token not in self._told:
                self._told.add(holder.token)
                label = next((cell.label for cell in self.schedule.waiting if cell.key == key), key[:12])
                self.display.say(f"waiting for {holder}, which computes {label}")

    def _next(self) -> Cell | None:
        """The most urgent cell that is ready and missing, now under a lease; `None` if there is none."""
        ready = deque(self.schedule.ready())
        while ready:
            cell = ready.popleft()
            if time.monotonic() - self._refused.get(cell.key, -inf) < SECONDS_BETWEEN_REQUESTS:
                continue
            if not self.leases.acquire(cell.key):
                self._refused[cell.key] = time.monotonic()
            elif self._is_stored(cell):
                self.leases.release(cell.key)
                self.schedule.find(cell)
                self.display.found(cell)
                ready = deque(self.schedule.ready())
            else:
                return self.schedule.take(cell)
        return None

    def _is_stored(self, cell: Cell) -> bool:
        """Whether the artifact of a leased cell exists; a corrupt one is set aside."""
        try:
            return self.store.find(cell.key) is not None
        except CorruptArtifactError as error:
            self._set_aside(cell, error.flaw)
            return False

    def _set_aside(self, cell: Cell, flaw: str) -> None:
        place = self.store.set_aside(cell.key)
        self.display.say(f"corrupt artifact of {cell.label}: {flaw}; set aside in {place}, computing it again")

    def _act_on(self, number: int, report: Report) -> None:
        if isinstance(report, Queued):
            self._running[number] = Running(self._running[number].cell, time.monotonic())
            self.display.advanced(number, 0, 1, "queued")
            return
        if isinstance(report, Advanced):
            self.display.advanced(number, report.done, report.total, report.note)
            return
        cell = self._running.pop(number).cell
        if isinstance(report, Ended):
            self.schedule.finish(cell, self.executor.used)
            self.leases.release(cell.key)
            self.display.finished(number, report.seconds)
        elif isinstance(report, DiskFailed):
            raise _disk_failed(self.store, report.reason)
        elif isinstance(report, Stopped):
            self._give_back(number, cell, "stopped")
        elif isinstance(report, Corrupted):
            self._repair(number, cell, report)
        elif not self.leases.is_ours(cell.key):
            self._give_back(number, cell, "another run took it over")
        elif isinstance(report, Died) and self._may_try_again(cell):
            self._give_back(number, cell, report.reason)
        else:
            self._fail(number, cell, report.reason)

    def _repair(self, number: int, cell: Cell, report: Corrupted) -> None:
        """Have an artifact that a cell needs computed again, and the cell after it."""
        need = next((need for need in cell.needs.values() if need.key == report.key), None)
        if need is None or not self._may_try_again(cell, report.key) or not self._is_repairable(need, report):
            self._fail(number, cell, f"{need.label if need else report.key[:12]} is corrupt: {report.flaw}")
        else:
            self._give_back(number, cell, f"{need.label} is corrupt", need)

    def _is_repairable(self, need: Cell, report: Corrupted) -> bool:
        """Set a corrupt artifact aside; whether computing it again is of use.

        Another run, or another cell of this one, may have done so already. An artifact whose checksums fit, but which
        cannot be read, is computed again only if that has not given the same files before.
        """
        under_way = {running.cell.key for running in self._running.values()} | {
            cell.key for cell in self.schedule.waiting
        }
        if need.key in under_way or not self.leases.acquire(need.key):
            return True
        if self._is_stored(need) and report.unreadable:
            if self.store.was_set_aside(need.key):
                return False
            self._set_aside(need, report.flaw)
        return True

    def _give_back(self, number: int, cell: Cell, reason: str, need: Cell | None = None) -> None:
        """Let a cell be computed later, after a need whose artifact has to be looked up or computed again."""
        if blocker := self.schedule.blocker(cell):
            self._fail(number, cell, blocker)
        else:
            self.schedule.give_back(cell, need)
            self.display.given_back(number, reason)

    def _may_try_again(self, cell: Cell, cause: str = "") -> bool:
        """Count that a cell was begun in vain, for lack of an artifact or because its worker died."""
        self._tried[cell.key, cause] += 1
        return self._tried[cell.key, cause] < ATTEMPTS

    def _fail(self, number: int, cell: Cell, reason: str) -> None:
        self.leases.release(cell.key)
        self.display.failed(number, reason, self.schedule.fail(cell, reason))
        if self.schedule.stopped:
            self.display.say(self.schedule.stopped)

    def _end_overdue(self) -> None:
        """Stop the cells that have been computed for longer than their limit."""
        now = time.monotonic()
        for number, running in list(self._running.items()):
            limit = self.limit(running.cell)
            if now - running.began > limit:
                self.executor.cancel(number)
                del self._running[number]
                self._fail(number, running.cell, f"TimedOut: stopped after {duration(limit)}, its limit")

    def _stop(self) -> None:
        """Let the running cells save their state, and end the run."""
        if self._running:
            self.display.say("stopping once the running cells have saved their state; a second Ctrl-C stops at once")
            self.executor.stop()
        deadline = time.monotonic() + SECONDS_TO_SAVE
        while self._running and time.monotonic() < deadline:
            for number, report in self.executor.reports(SECONDS_TO_WAIT):
                with suppress(StoreFailedError):
                    self._act_on(number, report)
        raise KeyboardInterrupt
