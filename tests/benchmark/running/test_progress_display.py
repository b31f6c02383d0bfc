"""People see what a run is doing, on a terminal and without one."""

import io
import re

import pytest
from rich.console import Console
from toy_cells import KIND, toy

from benchmark.running.cells import KINDS
from benchmark.running.duration import duration
from benchmark.running.progress_display import Activity, LiveDisplay, PlainDisplay, Tally, display_on


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


def plain(clock):
    text = io.StringIO()
    return PlainDisplay(Console(file=text, width=80), Tally(lambda cell: 1.0, clock)), text


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
    assert lines[2] == "[1/4] done  toy cell 0 in 12 s (12 s, about 36 s left)"
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
    display = display_on(console, Tally(lambda cell: 1.0, clock))
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
    assert "about 1 min 29 s left" in lines[0]
    assert lines[1].startswith("  toy cell 0 · 812/2000 · loss 1.23 density 0.05 · 12k tokens/s")


def test_only_failures_stay_on_a_terminal(clock):
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=True, color_system=None)
    with display_on(console, Tally(lambda cell: 1.0, clock)) as display:
        display.begin(CELLS, 0)
        display.started(0, CELLS[0])
        display.failed(0, "ValueError: no", [])
    assert "FAILED toy cell 0: ValueError: no" in text.getvalue()
    assert "begin toy cell 0" not in text.getvalue()


def test_the_estimate_weighs_cells_by_what_they_are_expected_to_take(clock):
    tally = Tally(lambda cell: 9.0 if cell is CELLS[0] else 1.0, clock)
    tally.begin(CELLS[:2])
    assert tally.left is None
    tally.running[0] = Activity(CELLS[0])
    clock.now = 18.0
    assert tally.end(0) is CELLS[0]
    assert tally.share == pytest.approx(0.9)
    assert tally.left == pytest.approx(2.0)


def test_a_run_with_nothing_to_do_is_done(clock):
    tally = Tally(lambda cell: 1.0, clock)
    tally.begin([])
    assert tally.share == 1.0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (185.0, "3 min 5 s"), (7800.0, "2 h 10 min")],
)
def test_durations_are_said_as_people_say_them(seconds, said):
    assert duration(seconds) == said
