"""Computes the missing cells of a run in worker processes, so that the main process never imports torch."""

import multiprocessing
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Literal, Protocol, cast, runtime_checkable

from benchmark.running.cells import KINDS, Cell
from benchmark.running.kernels import Chosen, Settled
from benchmark.running.store import CorruptArtifactError, Store
from benchmark.running.worker import Advanced, Ended, Raised, Settle, work


@dataclass(frozen=True)
class Outcome:
    """How a cell of a run ended.

    Attributes:
        cell: The cell.
        status: `found` in the store, `computed` now, or `failed`.
        reason: Why it failed, in one line.
        kernels: The choices of kernels with which it was computed now, and the kind of `device` if it was not the CPU.
    """

    cell: Cell
    status: Literal["found", "computed", "failed"]
    reason: str = ""
    kernels: Chosen = field(default_factory=dict)


def kernels_of(outcomes: Iterable[Outcome]) -> Chosen:
    """The choices of kernels with which a run computed; empty if it found everything in the store."""
    return {name: option for outcome in outcomes for name, option in outcome.kernels.items()}


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


def execute(
    cells: Sequence[Cell],
    store: Store,
    workers: int,
    display: Display,
    kernels: Chosen | None = None,
    device: str = "cpu",
) -> list[Outcome]:
    """Compute the missing cells, in the given order as far as their needs allow.

    An artifact that is corrupt is reported, removed and computed again. If anything is missing, the choices of kernels
    are settled before the first cell, for all workers alike.

    Args:
        cells: The cells of a run by decreasing urgency, each after the cells that it needs.
        store: Where finished artifacts are looked up and put.
        workers: Largest number of processes.
        display: What shows the progress.
        kernels: The choices of kernels that are recorded already; `None` if none is to be made.
        device: The kind of device that models are on: `cpu`, `cuda` or `mps`.

    Returns:
        How each cell ended, in the order of `cells`.

    Raises:
        KeyboardInterrupt: The run was stopped; the workers are gone, and their partial folders are kept.
    """
    found = set()
    for cell in cells:
        try:
            if store.find(cell.key) is not None:
                found.add(cell.key)
        except CorruptArtifactError as error:
            display.say(f"corrupt artifact of {cell.label}: {error.flaw}; computing it again")
            store.discard(cell.key)
    if told := store.other_code(found):
        display.say(told)
    checks = [cell for cell in cells if KINDS[cell.kind].check]
    schedule = Schedule([cell for cell in cells if cell.key not in found], found, checks)
    display.begin(schedule.waiting, len(found))
    pool = WorkerPool(store, min(workers, len(schedule.waiting)), device)
    try:
        if schedule.waiting and kernels is not None:
            for remark in pool.settle(kernels):
                display.say(remark)
        _compute_all(schedule, pool, display)
    finally:
        pool.dismiss()
    return [schedule.outcomes.get(cell.key, Outcome(cell, "found")) for cell in cells]


def _compute_all(schedule: "Schedule", pool: "WorkerPool", display: Display) -> None:
    """Assign cells and receive reports until nothing is left to do."""
    while schedule.waiting or pool.busy:
        while pool.has_room and (cell := schedule.take()) is not None:
            display.started(pool.assign(cell), cell)
        for worker, report in pool.reports():
            if isinstance(report, Advanced):
                display.advanced(worker, report.done, report.total, report.note)
            elif isinstance(report, Ended):
                schedule.finish(pool.release(worker), pool.used)
                display.finished(worker, report.seconds)
            else:
                display.failed(worker, report.reason, schedule.fail(pool.release(worker), report.reason))
                if schedule.stopped:
                    display.say(schedule.stopped)


@dataclass
class Schedule:
    """Which cells may be computed now.

    Attributes:
        waiting: Cells not yet taken, by decreasing urgency, each after the cells that it needs.
        done: Keys of the cells whose artifacts exist.
        checks: The cells that all others wait for, except those that they need.
        outcomes: How the cells that are no longer waiting ended, by key.
        stopped: Why the remaining cells were given up; empty if they were not.
    """

    waiting: list[Cell]
    done: set[str]
    checks: Sequence[Cell] = ()
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    stopped: str = ""

    def take(self) -> Cell | None:
        """The most urgent cell whose needs are done; `None` if there is none now."""
        open_checks = [cell for cell in self.checks if cell.key not in self.done and cell.key not in self.outcomes]
        first = {key for cell in open_checks for key in (cell.key, *(need.key for need in cell.needs.values()))}
        for cell in self.waiting:
            if (not first or cell.key in first) and all(needed.key in self.done for needed in cell.needs.values()):
                self.waiting.remove(cell)
                return cell
        return None

    def finish(self, cell: Cell, kernels: Mapping[str, str] = {}) -> None:
        """Record that a cell that was taken has been computed, with these choices of kernels."""
        self.done.add(cell.key)
        self.outcomes[cell.key] = Outcome(cell, "computed", kernels=kernels)

    def fail(self, cell: Cell, reason: str) -> list[Cell]:
        """Record that a cell that was taken has failed; return the cells that fail with it.

        These are the cells that need it, directly or not, and all waiting cells if every check has failed.
        """
        self.outcomes[cell.key] = Outcome(cell, "failed", reason)
        lost = [cell]
        for other in self.waiting:  # each comes after the cells that it needs
            if {need.key for need in other.needs.values()} & {gone.key for gone in lost}:
                lost.append(other)
                self.outcomes[other.key] = Outcome(other, "failed", f"needs {cell.label}, which failed: {reason}")
        ended = [self.outcomes[check.key] for check in self.checks if check.key in self.outcomes]
        failed = [outcome for outcome in ended if outcome.status == "failed"]
        if failed and len(failed) == len(self.checks):
            why = f"nothing is trained, as every task of the run failed its check, the first: {failed[0].reason}"
            rest = [other for other in self.waiting if other.key not in self.outcomes]
            lost, self.stopped = [*lost, *rest], why
            self.outcomes |= {other.key: Outcome(other, "failed", why) for other in rest}
        self.waiting = [other for other in self.waiting if other.key not in self.outcomes]
        return lost[1:]


