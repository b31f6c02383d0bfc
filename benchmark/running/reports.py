"""What is said between a run and the processes that compute its cells."""

from collections.abc import Mapping
from dataclasses import dataclass

Chosen = Mapping[str, str]
"""The option taken for each choice, by the choice's name."""


@dataclass(frozen=True)
class Settle:
    """Asks for the choices of kernels to be settled, given those that are recorded already."""

    recorded: Chosen


@dataclass(frozen=True)
class Stop:
    """Asks for the current cell to be stopped once its state is saved."""


@dataclass(frozen=True)
class Queued:
    """A cell waits for room on a cluster; its time has not begun to run."""


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


@dataclass(frozen=True)
class Corrupted:
    """An artifact that a cell needs cannot be used.

    Attributes:
        key: Its key.
        flaw: What is wrong with it.
        unreadable: Whether its checksums fit, but a file has not the content that it should have.
    """

    key: str
    flaw: str
    unreadable: bool = False


@dataclass(frozen=True)
class DiskFailed:
    """The store cannot be written to; `reason` is what the system says."""

    reason: str


@dataclass(frozen=True)
class Died:
    """The process that computed a cell is gone; `reason` is one line."""

    reason: str


@dataclass(frozen=True)
class Stopped:
    """A cell was stopped as asked for; what it had done so far is kept."""


Report = Queued | Advanced | Ended | Raised | Corrupted | DiskFailed | Died | Stopped
"""What is reported of a cell; all but `Queued` and `Advanced` are the last report."""


@dataclass(frozen=True)
class Settled:
    """The options that a process uses, and what there is to say about them, one line each."""

    chosen: Chosen
    remarks: tuple[str, ...] = ()


def with_device(chosen: Chosen, device: str) -> Chosen:
    """Choices as they are recorded: together with the kind of `device`, if that is not the CPU."""
    return chosen if device == "cpu" else {**chosen, "device": device}
