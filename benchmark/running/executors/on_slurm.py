"""Computes cells as jobs of Slurm, one job per cell, through submitit."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmark.running.cells import Order
from benchmark.running.computing import reason_of
from benchmark.running.executors import ExecutorFailedError, submitit_cluster
from benchmark.running.executors.slurm_job import FOLDER, Messages, compute_cell, settle_kernels
from benchmark.running.reports import Advanced, Chosen, Died, Queued, Report, Stopped, with_device
from benchmark.running.store import Store

os.environ.setdefault("SUBMITIT_LOG_LEVEL", "CRITICAL")  # read when it is imported; it would write to the terminal
import submitit

MINUTES = 24 * 60
"""The time limit that jobs ask for, unless `SBATCH_TIMELIMIT` has another."""

SECONDS_BETWEEN_LOOKS = 1.0
"""How often a run looks for messages of its jobs: shared disks are slow."""

SECONDS_BETWEEN_STATES = 60.0
"""How often a run asks Slurm at least for the states of its jobs; submitit asks more often for new ones."""

SECONDS_TO_ARRIVE = 20.0
"""How long the files of a job that has ended may take to be seen on another machine."""

SECONDS_TO_END = 10.0
"""How long to wait for jobs to end that were cancelled."""


@dataclass
class Job:
    """A job that was submitted, and what is known of it.

    Attributes:
        name: What its messages are called.
        handle: What submitit knows it by.
        progress: The latest progress; `None` until it has begun.
        withdrawn: Whether it was cancelled before it had begun, as the run is being stopped.
        gone_since: When it was first seen to have ended, by this process's clock.
    """

    name: str
    handle: Any
    progress: Advanced | None = None
    withdrawn: bool = False
    gone_since: float | None = None


class SlurmExecutor:
    """One job per cell, with one core, and one GPU if the device is `cuda`.

    Partition, account, time limit, memory and the rest are those of the variables `SBATCH_...` that `sbatch` reads.

    Args:
        store: The store that they write to; all machines must see its folder.
        size: Largest number of jobs at the same time, waiting ones included.
        device: The kind of device that models are on.
        kernels: The choices of kernels that every job uses.
    """

    def __init__(self, store: Store, size: int, device: str = "cpu", kernels: Chosen | None = None) -> None:
        self._cluster = submitit_cluster()
        self._root = Path(os.path.abspath(store.root))
        self._size = size
        self._device = device
        self._kernels = kernels or {}
        self._jobs: dict[int, Job] = {}
        self._ending: list[Any] = []
        self._messages: Messages | None = None
        self._asked = time.monotonic()
        self._any_died = False

    @property
    def used(self) -> Chosen:
        """What the jobs compute with, as it is recorded."""
        return with_device(self._kernels, self._device)

    @property
    def has_room(self) -> bool:
        """Whether a cell could be assigned now."""
        return len(self._jobs) < self._size

    def settle(self, recorded: Chosen) -> Sequence[str]:
        """Let one job settle the choices of kernels for all; return what there is to say about them."""
        job = self._jobs[0] = self._submit(settle_kernels, recorded)
        while (settled := self._started().settled(job.name)) is None:
            if self._is_gone(job):
                return [f"no kernel was chosen: {self._death(self._removed(0)).reason}"]
            time.sleep(SECONDS_BETWEEN_LOOKS)
        self._removed(0)
        self._kernels = settled.chosen
        return settled.remarks

    def assign(self, order: Order) -> int:
        """Submit a job; return the lowest number from 0 that no other job has."""
        number = next(number for number in range(self._size) if number not in self._jobs)
        self._jobs[number] = self._submit(compute_cell, order, self._kernels, self._device, number)
        return number

    def reports(self, seconds: float) -> Iterator[tuple[int, Report]]:
        """Wait, then pass on what the jobs have written since the last call, and which have ended without a word."""
        time.sleep(seconds)
        self._ending = [handle for handle in self._ending if not handle.done()]
        for number, job in list(self._jobs.items()):
            report = self._last_report(job)
            if report is not None:
                self._removed(number)
                yield number, report
            else:
                yield from ((number, news) for news in self._news(job))

    def cancel(self, number: int) -> None:
        """Cancel a job."""
        self._removed(number).handle.cancel(check=False)

    def stop(self) -> None:
        """Ask all jobs to stop, and cancel those that have not begun."""
        self._started().ask_to_stop()
        for job in self._jobs.values():
            if self._started().progress(job.name) is None:
                job.handle.cancel(check=False)
                job.withdrawn = True

    def close(self) -> None:
        """Cancel all jobs; the folder with what they printed is kept if one has died."""
        for number in list(self._jobs):
            self.cancel(number)
        deadline = time.monotonic() + SECONDS_TO_END
        while any(not handle.done() for handle in self._ending) and time.monotonic() < deadline:
            time.sleep(0.1)
        self._ending = []
        if self._messages is not None and not self._any_died:
            shutil.rmtree(self._messages.folder, ignore_errors=True)
        self._messages = None

    def _started(self) -> Messages:
        """The messages of this run's jobs; their folder is made if there is none yet."""
        if self._messages is None:
            folder = self._root / FOLDER / uuid4().hex
            folder.mkdir(parents=True, mode=0o700)
            self._messages = Messages(folder)
        return self._messages

    def _submit(self, function: Any, given: object, *others: object) -> Job:
        """Submit a job that calls a function with what is given, the job's name, the store, the folder and the rest."""
        name, folder = uuid4().hex, self._started().folder
        with _failures(), _outside_of_a_job():
            executor = submitit.AutoExecutor(folder / "submitit", cluster=self._cluster)
            executor.update_parameters(
                name="bench",
                timeout_min=MINUTES,
                nodes=1,
                tasks_per_node=1,
                cpus_per_task=1,
                gpus_per_node=1 if self._device == "cuda" else None,
            )
            return Job(name, executor.submit(function, given, name, self._root, folder, *others))

    def _removed(self, number: int) -> Job:
        """Forget a job that has ended or is about to."""
        job = self._jobs.pop(number)
        self._ending.append(job.handle)
        return job

    def _last_report(self, job: Job) -> Report | None:
        """How a job ended; `None` if it has not."""
        if job.withdrawn:
            return Stopped()
        gone = self._is_gone(job)  # first, as it may report just before it ends
        return self._started().report(job.name) or (self._death(job) if gone else None)

    def _news(self, job: Job) -> Iterator[Report]:
        """What there is to say about a job that has not ended."""
        before, job.progress = job.progress, self._started().progress(job.name) or job.progress
        if job.progress is None:
            yield Queued()
        elif job.progress != before:
            yield job.progress

    def _is_gone(self, job: Job) -> bool:
        """Whether a job has ended so long ago that its report would be seen by now."""
        ask = time.monotonic() - self._asked >= SECONDS_BETWEEN_STATES
        if ask:
            self._asked = time.monotonic()
        if not job.handle.done(force_check=ask):
            return False
        job.gone_since = job.gone_since or time.monotonic()
        return self._cluster == "local" or time.monotonic() - job.gone_since >= SECONDS_TO_ARRIVE

    def _death(self, job: Job) -> Died:
        self._any_died = True
        return Died(f"WorkerDied: its Slurm job ended as {job.handle.state} without a report")


@contextmanager
def _failures() -> Iterator[None]:
    """Turn the refusal of a job into one line."""
    try:
        yield
    except (submitit.core.utils.FailedJobError, subprocess.CalledProcessError) as error:
        raise ExecutorFailedError(f"Slurm took no job: {reason_of(error)}") from error


@contextmanager
def _outside_of_a_job() -> Iterator[None]:
    """Hide that this process is a job of Slurm itself, which its jobs would take for a description of their own."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SLURM_")}
    try:
        yield
    finally:
        os.environ.update(hidden)