@dataclass
class Worker:
    """A process that computes cells, one at a time."""

    process: SpawnProcess
    connection: Connection
    cell: Cell | None = None


@dataclass
class WorkerPool:
    """The worker processes of a run, started when there is work for them and replaced when they die.

    Attributes:
        store: The store that they write to.
        size: Largest number of processes.
        device: The kind of device that models are on.
        kernels: The choices of kernels that every new worker uses.
    """

    store: Store
    size: int
    device: str = "cpu"
    kernels: Chosen = field(default_factory=dict)
    _workers: dict[int, Worker] = field(default_factory=dict, init=False)

    @property
    def used(self) -> Chosen:
        """What the workers compute with, as it is recorded."""
        return self.kernels if self.device == "cpu" else {**self.kernels, "device": self.device}

    @property
    def busy(self) -> bool:
        """Whether any worker has a cell."""
        return any(worker.cell is not None for worker in self._workers.values())

    @property
    def has_room(self) -> bool:
        """Whether a cell could be assigned now."""
        return sum(worker.cell is not None for worker in self._workers.values()) < self.size

    def settle(self, recorded: Chosen) -> Sequence[str]:
        """Let a first worker settle the choices of kernels for all; return what there is to say about them.

        Args:
            recorded: The choices that are recorded already.
        """
        number = self._start_worker()
        connection = self._workers[number].connection
        try:
            connection.send(Settle(recorded))
            settled: Settled = connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return [f"no kernel was chosen: {self._exit_reason(number)}"]
        self.kernels = settled.chosen
        return settled.remarks

    def assign(self, cell: Cell) -> int:
        """Give a cell to an idle worker; return the worker's number, from 0."""
        for number in [number for number, worker in self._workers.items() if worker.cell is None]:
            if self._workers[number].process.is_alive():
                break
            self._workers.pop(number).connection.close()
        else:
            number = self._start_worker()
        self._workers[number].cell = cell
        with suppress(BrokenPipeError, ConnectionResetError):  # the worker has just died: `reports` will say so
            self._workers[number].connection.send(cell.order)
        return number

    def release(self, worker: int) -> Cell:
        """Take a worker's cell back and return it; a worker that died is removed."""
        cell = self._workers[worker].cell
        assert cell is not None, worker
        self._workers[worker].cell = None
        if not self._workers[worker].process.is_alive():
            self._workers.pop(worker).connection.close()
        return cell

    def reports(self) -> Iterator[tuple[int, Advanced | Ended | Raised]]:
        """Wait until a worker reports; a worker that died is reported as having raised."""
        numbers = {worker.connection: number for number, worker in self._workers.items() if worker.cell is not None}
        for connection in wait(list(numbers)):
            number = numbers[cast(Connection, connection)]  # a PipeConnection on Windows
            try:
                yield number, self._workers[number].connection.recv()
            except (EOFError, ConnectionResetError):
                yield number, Raised(self._exit_reason(number))

    def dismiss(self) -> None:
        """Stop all workers at once; unfinished work stays in its partial folder."""
        for worker in self._workers.values():
            worker.process.terminate()
            worker.connection.close()
        for worker in self._workers.values():
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers.clear()

    def _start_worker(self) -> int:
        number = next(number for number in range(self.size) if number not in self._workers)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=work, args=(theirs, self.store.root, self.kernels, self.device, number), daemon=True
        )
        with _interrupts_blocked():
            process.start()
        theirs.close()
        self._workers[number] = Worker(process, ours)
        return number

    def _exit_reason(self, number: int) -> str:
        process = self._workers[number].process
        process.join()
        code = process.exitcode or 0
        if code >= 0:
            return f"WorkerDied: the process ended with exit code {code}"
        names = {number.value: number.name for number in signal.Signals}
        name = names.get(-code, f"signal {-code}")
        return f"WorkerDied: the process was killed by {name}{'; out of memory?' if name == 'SIGKILL' else ''}"


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C in processes started here: it reaches the whole group, but the main process stops its workers."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows a worker ignores Ctrl-C once it runs
        yield
        return
    resource_tracker.ensure_running()  # it would unblock the signal if it had to start below
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
