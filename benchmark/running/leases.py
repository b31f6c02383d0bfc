"""Leases on cells, so that several runs on one store divide the work and no cell is computed twice at once.

A lease is a file that names its holder. Its holder touches it again and again; a lease that is no longer touched, or
whose process is gone from this machine, has expired, and another run may take it over. No two clocks are compared.
"""

import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar
from uuid import uuid4

from benchmark.disk import error_numbers

if TYPE_CHECKING:
    from filelock import FileLock
    from pydantic import TypeAdapter

SECONDS_BETWEEN_TOUCHES = 10.0
"""How often a holder touches its leases."""

SECONDS_TO_LOCK = 60.0
"""How long a process waits for another that removes or replaces a lease, which takes milliseconds."""

LARGEST_LEASE = 10_000
"""Largest size of a lease in bytes."""

WITHOUT_LINKS = error_numbers("EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EMLINK", "EINVAL")
"""The errors of a file system on which a file has one name only."""

SECONDS_TO_EXPIRY = 120.0
"""A lease expires if nobody has touched it for this long, by the clock of the process that waits for it."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lease.

    Attributes:
        token: A name that no other holder has.
        host: Name of its machine.
        boot: What tells this start of the machine, and this container on it, from others.
        process: Its process number.
        started: When the process began, as `_started` has it.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "strict": True}

    token: str
    host: str
    boot: str
    process: int
    started: float

    @classmethod
    def here(cls) -> "Holder":
        """This process, under a new token."""
        return cls(uuid4().hex, platform.node(), _boot(), os.getpid(), _started(os.getpid()) or 0.0)

    @property
    def is_dead(self) -> bool:
        """Whether the process is known to have ended; never for one on another machine."""
        if (self.host, self.boot) != (platform.node(), _boot()):
            return False
        started = _started(self.process)
        return started is None or abs(started - self.started) > 1

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


def _started(process: int) -> float | None:
    """When a process began, on Linux in a unit that no step of the clock changes; `None` if it has ended."""
    try:
        if os.path.exists("/proc/self/stat"):
            state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
            return None if state.split()[0] in "ZX" else float(state.split()[19])
        return _created(process)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None


def _created(process: int) -> float | None:
    """When a process began, seconds since the epoch; `None` if it has ended."""
    import psutil

    try:
        return psutil.Process(process).create_time()
    except psutil.NoSuchProcess:
        return None


@cache
def _boot() -> str:
    """A name for this start of the machine and this process namespace; empty where the system has none."""
    parts = []
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


@dataclass(frozen=True)
class Seen:
    """A lease as it was when it last changed: who held it, its time stamp, and this process's clock."""

    content: bytes
    touched: int
    clock: float


