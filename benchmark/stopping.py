"""Ctrl-C and SIGTERM: the first lets a run save its state, the second stops it at once."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPED = 130
"""The exit code after Ctrl-C or SIGTERM."""

SECONDS_OF_ONE_REQUEST = 0.5
"""Signals within this time count as one: `timeout` and Slurm send theirs to a process and to its group."""

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, the wish of a batch system, and a terminal that is closed."""


def stop_at_once(number: int, frame: FrameType | None) -> None:
    """Handle a signal while there is nothing to save: end the process, without a traceback."""
    os.write(2, b"stopped\n")
    os._exit(STOPPED)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Handle a signal as Python handles Ctrl-C."""
    raise KeyboardInterrupt


@contextmanager
def handled_by(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Handle Ctrl-C and SIGTERM in some way, unless the process was started to ignore them.

    Only the main thread of a process may do this; in others nothing changes.
    """
    try:
        before = {number: signal.signal(number, handler) for number in SIGNALS if _is_heeded(number)}
    except ValueError:  # not the main thread
        before = {}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Take the first Ctrl-C or SIGTERM as a request to stop, which the given function tells; the second interrupts."""
    requested: list[float] = []

    def request(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        requested.append(now)
        if now - requested[0] > SECONDS_OF_ONE_REQUEST:
            raise KeyboardInterrupt

    with handled_by(request):
        yield lambda: bool(requested)


def _is_heeded(number: signal.Signals) -> bool:
    return signal.getsignal(number) is not signal.SIG_IGN
