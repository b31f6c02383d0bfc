"""Computes cells as tasks of Ray, on a cluster or on this machine."""

import logging
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError, TaskCancelledError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from benchmark.disk import disk_failure
from benchmark.running.cells import Order
from benchmark.running.computing import ONE_THREAD, reason_of
from benchmark.running.executors import ExecutorFailedError
from benchmark.running.executors.ray_worker import MARKS, Relay, Sent, Shared, compute_cell, settle_kernels
from benchmark.running.packing import unpack
from benchmark.running.reports import (
    Advanced,
    Chosen,
    Died,
    DiskFailed,
    Ended,
    Queued,
    Raised,
    Report,
    Settled,
    Stopped,
    with_device,
)
from benchmark.running.store import CorruptArtifactError, Store

SECONDS_TO_END = 10.0
"""How long tasks have to end once they are killed."""

SECONDS_TO_ANSWER = 10.0
"""How long a cluster has to answer at first."""

OBJECT_BYTES = 128 * 2**20
"""Memory for objects if Ray is started here: all its workers share the folder of the store, so that little is sent."""


@dataclass
class Task:
    """A cell that Ray computes, or will once there is room."""

    order: Order
    result: Any
    serial: int
    begun: bool = False


@dataclass
class Session:
    """What a run has on a Ray cluster.

    Attributes:
        shared: The store, as the workers look for it.
        relay: The handle of the `Relay`.
        ours: Whether this run has connected to Ray, or started it.
    """

    shared: Shared
    relay: Any
    ours: bool


class RayExecutor:
    """Tasks of the cluster at the address `RAY_ADDRESS`, or of a Ray that is started on this machine.

    Nothing is started before the first cell, and what was started here ends with `close`.

    Args:
        store: The store that they write to, as far as they reach its folder.
        size: Largest number of tasks at the same time.
        device: The kind of device that models are on.
        kernels: The choices of kernels that every task uses.
    """

    def __init__(self, store: Store, size: int, device: str = "cpu", kernels: Chosen | None = None) -> None:
        self._store = store
        self._size = size
        self._device = device
        self._kernels = kernels or {}
        self._tasks: dict[int, Task] = {}
        self._count = 0
        self._stopping = False
        self._session: Session | None = None

    @property
    def used(self) -> Chosen:
        """What the tasks compute with, as it is recorded."""
        return with_device(self._kernels, self._device)

    @property
    def has_room(self) -> bool:
        """Whether a cell could be assigned now."""
        return len(self._tasks) < self._size

    def settle(self, recorded: Chosen) -> Sequence[str]:
        """Let one task settle the choices of kernels for all; return what there is to say about them."""
        session = self._started()
        try:
            settled: Settled = ray.get(_remote(settle_kernels, self._device).remote(recorded, session.shared))
        except RayError as error:
            failure = _failure(error)
            return [f"no kernel was chosen: {failure.reason}"]
        self._kernels = settled.chosen
        return settled.remarks

    def assign(self, order: Order) -> int:
        """Hand a cell to Ray; return the lowest number from 0 that no other task has."""
        session = self._started()
        number = next(number for number in range(self._size) if number not in self._tasks)
        self._count += 1
        given = (order, self._count, session.shared, self._kernels, self._device, number, session.relay)
        result = _remote(compute_cell, self._device).remote(*given)
        self._tasks[number] = Task(order, result, self._count)
        return number

    def reports(self, seconds: float) -> Iterator[tuple[int, Report]]:
        """Wait until a task ends, at most some seconds, and pass on how far the others are."""
        if not self._tasks:
            time.sleep(seconds)
            return
        numbers = {task.result: number for number, task in self._tasks.items()}
        serials = {task.serial: number for number, task in self._tasks.items()}
        with _failures():
            ended = ray.wait(list(numbers), timeout=seconds)[0]
            news: dict[int, Advanced] = ray.get(self._started().relay.exchange.remote(self._stopping))
        for number, progress in [(serials[serial], news[serial]) for serial in news.keys() & serials.keys()]:
            self._tasks[number].begun = True
            yield number, progress
        for result in ended:
            yield numbers[result], self._outcome(self._tasks.pop(numbers[result]))
        for number, task in list(self._tasks.items()):
            if not task.begun:
                yield number, Queued()

    def cancel(self, number: int) -> None:
        """Kill the process of a task."""
        self._kill([self._tasks.pop(number)])

    def stop(self) -> None:
        """Tell all tasks to stop, and withdraw those that have not begun."""
        self._stopping = True
        for task in self._tasks.values():
            if not task.begun:
                ray.cancel(task.result)

    def close(self) -> None:
        """Kill all tasks, and leave Ray or end it, unless it was there before."""
        self._kill(list(self._tasks.values()))
        self._tasks = {}
        if self._session is None:
            return
        session, self._session = self._session, None
        with suppress(OSError):
            (session.shared.root / MARKS / session.shared.mark).unlink(missing_ok=True)
        with suppress(RayError):
            ray.kill(session.relay)
        if session.ours:
            with _signals_kept():
                ray.shutdown()

    def _kill(self, tasks: Sequence[Task]) -> None:
        with suppress(RayError):
            for task in tasks:
                ray.cancel(task.result, force=True)
            if tasks:
                ray.wait([task.result for task in tasks], num_returns=len(tasks), timeout=SECONDS_TO_END)

    def _outcome(self, task: Task) -> Report:
        """How a task ended, with what it sent in the store."""
        try:
            sent: Sent = ray.get(task.result)
        except TaskCancelledError:
            return Stopped()
        except RayError as error:
            return _failure(error)
        try:
            return self._kept(sent, task.order)
        except (CorruptArtifactError, OSError) as error:
            failure = disk_failure(error)
            return DiskFailed(failure) if failure else Raised(reason_of(error))

    def _kept(self, sent: Sent, order: Order) -> Report:
        """The report of a task, once what came with it is in the store."""
        if sent.files is None:
            return sent.report
        if sent.log:
            self._store.log(order.key).parent.mkdir(parents=True, exist_ok=True)
            self._store.log(order.key).write_bytes(sent.log)
        if isinstance(sent.report, Ended):
            self._store.adopt(order.key, sent.files)
        if isinstance(sent.report, Ended | Raised | Stopped):
            self._store.discard_partial(order)
        if isinstance(sent.report, Stopped):
            unpack(sent.files, self._store.partial(order))
        return sent.report

    def _started(self) -> Session:
        """What this run has on Ray, which is started or joined if it has nothing yet."""
        if self._session is None:
            ours = not ray.is_initialized()
            if ours:
                _initialize(self._size)
            shared = Shared(Path(os.path.abspath(self._store.root)), uuid4().hex, Path.cwd())
            (shared.root / MARKS).mkdir(parents=True, exist_ok=True)
            (shared.root / MARKS / shared.mark).touch()
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            options = {"num_cpus": 0, "scheduling_strategy": here, "max_restarts": -1, "max_task_retries": -1}
            self._session = Session(shared, ray.remote(Relay).options(**options).remote(shared.root), ours)
        return self._session


@cache
def _remote(function: Any, device: str) -> Any:
    """A function as tasks of Ray with what a cell needs: one core and one thread, and one GPU if it uses those."""
    return ray.remote(function).options(
        num_cpus=1,
        num_gpus=1 if device == "cuda" else 0,
        max_retries=0,
        runtime_env={"env_vars": dict.fromkeys(ONE_THREAD, "1")},
    )


@contextmanager
def _failures() -> Iterator[None]:
    """Turn an error of Ray itself into one line."""
    try:
        yield
    except (RayError, ConnectionError) as error:
        raise ExecutorFailedError(f"Ray failed: {reason_of(error)}; the same command resumes") from error


def _initialize(cores: int) -> None:
    """Join the cluster that is configured, or start Ray on this machine, without a word on the terminal."""
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    ray._private.worker.print_to_stdstream = _print_nothing  # no setting turns off its paragraph on a dead worker
    with _signals_kept(), _failures():
        if address := os.environ.get("RAY_ADDRESS"):
            _check_reachable(address)
            ray.init(address=address, **quiet)
        else:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            ray.init(
                address="local", num_cpus=cores, object_store_memory=OBJECT_BYTES, include_dashboard=False, **quiet
            )


def _check_reachable(address: str) -> None:
    """Make sure that something answers at `HOST:PORT`: Ray itself would try for minutes, and say so on the terminal."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and int(port) < 2**16:
        try:
            socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER).close()
        except OSError as error:
            raise ExecutorFailedError(f"no Ray answers at RAY_ADDRESS={address!r}: {reason_of(error)}") from error


def _print_nothing(*arguments: object, **options: object) -> None:
    pass


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep our way to handle SIGTERM, which Ray replaces."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGTERM, before)


def _failure(error: Exception) -> Died | Raised:
    """Why a task of Ray has no result."""
    if isinstance(error, RayTaskError) and not isinstance(error.cause, RayError):
        return Raised(reason_of(error.cause if isinstance(error.cause, Exception) else error))
    why = "out of memory" if isinstance(error, OutOfMemoryError) else type(error).__name__
    return Died(f"WorkerDied: the process of a Ray task ended before the cell did ({why})")
