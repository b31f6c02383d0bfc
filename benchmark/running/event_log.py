"""Logs what happens in a run: one event each, quiet unless somebody listens to the logger `sparse_circuit_bench`."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from benchmark.running.cells import Cell
from benchmark.running.execution import Display

LOGGER = logging.getLogger("sparse_circuit_bench")
"""The logger of the whole program."""

LOGGER.addHandler(logging.NullHandler())


class JsonLines(logging.Formatter):
    """Writes an event as one line of JSON: its time in UTC, its level, what happened, and the facts of the event."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts = {"time": time, "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps({**facts, **getattr(record, "facts", {})})


class EventFile(logging.FileHandler):
    """A file of events; one that cannot be written to any more does not disturb the run."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that `logging` calls
        """Do nothing."""


class LoggedDisplay:
    """A display that also logs.

    Args:
        display: What shows the progress.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._running: dict[int, Cell] = {}

    def begin(self, missing: Sequence[Cell], found: int) -> None:
        """The missing cells will be computed; the number found in the store is given."""
        log("run begun", missing=len(missing), found=found)
        self._display.begin(missing, found)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        log("said", text=text)
        self._display.say(text)

    def started(self, worker: int, cell: Cell) -> None:
        """A worker has started on a cell."""
        self._running[worker] = cell
        log("cell begun", worker=worker, **_facts(cell))
        self._display.started(worker, cell)

    def advanced(self, worker: int, done: int, total: int, note: str) -> None:
        """A worker's cell has reported progress."""
        facts = {"worker": worker, **_facts(self._running[worker]), "done": done, "total": total, "note": note}
        LOGGER.debug("cell advanced", extra={"facts": facts})
        self._display.advanced(worker, done, total, note)

    def finished(self, worker: int, seconds: float) -> None:
        """A worker has computed its cell."""
        log("cell computed", worker=worker, **_facts(self._running.pop(worker)), seconds=round(seconds, 3))
        self._display.finished(worker, seconds)

    def failed(self, worker: int, reason: str, lost: Sequence[Cell]) -> None:
        """A worker's cell has failed, and with it the cells that need it."""
        facts = {"worker": worker, **_facts(self._running.pop(worker)), "reason": reason, "lost": len(lost)}
        LOGGER.error("cell failed", extra={"facts": facts})
        self._display.failed(worker, reason, lost)

    def given_back(self, worker: int, reason: str) -> None:
        """A worker's cell has not ended and will be computed again."""
        facts = {"worker": worker, **_facts(self._running.pop(worker)), "reason": reason}
        LOGGER.warning("cell given back", extra={"facts": facts})
        self._display.given_back(worker, reason)

    def found(self, cell: Cell) -> None:
        """Another run has computed a missing cell."""
        log("cell found", **_facts(cell))
        self._display.found(cell)


@contextmanager
def logged_to(file: Path | None) -> Iterator[None]:
    """Append the events logged inside the context to a file, one line of JSON each; nothing happens without a file.

    Raises:
        OSError: The file cannot be written to.
    """
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = EventFile(file, encoding="utf-8")
    handler.setFormatter(JsonLines())
    before = LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOGGER.setLevel(before)
        LOGGER.removeHandler(handler)
        with suppress(OSError):
            handler.close()


def log(event: str, **facts: object) -> None:
    """Log an event and its facts, which must be JSON."""
    LOGGER.info(event, extra={"facts": facts})


def _facts(cell: Cell) -> dict[str, str]:
    return {"cell": cell.label, "key": cell.key[:12]}
