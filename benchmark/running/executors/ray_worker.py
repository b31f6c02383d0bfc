"""What runs in the processes of Ray: cells, and the relay between them and the run."""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray

from benchmark.running.cells import Order
from benchmark.running.computing import Polled, ReportedProgress, compute, preparation, settle, use_one_thread
from benchmark.running.packing import pack, unpack
from benchmark.running.reports import Advanced, Chosen, Corrupted, DiskFailed, Ended, Raised, Report, Settled, Stopped
from benchmark.running.store import ArtifactError, Store

MARKS = "ray"
"""The subfolder of a store with a file for every run on Ray, by which a worker sees whether it reaches the store."""


@dataclass(frozen=True)
class Shared:
    """The store of a run, as its workers look for it.

    Attributes:
        root: Its folder, an absolute path.
        mark: The name of a file in it that no other store has.
        directory: The working directory of the run.
    """

    root: Path
    mark: str
    directory: Path

    @property
    def is_reached(self) -> bool:
        """Whether this process sees the folder of the store."""
        return (self.root / MARKS / self.mark).is_file()


@dataclass(frozen=True)
class Sent:
    """What comes back from a task.

    Attributes:
        report: How the cell ended.
        files: The artifact of a computed cell, or what a stopped one has done so far; `None` if the worker has put it
            into the store itself.
        log: What the cell printed, if that is not in the store either.
    """

    report: Report
    files: Mapping[str, bytes] | None = None
    log: bytes = b""


class Relay:
    """Passes on what a run and its tasks have to say to each other; it is an actor on the machine of the run.

    Args:
        root: The folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self._store = Store(root)
        self._news: dict[int, Advanced] = {}
        self._stopping = False
        self._packed: dict[str, Any] = {}

    def exchange(self, stopping: bool) -> dict[int, Advanced]:
        """Tell all tasks whether to stop; return the progress of those that have made any since the last call."""
        self._stopping = stopping
        news, self._news = self._news, {}
        return news

    def advance(self, task: int, progress: Advanced) -> None:
        """Take down the progress of a task."""
        self._news[task] = progress

    def is_stopping(self) -> bool:
        """Whether the tasks are to stop."""
        return self._stopping

    def artifact(self, key: str) -> "list[Any] | Corrupted":
        """A finished artifact, as one object of Ray that is kept for other tasks, or what is wrong with it."""
        if key not in self._packed:
            try:
                self._packed[key] = ray.put(pack(self._store.artifact(key)))
            except ArtifactError as error:
                return Corrupted(error.key, error.flaw)
        return [self._packed[key]]

    def partial(self, order: Order) -> dict[str, bytes]:
        """What an interrupted computation of a cell left."""
        return pack(self._store.partial(order))


def compute_cell(order: Order, task: int, shared: Shared, chosen: Chosen, device: str, number: int, relay: Any) -> Sent:
    """Compute a cell in this process, into the store if it is within reach, else into a temporary one.

    Args:
        order: The cell.
        task: The number of this task, which no other one of the run has.
        shared: The store of the run.
        chosen: The choices of kernels to use.
        device: The kind of device that models are on.
        number: The number of the worker, from 0.
        relay: The handle of a `Relay`.
    """
    _begin(shared)
    relay.advance.remote(task, Advanced(0, 1, ""))

    def send(done: int, total: int, note: str) -> None:
        relay.advance.remote(task, Advanced(done, total, note))

    progress = ReportedProgress(send, Polled(lambda: bool(ray.get(relay.is_stopping.remote()))))
    compute_into = partial(compute, order, progress=progress, prepared=preparation(chosen, device, number))
    if shared.is_reached:
        return Sent(compute_into(store=Store(shared.root)))
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        store = Store(Path(folder))
        try:
            corrupt = _fetch(order, store, relay)
        except ArtifactError as error:
            corrupt = Corrupted(error.key, error.flaw)
        return Sent(corrupt) if corrupt else _sent(compute_into(store=store), order, store)


def settle_kernels(recorded: Chosen, shared: Shared) -> Settled:
    """Settle the choices of kernels in this process; what was measured is kept if the store is within reach."""
    _begin(shared)
    if shared.is_reached:
        return settle(recorded, Store(shared.root))
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        return settle(recorded, Store(Path(folder)))


def _begin(shared: Shared) -> None:
    use_one_thread()
    with contextlib.suppress(OSError):  # settings may name folders relative to it
        os.chdir(shared.directory)


def _fetch(order: Order, store: Store, relay: Any) -> Corrupted | None:
    """Bring what a cell needs, and what is done of it, into a store; return what is corrupt in the run's, if anything.

    Raises:
        ArtifactError: An artifact did not arrive as it was sent.
    """
    for key in order.needs.values():
        found = ray.get(relay.artifact.remote(key))
        if isinstance(found, Corrupted):
            return found
        store.adopt(key, ray.get(found[0]))
    unpack(ray.get(relay.partial.remote(order)), store.partial(order))
    return None


def _sent(report: Report, order: Order, store: Store) -> Sent:
    """A report together with what a run needs from a store that it cannot see."""
    log = store.log(order.key)
    printed = log.read_bytes() if log.exists() else b""
    if isinstance(report, Ended):
        return Sent(report, pack(store.artifact(order.key)), printed)
    if isinstance(report, Stopped):
        return Sent(report, pack(store.partial(order)), printed)
    if isinstance(report, DiskFailed):  # that of this machine, not that of the store
        return Sent(Raised(f"OSError: no room for temporary files on a worker: {report.reason}"), {}, printed)
    return Sent(report, {}, printed)
