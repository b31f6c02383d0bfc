"""Estimates start from what a preset states, and follow what cells take on this machine."""

import random

import pytest
from toy_cells import KIND, toy

from benchmark.running.cells import KINDS, Cell
from benchmark.running.estimates import Estimates
from benchmark.running.progress_display import Tally
from benchmark.running.store import Store

SECONDS = {"train": 100.0, "circuit": 10.0, "validity": 40.0}
"""Stated seconds."""

SPREAD = {"train": 0.2, "circuit": 1.0, "validity": 0.3}
"""How far single cells are from what is usual, as a power of two."""


def stated(cell):
    return SECONDS[cell.kind]


def cells(kind, count, method="dense"):
    return [Cell(kind, {"method": method, "task": f"task {number}"}) for number in range(count)]


def test_nothing_but_the_stated_seconds_is_known_at_first():
    estimates = Estimates(stated)
    assert [estimates(cell) for kind in SECONDS for cell in cells(kind, 1)] == list(SECONDS.values())


def test_cells_of_the_same_kind_and_method_decide_once_some_of_them_have_ended():
    estimates = Estimates(stated)
    for cell in cells("circuit", 20):
        estimates.learn(cell, 40.0)
    assert estimates(cells("circuit", 1)[0]) == pytest.approx(40.0, rel=0.02)
    assert 20.0 < estimates(cells("circuit", 1, method="sae")[0]) < 40.0
    assert SECONDS["train"] < estimates(cells("train", 1)[0]) < 4 * SECONDS["train"]


def test_part_of_a_cell_counts_as_part_of_it():
    half, whole = Estimates(stated), Estimates(stated)
    [cell] = cells("circuit", 1)
    half.learn(cell, 5.0, share=0.5)
    whole.learn(cell, 10.0)
    assert half(cell) == whole(cell) == pytest.approx(10.0)


def test_a_copy_learns_on_its_own():
    estimates = Estimates(stated)
    [cell] = cells("circuit", 1)
    estimates.copy().learn(cell, 1_000.0)
    assert estimates(cell) == 10.0


def test_cells_that_the_store_holds_say_how_long_others_take(tmp_path, monkeypatch):
    monkeypatch.setitem(KINDS, "toy", KIND)
    store, wanted = Store(tmp_path), [toy("diary", f"cell {number}") for number in range(4)]
    for cell in wanted[:2]:
        store.partial(cell.order())
        store.commit(cell.order(), seconds=50.0, peak_memory=0)
    estimates = Estimates.of(lambda cell: 1.0, wanted, store)
    assert estimates(wanted[3]) == pytest.approx(50.0, rel=0.2)
    assert Estimates.of(lambda cell: 1.0, wanted[2:], store)(wanted[3]) == 1.0


@pytest.mark.parametrize("pace", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(5))
def test_after_a_tenth_of_a_run_the_time_left_is_right_within_a_quarter(pace, seed):
    """Two workers on a machine of another pace, where some circuits take four times as long as others."""
    drawn, now = random.Random(seed), 0.0
    wanted = [*cells("train", 4), *cells("validity", 8), *cells("circuit", 100)]
    taken = {cell.key: pace * stated(cell) * 2 ** (SPREAD[cell.kind] * drawn.uniform(-1, 1)) for cell in wanted}
    tally = Tally(Estimates(stated), lambda: now)
    tally.begin(wanted)
    waiting, ends, forecasts = list(wanted), dict[int, float](), list[tuple[float, float]]()
    while waiting or ends:
        for worker in {0, 1} - ends.keys():
            if waiting:
                cell = waiting.pop(0)
                tally.start(worker, cell)
                ends[worker] = now + taken[cell.key]
        worker = min(ends, key=ends.__getitem__)
        now = ends.pop(worker)
        tally.end(worker, taken[tally.running[worker].cell.key])
        if tally.left is not None:
            forecasts.append((now, now + tally.left))
    early = [end / now - 1 for at, end in forecasts if at >= now / 10]
    assert early
    assert max(map(abs, early)) < 0.25
