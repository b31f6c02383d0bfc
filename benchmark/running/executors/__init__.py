"""Where cells are computed: on this machine, on a Ray cluster or through Slurm."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from shutil import which
from typing import Protocol, cast, runtime_checkable

from benchmark.running.cells import Order
from benchmark.running.reports import Chosen, Report
from benchmark.running.store import Store

EXECUTORS: Mapping[str, str] = {
    "local": "benchmark.running.executors.local:LocalExecutor",
    "ray": "benchmark.running.executors.on_ray:RayExecutor",
    "slurm": "benchmark.running.executors.on_slurm:SlurmExecutor",
}
"""The class of each executor, imported when it is used: libraries of clusters are optional."""

LIBRARIES: Mapping[str, str] = {"ray": "ray", "slurm": "submitit"}
"""The library that an executor needs, by the name of the executor and of the extra."""

SUBMITIT_CLUSTER = "BENCH_SUBMITIT_CLUSTER"
"""The environment variable that says what submitit hands jobs to."""


class ExecutorFailedError(Exception):
    """The engine that computes cells cannot be used, or no longer; what was finished is in the store."""


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

        Any report but `Queued` and `Advanced` is a cell's last, and its worker is free again.
        """

    def cancel(self, number: int) -> None:
        """End a worker's cell at once, without a report; its partial folder is kept."""

    def stop(self) -> None:
        """Ask every cell to save its state and stop; each then reports `Stopped`, or how else it ended."""

    def close(self) -> None:
        """End everything at once; unfinished work stays in its partial folder."""


def check_executor(name: str) -> None:
    """Make sure that an executor can be used here, as far as that is known before it starts.

    Raises:
        ValueError: In one line, if it cannot.
    """
    library = LIBRARIES.get(name)
    if library is not None and find_spec(library) is None:
        raise ValueError(
            f'{name!r} needs {library}, which is not installed: pip install "sparse-circuit-bench[{name}]"'
        )
    address = os.environ.get("RAY_ADDRESS", "")
    if name == "ray" and address.startswith("ray://"):
        raise ValueError(
            f"RAY_ADDRESS={address!r} is for clients outside a cluster: run on one of its machines instead"
        )
    if name == "slurm" and submitit_cluster() == "slurm" and which("sbatch") is None:
        raise ValueError("there is no Slurm on this machine: the command sbatch was not found")


def submitit_cluster() -> str:
    """What submitit hands jobs to: `slurm`, or `local` for processes on this machine, to try jobs out.

    Raises:
        ValueError: The environment names something else.
    """
    cluster = os.environ.get(SUBMITIT_CLUSTER, "slurm")
    if cluster not in ("slurm", "local"):
        raise ValueError(f"{SUBMITIT_CLUSTER}={cluster!r} is not one of 'slurm', 'local'")
    return cluster


def executor_named(name: str, store: Store, workers: int, device: str) -> Executor:
    """An executor by name.

    Args:
        name: A name of `EXECUTORS`.
        store: The store that it writes to.
        workers: Largest number of cells at the same time.
        device: The kind of device that models are on.

    Raises:
        ValueError: In one line, if it cannot be used here.
    """
    check_executor(name)
    module, _, kind = EXECUTORS[name].partition(":")
    make = cast(Callable[[Store, int, str], Executor], getattr(import_module(module), kind))
    return make(store, workers, device)
