"""What runs in a Slurm job: one cell, or the choice of kernels; it talks to the run through files."""

import json
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from benchmark.disk import replace_file
from benchmark.running.cells import Order
from benchmark.running.computing import Polled, ReportedProgress, compute, preparation, settle, use_one_thread
from benchmark.running.reports import (
    Advanced,
    Chosen,
    Corrupted,
    Died,
    DiskFailed,
    Ended,
    Raised,
    Report,
    Settled,
    Stopped,
)
from benchmark.running.store import Store

Message = TypeVar("Message")

SECONDS_BETWEEN_FILES = 2.0
"""How often a job writes its progress and looks whether it should stop: shared disks are slow."""

FOLDER = "slurm"
"""The subfolder of a store with a folder of messages for every run on Slurm."""

LAST: dict[str, type[Any]] = {kind.__name__: kind for kind in (Ended, Raised, Corrupted, DiskFailed, Died, Stopped)}
"""The reports with which a cell can end, by name."""


@dataclass(frozen=True)
class LastReport:
    """A report as JSON: its name in `LAST`, and its fields."""

    kind: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class Messages:
    """What is said between a run and its jobs: one file per message, and nothing but JSON is read.

    Attributes:
        folder: Where the files are.
    """

    folder: Path

    def tell_progress(self, job: str, progress: Advanced) -> None:
        """Say how far the cell of a job is."""
        self._file(job, "progress").write_text(json.dumps(asdict(progress)), encoding="utf-8")

    def tell_report(self, job: str, report: Report) -> None:
        """Say how the cell of a job ended."""
        content = {"kind": type(report).__name__, "fields": asdict(report)}
        replace_file(self._file(job, "report"), json.dumps(content))

    def tell_settled(self, job: str, settled: Settled) -> None:
        """Say what kernels a job has settled."""
        replace_file(self._file(job, "settled"), json.dumps(asdict(settled)))

    def ask_to_stop(self) -> None:
        """Ask all jobs to stop."""
        (self.folder / "stop").touch()

    @property
    def is_stopping(self) -> bool:
        """Whether all jobs are to stop."""
        return (self.folder / "stop").exists()

    def progress(self, job: str) -> Advanced | None:
        """How far the cell of a job is; `None` if it has not begun, or is just saying so."""
        return self._read(job, "progress", Advanced)

    def report(self, job: str) -> Report | None:
        """How the cell of a job ended; `None` if it has not."""
        found = self._read(job, "report", LastReport)
        if found is None or found.kind not in LAST:
            return None
        try:
            report: Report = TypeAdapter(LAST[found.kind]).validate_python(found.fields)
        except ValidationError:
            return None
        return report

    def settled(self, job: str) -> Settled | None:
        """The kernels that a job has settled; `None` if it has not."""
        return self._read(job, "settled", Settled)

    def _read(self, job: str, what: str, kind: type[Message]) -> Message | None:
        try:
            return TypeAdapter(kind).validate_json(self._file(job, what).read_bytes())
        except (OSError, ValidationError):
            return None

    def _file(self, job: str, what: str) -> Path:
        return self.folder / f"{job}.{what}.json"


def compute_cell(order: Order, job: str, root: Path, folder: Path, chosen: Chosen, device: str, number: int) -> None:
    """Compute a cell in this process into the store, and report through a file how it ended.

    A job that is about to be ended by Slurm (preempted or out of time) has its cell save its state first. So has one
    whose run is gone: nobody would keep other runs from its cell any more.

    Args:
        order: The cell.
        job: The name of this job in messages.
        root: The folder of the store.
        folder: The folder of messages.
        chosen: The choices of kernels to use.
        device: The kind of device that models are on.
        number: The number of the worker, from 0.
    """
    use_one_thread()
    ending = _note_signals()
    store, messages = Store(root), Messages(folder)
    leases = store.leases()

    def must_stop() -> bool:
        return messages.is_stopping or (order.run != "" and leases.is_left(f"run.{order.run}"))

    def send(done: int, total: int, note: str) -> None:
        messages.tell_progress(job, Advanced(done, total, note))

    send(0, 1, "")
    stop = Polled(must_stop, SECONDS_BETWEEN_FILES)
    progress = ReportedProgress(send, lambda: bool(ending) or stop(), SECONDS_BETWEEN_FILES)
    report = compute(order, store, progress, preparation(chosen, device, number))
    if ending and isinstance(report, Stopped):
        report = Died(f"WorkerDied: Slurm ended the job ({ending[0]}) once the cell had saved its state")
    messages.tell_report(job, report)


def settle_kernels(recorded: Chosen, job: str, root: Path, folder: Path) -> None:
    """Settle the choices of kernels in this process, and report them through a file."""
    use_one_thread()
    Messages(folder).tell_settled(job, settle(recorded, Store(root)))


def _note_signals() -> list[str]:
    """A list that will have the names of the signals by which Slurm says that it will end this job."""
    names: list[str] = []

    def note(number: int, frame: FrameType | None) -> None:
        names.append(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, note)
    return names
