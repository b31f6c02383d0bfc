"""Where cells are computed: on this machine, on a Ray cluster or through Slurm."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Protocol, cast, runtime_checkable

from benchmark.running.cells import Order
from benchmark.running.kernels import Chosen
from benchmark.running.reports import Report
from benchmark.running.store import Store

EXECUTORS: Mapping[str, str] = {
    "local": "benchmark.running.executors.local:LocalExecutor",
}
"""The class of each executor, imported when it is used: libraries of clusters are optional."""


@runtime_checkable
class Executor(Protocol):
    """Computes cells that have been assigned to it, each on a worker with a number, and reports how they go.

    All artifacts go to one store, which the workers share with the run.
    """

    @property
    def used(self) -> Chosen:
        """The choices of kernels with which it computes, and the kind of `device` if that is not the CPU."""

    @property
    def has_room(self) -> bool:
        """Whether a cell could be assigned now."""

    def settle(self, recorded: Chosen) -> Sequence[str]:
        """Settle the choices of kernels for all workers before the first cell; return what there is to say about them.

        Args:
            recorded: The choices that are recorded already.
        """

    def assign(self, order: Order) -> int:
        """Start a cell; return the number of its worker, from 0, which no other running cell has."""

    def reports(self, seconds: float) -> Iterator[tuple[int, Report]]:
        """Wait for reports, at most some seconds, and yield them with the number of the worker.

        Any report but `Advanced` is a cell's last, and its worker is free again.
        """

    def cancel(self, number: int) -> None:
        """End a worker's cell at once, without a report; its partial folder is kept."""

    def stop(self) -> None:
        """Ask every cell to save its state and stop; each then reports `Stopped`, or how else it ended."""

    def close(self) -> None:
        """End everything at once; unfinished work stays in its partial folder."""


def executor_named(name: str, store: Store, workers: int, device: str) -> Executor:
    """An executor by name.

    Args:
        name: A name of `EXECUTORS`.
        store: The store that it writes to.
        workers: Largest number of cells at the same time.
        device: The kind of device that models are on.

    Raises:
        ValueError: In one line, if the library that it needs is not installed.
    """
    module, _, kind = EXECUTORS[name].partition(":")
    make = cast(Callable[[Store, int, str], Executor], getattr(import_module(module), kind))
    return make(store, workers, device)
