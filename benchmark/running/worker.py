"""A worker process: computes cells one at a time on one thread, puts them into the store and reports progress."""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

import psutil

from benchmark.plugins.registry import resolve
from benchmark.running import kernels
from benchmark.running.cells import Order
from benchmark.running.kernels import Chosen, Settled
from benchmark.running.store import Store

SECONDS_BETWEEN_REPORTS = 0.2
"""Progress is reported at most this often."""

ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
"""The environment variables that set the number of threads of the libraries we use."""


@dataclass(frozen=True)
class Settle:
    """Asks for the choices of kernels to be settled, given those that are recorded already."""

    recorded: Chosen


@dataclass(frozen=True)
class Advanced:
    """A cell has done `done` of `total` steps; `note` is a short text."""

    done: int
    total: int
    note: str


@dataclass(frozen=True)
class Ended:
    """A cell has been computed in `seconds` and is in the store."""

    seconds: float


@dataclass(frozen=True)
class Raised:
    """A cell raised an error; `reason` is one line."""

    reason: str


def work(connection: Connection, root: Path, chosen: Chosen, device: str, number: int) -> None:
    """Compute the cells whose orders come through `connection`, until it is closed.

    Libraries get one thread each. The process ignores Ctrl-C and ends with the main process, however that ends.

    Args:
        connection: Receives orders and sends reports.
        root: The folder of the store.
        chosen: The choices of kernels to use.
        device: The kind of device that models are on.
        number: The number of this worker, from 0.
    """
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    store, prepare = Store(root), cache(partial(_use, chosen, device, number))
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            order: Order | Settle = connection.recv()
            if isinstance(order, Settle):
                settled = _settle(order.recorded, store)
                prepare = cache(partial(_use, settled.chosen, device, number))
                connection.send(settled)
            else:
                connection.send(_compute(order, store, connection, prepare))


def _use(chosen: Chosen, device: str, number: int) -> None:
    """Make this process compute with some kernels, on its share of the devices of a kind."""
    kernels.use(chosen)
    if device != "cpu":
        from benchmark.model.devices import choose_device, of_worker

        choose_device(of_worker(device, number))


def _settle(recorded: Chosen, store: Store) -> Settled:
    """Settle the choices of kernels; after an error there are none."""
    with _output_in(store.log("kernels")):
        try:
            return kernels.settle(recorded, store.root)
        except Exception as error:
            traceback.print_exc()
            return Settled({}, (f"no kernel was chosen: {_reason(error)}",))


def _compute(
    order: Order, store: Store, connection: Connection, prepare: Callable[[], None] = lambda: None
) -> Ended | Raised:
    """Compute one cell into its partial folder and put it into the store; an error becomes a report."""
    began = time.perf_counter()
    with _output_in(store.log(order.key)):
        try:
            _reset_peak_memory()
            prepare()
            compute = resolve(order.compute)
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(1)
            inputs = {role: store.artifact(key) for role, key in order.needs.items()}
            compute(order.params, inputs, store.partial(order.key), Reporter(connection))
            store.commit(order, time.perf_counter() - began, _peak_memory())
            return Ended(time.perf_counter() - began)
        except Exception as error:
            traceback.print_exc()
            store.discard_partial(order.key)
            return Raised(_reason(error))


def _reason(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


class Reporter:
    """The `Progress` of a cell: sends reports at a limited rate."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last = -SECONDS_BETWEEN_REPORTS

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """`done` of `total` steps; `note` is a short text."""
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_REPORTS:
            self._last = now
            self._connection.send(Advanced(done, total, note))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


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
