"""Computes cells in processes on this machine, so that the main process never imports torch."""

import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import cast

from benchmark.running.cells import Order
from benchmark.running.reports import Advanced, Chosen, Died, Report, Settle, Settled, Stop, with_device
from benchmark.running.store import Store
from benchmark.running.worker import work
from benchmark.stopping import SIGNALS

SECONDS_TO_END = 10.0
"""How long a run waits for a process that was killed."""


@dataclass
class Worker:
    """A process that computes cells, one at a time, and whether it has one now."""

    process: SpawnProcess
    connection: Connection
    busy: bool = False


class LocalExecutor:
    """Worker processes, started when there is work for them and replaced when they die.

    Args:
        store: The store that they write to.
        size: Largest number of processes.
        device: The kind of device that models are on.
        kernels: The choices of kernels that every new worker uses.
    """

    def __init__(self, store: Store, size: int, device: str = "cpu", kernels: Chosen | None = None) -> None:
        self._store = store
        self._size = size
        self._device = device
        self._kernels = kernels or {}
        self._workers: dict[int, Worker] = {}

    @property
    def used(self) -> Chosen:
        """What the workers compute with, as it is recorded."""
        return with_device(self._kernels, self._device)

    @property
    def has_room(self) -> bool:
        """Whether a cell could be assigned now."""
        return sum(worker.busy for worker in self._workers.values()) < self._size

    def settle(self, recorded: Chosen) -> Sequence[str]:
        """Let a first worker settle the choices of kernels for all; return what there is to say about them."""
        number = self._start_worker()
        connection = self._workers[number].connection
        try:
            connection.send(Settle(recorded))
            settled: Settled = connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return [f"no kernel was chosen: {self._remove(number).reason}"]
        self._kernels = settled.chosen
        return settled.remarks

    def assign(self, order: Order) -> int:
        """Give a cell to an idle worker; return the worker's number, from 0."""
        for number in [number for number, worker in self._workers.items() if not worker.busy]:
            if self._workers[number].process.is_alive():
                break
            self._remove(number)
        else:
            number = self._start_worker()
        self._workers[number].busy = True
        with suppress(BrokenPipeError, ConnectionResetError):  # the worker has just died: `reports` will say so
            self._workers[number].connection.send(order)
        return number

    def reports(self, seconds: float) -> Iterator[tuple[int, Report]]:
        """Wait until a worker reports, at most some seconds; one that died is removed."""
        numbers = {worker.connection: number for number, worker in self._workers.items() if worker.busy}
        if not numbers:
            time.sleep(seconds)
        for connection in wait(list(numbers), seconds) if numbers else ():
            number = numbers[cast(Connection, connection)]  # a PipeConnection on Windows
            try:
                report: Report = self._workers[number].connection.recv()
            except (EOFError, ConnectionResetError):
                yield number, self._remove(number)
            else:
                self._workers[number].busy = isinstance(report, Advanced)
                yield number, report

    def cancel(self, number: int) -> None:
        """Kill a worker."""
        self._workers[number].process.kill()
        self._remove(number)

    def stop(self) -> None:
        """Ask every busy worker to stop its cell."""
        for worker in self._workers.values():
            if worker.busy:
                with suppress(BrokenPipeError, ConnectionResetError):
                    worker.connection.send(Stop())

    def close(self) -> None:
        """Kill all workers; unfinished work stays in its partial folder."""
        for worker in self._workers.values():
            worker.process.kill()
        for number in list(self._workers):
            self._remove(number)

    def _start_worker(self) -> int:
        number = next(number for number in range(self._size) if number not in self._workers)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=work, args=(theirs, self._store.root, self._kernels, self._device, number), daemon=True
        )
        with _interrupts_blocked():
            process.start()
        theirs.close()
        self._workers[number] = Worker(process, ours)
        return number

    def _remove(self, number: int) -> Died:
        """Forget a worker that has died or is about to, and say how."""
        worker = self._workers.pop(number)
        worker.process.join(SECONDS_TO_END)  # one that hangs in the system ends when that lets it
        worker.connection.close()
        code = worker.process.exitcode or 0
        if code >= 0:
            return Died(f"WorkerDied: the process ended with exit code {code}")
        names = {number.value: number.name for number in signal.Signals}
        name = names.get(-code, f"signal {-code}")
        return Died(f"WorkerDied: the process was killed by {name}{'; out of memory?' if name == 'SIGKILL' else ''}")


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C and SIGTERM in processes started here: they reach the whole group, and the main process acts."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows a worker ignores Ctrl-C once it runs
        yield
        return
    resource_tracker.ensure_running()  # it would unblock the signals if it had to start below
    blocked = set(SIGNALS)
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
