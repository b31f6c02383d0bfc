"""People see what a run is doing, on a terminal and without one."""

import io
import re

import pytest
from rich.console import Console
from toy_cells import KIND, toy

from benchmark.running.cells import KINDS
from benchmark.running.duration import duration
from benchmark.running.estimates import Estimates
from benchmark.running.progress_display import LiveDisplay, PlainDisplay, Tally, display_on


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def _toy_kind(monkeypatch):
    monkeypatch.setitem(KINDS, "toy", KIND)


@pytest.fixture
def clock():
    return Clock()


def tally_of(clock, stated=lambda cell: 1.0):
    return Tally(Estimates(stated), clock)


def plain(clock):
    text = io.StringIO()
    return PlainDisplay(Console(file=text, width=80), tally_of(clock)), text


CELLS = [toy("diary", f"cell {index}") for index in range(4)]


def test_plain_lines_tell_beginning_end_and_failure(clock):
    display, text = plain(clock)
    with display:
        display.begin(CELLS, 3)
        display.started(0, CELLS[0])
        clock.now = 12.0
        display.finished(0, 12.0)
        display.started(0, CELLS[1])
        display.failed(0, "ValueError: [bold]no[/bold] " + "x" * 100, CELLS[2:])
    lines = text.getvalue().splitlines()
    assert lines[0] == "4 cells to compute, 3 found in the store"
    assert lines[1] == "[0/4] begin toy cell 0"
    assert lines[2] == "[1/4] done  toy cell 0 in 12 s (12 s, about 33 s left)"
    assert lines[4] == f"[4/4] FAILED toy cell 1: ValueError: [bold]no[/bold] {'x' * 100} (2 more cells need it)"
    assert (display.tally.done, display.tally.failures) == (4, 3)


def test_plain_progress_comes_at_most_every_ten_seconds(clock):
    display, text = plain(clock)
    display.begin(CELLS, 0)
    display.started(0, CELLS[0])
    for second in range(1, 31):
        clock.now = float(second)
        display.advanced(0, second, 30, f"loss {1 / second:.2f}")
    told = [line for line in text.getvalue().splitlines() if "loss" in line]
    assert [re.search(r"\d+/30", line).group() for line in told] == ["10/30", "20/30", "30/30"]
    assert told[0] == "[0/4]       toy cell 0 · 10/30 · loss 0.10"


def test_the_live_picture_fits_eighty_columns_and_shows_every_worker(clock):
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=True, color_system=None)
    display = display_on(console, tally_of(clock))
    assert isinstance(display, LiveDisplay)
    display.begin(CELLS, 0)
    display.started(0, CELLS[0])
    display.started(1, CELLS[1])
    clock.now = 10.0
    display.advanced(0, 812, 2000, "loss 1.23 density 0.05 · 12k tokens/s · " + "and more " * 9)
    text.truncate(0)
    text.seek(0)
    console.print(display.picture())
    lines = text.getvalue().splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("0/4 cells")
    assert "about 32 s left" in lines[0]
    assert lines[1].startswith("  toy cell 0 · 812/2000 · loss 1.23 density 0.05 · 12k tokens/s")


def test_only_failures_stay_on_a_terminal(clock):
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=True, color_system=None)
    with display_on(console, tally_of(clock)) as display:
        display.begin(CELLS, 0)
        display.started(0, CELLS[0])
        display.failed(0, "ValueError: no", [])
    assert "FAILED toy cell 0: ValueError: no" in text.getvalue()
    assert "begin toy cell 0" not in text.getvalue()


def test_the_time_left_weighs_cells_by_what_they_are_expected_to_take(clock):
    tally = tally_of(clock, lambda cell: 9.0 if cell is CELLS[0] else 1.0)
    tally.begin(CELLS[:2])
    assert tally.left is None
    tally.start(0, CELLS[0])
    clock.now = 9.0
    assert tally.end(0, 9.0) is CELLS[0]
    assert tally.share == pytest.approx(0.9)
    assert tally.left == pytest.approx(1.0)


def test_the_time_left_is_never_shorter_than_the_longest_cell_and_shared_by_all_workers(clock):
    tally = tally_of(clock, lambda cell: 10.0)
    tally.begin(CELLS)
    for worker in (0, 1):
        tally.start(worker, CELLS[worker])
    clock.now = 10.0
    for worker in (0, 1):
        tally.end(worker, 10.0)
    assert tally.left == pytest.approx(10.0)  # two cells of ten seconds, two workers
    tally.start(0, CELLS[2])
    clock.now = 20.0
    tally.end(0, 10.0)
    assert tally.left == pytest.approx(10.0)  # the last cell alone


def test_the_time_left_follows_the_pace_of_running_cells_before_any_has_ended(clock):
    tally = tally_of(clock)
    tally.begin(CELLS)
    tally.start(0, CELLS[0])
    tally.running[0].done, tally.running[0].total = 1, 2
    clock.now = 10.0  # half a cell in ten seconds: twenty per cell, where one was stated
    assert 30 < tally.left <= 70


def test_a_run_with_nothing_to_do_is_done(clock):
    tally = tally_of(clock)
    tally.begin([])
    assert tally.share == 1.0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (185.0, "3 min 5 s"), (7800.0, "2 h 10 min")],
)
def test_durations_are_said_as_people_say_them(seconds, said):
    assert duration(seconds) == said
