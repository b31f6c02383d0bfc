"""How a cell learns that it should stop without asking all the time."""

from types import SimpleNamespace

import pytest

from benchmark.progress import StopRequested
from benchmark.running import computing
from benchmark.running.computing import Polled, ReportedProgress


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(computing.time, "monotonic", lambda: clock.now)
    return clock


def test_a_costly_question_is_asked_at_a_limited_rate_and_no_more_after_a_yes(clock):
    asked = []
    polled = Polled(lambda: asked.append(clock.now) or len(asked) == 3, 2.0)
    found = []
    for _ in range(8):
        found.append(polled())
        clock.now += 1.0
    assert asked == [100.0, 102.0, 104.0]
    assert found == [False] * 4 + [True] * 4


def test_progress_is_passed_on_at_the_given_rate_and_a_stop_at_once(clock):
    sent, stopping = [], []
    progress = ReportedProgress(lambda *told: sent.append(told), lambda: bool(stopping), 2.0)
    for done in range(4):
        progress(done, 4, "")
        clock.now += 1.0
    assert [done for done, _, _ in sent] == [0, 2]
    stopping.append(True)
    with pytest.raises(StopRequested):
        progress(4, 4, "")