class Leases:
    """The leases of one run, released when the context ends.

    Args:
        folder: Where the leases of all runs lie, one file each.
        clock: A monotonic clock, seconds.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self.holder = Holder.here()
        self._clock = clock
        self._held: set[str] = set()
        self._seen: dict[str, Seen] = {}
        self._ended = threading.Event()

    def __enter__(self) -> "Leases":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._remove_dead()
        threading.Thread(target=self._touch_all, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for name in list(self._held):
            self.release(name)

    def acquire(self, name: str) -> bool:
        """Take a lease if nobody holds it, or if its holder's has expired; whether this process holds it now."""
        if name in self._held:
            return True
        mine = self.folder / f".{name}.{self.holder.token}"
        mine.write_text(json.dumps(asdict(self.holder)), encoding="utf-8")
        try:
            if _link(mine, self.folder / name) or self._take_over(name, mine):
                self._held.add(name)
                self._seen.pop(name, None)
                return True
            return False
        finally:
            mine.unlink(missing_ok=True)

    def release(self, name: str) -> None:
        """Give a lease back; nothing happens if another process has taken it over."""
        self._held.discard(name)
        with suppress(OSError), self._lock():
            if self.is_ours(name):
                (self.folder / name).unlink(missing_ok=True)

    def is_ours(self, name: str) -> bool:
        """Whether this process holds a lease, and no other has taken it over."""
        holder = self.holder_of(name)
        return holder is not None and holder.token == self.holder.token

    def holder_of(self, name: str) -> Holder | None:
        """Who holds a lease, expired or not; `None` if nobody does or the file cannot be read."""
        return _holder_in(_content(self.folder / name))

    def is_left(self, name: str) -> bool:
        """Whether nobody holds a lease any more: it was released, or it has expired."""
        return not (self.folder / name).exists() or self._has_expired(name)

    def names(self, beginning: str) -> list[str]:
        """The names of all leases that begin in a way, whoever holds them."""
        return sorted(path.name for path in self.folder.glob(f"{beginning}*"))

    def held_by_others(self, names: Iterable[str]) -> dict[str, Holder]:
        """Those of some leases that other processes hold, unless they are known to have ended."""
        found = {name: self.holder_of(name) for name in names if name not in self._held}
        return {name: holder for name, holder in found.items() if holder is not None and not holder.is_dead}

    def _remove_dead(self) -> None:
        """Remove what processes left that are known to have ended."""
        with suppress(TimeoutError), self._lock():
            for path in self.folder.iterdir():
                holder = _holder_in(_content(path))
                if holder is not None and holder.is_dead:
                    path.unlink(missing_ok=True)

    def _lock(self) -> "FileLock":
        """The lock under which leases are removed or replaced; a `TimeoutError` if it cannot be had."""
        from filelock import FileLock

        return FileLock(self.folder / ".lock", timeout=SECONDS_TO_LOCK)

    def _take_over(self, name: str, mine: Path) -> bool:
        """Replace an expired lease with the file `mine`; whether that was possible."""
        if not self._has_expired(name):
            return False
        with suppress(TimeoutError), self._lock():  # of two that see it expire, one must see the other's lease
            if self._has_expired(name):
                os.replace(mine, self.folder / name)
                return True
        return False

    def _has_expired(self, name: str) -> bool:
        path = self.folder / name
        content = _content(path)
        if content is None:
            return False  # released meanwhile: the next attempt finds it free
        holder = _holder_in(content)
        if holder is not None and holder.is_dead:
            return True
        try:
            touched = path.stat().st_mtime_ns
        except OSError:
            return False
        seen = self._seen.get(name)
        if seen is None or (seen.content, seen.touched) != (content, touched):
            seen = self._seen[name] = Seen(content, touched, self._clock())
        return self._clock() - seen.clock >= SECONDS_TO_EXPIRY

    def _touch_all(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_TOUCHES):
            for name in list(self._held):
                if self.is_ours(name):
                    with suppress(OSError):
                        os.utime(self.folder / name)
                else:
                    self._held.discard(name)


def _link(source: Path, target: Path) -> bool:
    """Give a file a second name unless that exists; whether it was given."""
    try:
        os.link(source, target)
    except FileExistsError:
        return _content(target) == source.read_bytes()  # a network may have repeated a request that had succeeded
    except OSError as error:
        if error.errno not in WITHOUT_LINKS:
            raise
        try:
            with target.open("xb") as file:
                file.write(source.read_bytes())
        except FileExistsError:
            return False
    return True


def _content(path: Path) -> bytes | None:
    """What is in a lease, which nobody can tell if it cannot be read; `None` if there is none."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_LEASE)
    except FileNotFoundError:
        return None
    except OSError:
        return b""


def _holder_in(content: bytes | None) -> Holder | None:
    try:
        return _adapter().validate_json(content or b"")
    except ValueError:
        return None


@cache
def _adapter() -> "TypeAdapter[Holder]":
    from pydantic import TypeAdapter  # takes a tenth of a second, and commands that compute nothing need it not

    return TypeAdapter(Holder)
