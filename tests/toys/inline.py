"""Cells computed in the process of the command itself: starting another one takes longer than toy cells do."""

import time
from contextlib import contextmanager

import pytest

from benchmark.running.computing import compute
from benchmark.running.executors import EXECUTORS
from benchmark.running.reports import with_device


class InlineExecutor:
    def __init__(self, store, workers, device):
        self._store, self._device, self._waiting = store, device, []

    @property
    def used(self):
        return with_device({}, self._device)

    @property
    def has_room(self):
        return not self._waiting

    def settle(self, recorded):
        return ()

    def assign(self, order):
        self._waiting.append(order)
        return 0

    def reports(self, seconds):
        if not self._waiting:
            time.sleep(seconds)
        while self._waiting:
            order = self._waiting.pop()
            yield 0, compute(order, self._store, lambda done, total, note="": None)

    def cancel(self, number):
        raise AssertionError("a cell cannot be cancelled while the same process computes it")

    def stop(self):
        """No cell is running when this is called."""

    def close(self):
        self._waiting.clear()


@contextmanager
def inline_cells():
    """The executor of this machine computes every cell at once, one after the other, and nothing is flushed to disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EXECUTORS, "local", "inline:InlineExecutor")
        patch.setattr("os.fsync", lambda descriptor: None)
        yield
