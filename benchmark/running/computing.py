"""Computes one cell in this process, on one thread, and puts it into the store."""

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import psutil

from benchmark.disk import disk_failure
from benchmark.files import CorruptFileError
from benchmark.plugins.registry import resolve
from benchmark.progress import Progress, StopRequested
from benchmark.running import kernels
from benchmark.running.cells import Order
from benchmark.running.reports import Chosen, Corrupted, DiskFailed, Ended, Raised, Report, Settled, Stopped
from benchmark.running.store import ArtifactError, Store

SECONDS_BETWEEN_REPORTS = 0.2
"""Progress is reported at most this often."""

LONGEST_REASON = 2_000
"""Largest number of characters of an error that is reported; the log has the whole."""

ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
"""The environment variables that set the number of threads of the libraries we use."""


class ReportedProgress:
    """The `Progress` of a cell: passes reports on at a limited rate, and stops the cell when asked to.

    Args:
        send: Receives the steps done, all steps and a short text.
        stop_requested: Whether the cell is to be stopped.
        seconds: Progress is passed on at most this often.
    """

    def __init__(
        self,
        send: Callable[[int, int, str], None],
        stop_requested: Callable[[], bool],
        seconds: float = SECONDS_BETWEEN_REPORTS,
    ) -> None:
        self._send = send
        self._stop_requested = stop_requested
        self._seconds = seconds
        self._last = -seconds

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """`done` of `total` steps; `note` is a short text."""
        if self._stop_requested():
            raise StopRequested
        now = time.monotonic()
        if now - self._last >= self._seconds:
            self._last = now
            self._send(done, total, note)


class Polled:
    """A question that takes time to answer, and is therefore asked at a limited rate; yes is the last answer.

    Args:
        ask: Asks it.
        seconds: How long the answer no is taken for granted.
    """

    def __init__(self, ask: Callable[[], bool], seconds: float = SECONDS_BETWEEN_REPORTS) -> None:
        self._ask = ask
        self._seconds = seconds
        self._answer = False
        self._asked = time.monotonic() - seconds

    def __call__(self) -> bool:
        """The latest answer."""
        if not self._answer and time.monotonic() - self._asked >= self._seconds:
            self._answer = self._ask()
            self._asked = time.monotonic()
        return self._answer


def use_one_thread() -> None:
    """Give the libraries that this process has yet to load one thread each."""
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


@cache
def prepare(chosen: tuple[tuple[str, str], ...], device: str, number: int) -> None:
    """Make this process compute with some kernels, on its share of the devices of a kind.

    Args:
        chosen: The option taken for each choice, by the choice's name.
        device: The kind of device that models are on.
        number: The number of this process among those that compute at the same time, from 0.
    """
    kernels.use(dict(chosen))
    if device != "cpu":
        from benchmark.model.devices import choose_device, of_worker

        choose_device(of_worker(device, number))


def preparation(chosen: Chosen, device: str, number: int) -> Callable[[], None]:
    """What prepares this process for a cell: `prepare` with these arguments."""
    return partial(prepare, tuple(sorted(chosen.items())), device, number)


def settle(recorded: Chosen, store: Store) -> Settled:
    """Settle the choices of kernels; after an error there are none."""
    try:
        with _output_in(store.log("kernels")):
            try:
                return kernels.settle(recorded, store.root)
            except Exception:
                traceback.print_exc()
                raise
    except Exception as error:
        return Settled({}, (f"no kernel was chosen: {reason_of(error)}",))


def compute(order: Order, store: Store, progress: Progress, prepared: Callable[[], None] = lambda: None) -> Report:
    """Compute one cell into its partial folder and put it into the store; an error becomes a report."""
    began = time.perf_counter()
    try:
        with _output_in(store.log(order.key)):
            try:
                _compute(order, store, progress, prepared, began)
            except Exception:
                traceback.print_exc()
                raise
        return Ended(time.perf_counter() - began)
    except StopRequested:
        return Stopped()
    except ArtifactError as error:
        return Corrupted(error.key, error.flaw)
    except CorruptFileError as error:
        if key := store.key_of_file(error.path):
            return Corrupted(key, f"{error.path.name} {error.flaw}", unreadable=True)
        return _failed(order, store, error)
    except Exception as error:
        if failure := disk_failure(error):
            return DiskFailed(failure)
        return _failed(order, store, error)


def _failed(order: Order, store: Store, error: Exception) -> Raised:
    """Report an error of a cell itself, which starts afresh if it is tried again, unless the error may pass."""
    if not (isinstance(error, MemoryError | OSError) or type(error).__name__ == "OutOfMemoryError"):
        with contextlib.suppress(OSError):
            store.discard_partial(order)
    return Raised(reason_of(error))


def _compute(order: Order, store: Store, progress: Progress, prepared: Callable[[], None], began: float) -> None:
    _reset_peak_memory()
    prepared()
    function = resolve(order.compute)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    inputs = {role: store.artifact(key) for role, key in order.needs.items()}
    function(order.params, inputs, store.partial(order), progress)
    store.commit(order, time.perf_counter() - began, _peak_memory())


def reason_of(error: Exception) -> str:
    """An error in one line of a sensible length, without the paths of this machine."""
    text = str(error)
    for place, name in ((os.getcwd(), "."), (os.path.expanduser("~"), "~")):
        text = text.replace(place + os.sep, name + os.sep)
    text = " ".join(text.split())
    shown = text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"
    return f"{type(error).__name__}: {shown}".removesuffix(": ")


@contextlib.contextmanager
def _output_in(log: Path) -> Iterator[None]:
    """Redirect everything that is printed, by libraries too, into a file; an empty file is removed."""
    log.parent.mkdir(parents=True, exist_ok=True)
    saved = [(stream, os.dup(stream.fileno())) for stream in (sys.__stdout__, sys.__stderr__) if stream is not None]
    with log.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        for stream, _ in saved:
            os.dup2(file.fileno(), stream.fileno())
        try:
            yield
        finally:
            for stream, descriptor in saved:
                os.dup2(descriptor, stream.fileno())
                os.close(descriptor)
    with contextlib.suppress(FileNotFoundError):  # another run may have printed nothing into the same file
        if log.stat().st_size == 0:
            log.unlink()


def _reset_peak_memory() -> None:
    """Reset the kernel's peak memory (Linux only; elsewhere the peak is over the whole life of the process)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _peak_memory() -> int:
    """Largest resident memory of this process in bytes since the reset, or over its whole life without a reset."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak: int | None = getattr(psutil.Process().memory_info(), "peak_wset", None)  # only on Windows
    if peak is None:
        import resource  # on every system but Windows

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak
