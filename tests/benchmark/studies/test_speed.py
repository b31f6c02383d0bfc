"""Hot paths are timed in turns against ways that give the same results."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.cli.speed import _text
from benchmark.studies.speed import (
    LEAST_SECONDS,
    Comparison,
    Speed,
    compare,
    comparisons,
    one_thread,
    with_gradients,
)


class Machine:
    """A clock that only moves when something is run."""

    now = 0.0

    def __call__(self):
        return self.now

    def contestant(self, *seconds, result=1.0, numbers=1):
        """Takes each of the given times in turn, and then the last one for ever."""
        left = list(seconds)

        def run():
            self.now += left.pop(0) if len(left) > 1 else left[0]
            return [torch.full((numbers,), result)]

        return run


def compared(machine, ours, **others):
    return list(compare(Comparison("sum", "2 x 3", ours, others), rounds=5, clock=machine))


def test_every_other_way_gets_a_row_with_its_ratio():
    machine = Machine()
    ours, naive, peer = (machine.contestant(seconds) for seconds in (1.0, 3.0, 0.5))
    rows = {row.against: row for row in compared(machine, ours, naive=naive, peer=peer)}
    assert rows["naive"].speed_up == pytest.approx(3.0)
    assert rows["peer"].speed_up == pytest.approx(0.5)
    assert (rows["naive"].milliseconds, rows["naive"].other_milliseconds) == pytest.approx((1e3, 3e3))
    assert (rows["naive"].low, rows["naive"].high, rows["naive"].rounds) == pytest.approx((3.0, 3.0, 5))


def test_one_slow_round_moves_the_limits_and_not_the_median():
    machine = Machine()
    before = [1.0] * 3  # the check of the results, and two runs that find how often to repeat
    ours = machine.contestant(*before, 1.0, 10.0, 1.0)
    [row] = compared(machine, ours, naive=machine.contestant(2.0))
    assert (row.low, row.speed_up, row.high) == pytest.approx((0.2, 2.0, 2.0))


def test_short_runs_are_repeated_until_they_can_be_timed():
    machine, runs = Machine(), []
    quick = machine.contestant(LEAST_SECONDS / 10)

    def counted():
        runs.append(1)
        return quick()

    [row] = compared(machine, counted, naive=machine.contestant(1.0))
    assert len(runs) == 3 + 5 * 10 + 1  # the last one for its memory
    assert row.milliseconds == pytest.approx(100 * LEAST_SECONDS)


def test_a_way_that_gives_other_results_is_refused_by_name():
    machine = Machine()
    with pytest.raises(ValueError, match="sum: naive gives other results than ours"):
        compared(machine, machine.contestant(1.0), naive=machine.contestant(1.0, result=2.0))


def test_gradients_are_those_of_a_weighted_sum_that_no_constant_replaces():
    inputs = [torch.randn(3, 4), torch.randn(4)]
    output, of_matrix, of_vector = with_gradients(torch.matmul, inputs)()
    torch.testing.assert_close(output, inputs[0] @ inputs[1])
    weights = of_matrix[:, 0] / inputs[1][0]
    torch.testing.assert_close(of_vector, weights @ inputs[0])
    assert len(weights.unique()) == 3


def test_ways_that_compute_something_else_are_timed_and_said_to_do_so():
    machine = Machine()
    other = {"half": machine.contestant(0.5, result=2.0)}
    toy = Comparison("sum", "2 x 3", machine.contestant(1.0), other, same_results=False)
    [row] = compare(toy, 5, machine)
    assert (row.speed_up, row.same_results) == (0.5, False)
    assert any(line.startswith("    half *") for line in _text([row]))
    assert next(line for line in _text([row]) if line.startswith("*")) == (
        "* computes something else of the same shape, so results are not compared"
    )


def test_results_may_differ_by_the_tolerance_that_a_comparison_states():
    machine = Machine()
    loose = Comparison(
        "sum", "2 x 3", machine.contestant(1.0), {"naive": machine.contestant(1.0, result=1.01)}, tolerance=0.1
    )
    assert list(compare(loose, 3, machine))
    with pytest.raises(ValueError, match="gives other results"):
        list(compare(replace(loose, tolerance=1e-3), 3, machine))


def test_memory_and_tokens_per_second_are_those_of_one_run():
    machine = Machine()
    ours, naive = machine.contestant(2.0, numbers=2**18), machine.contestant(4.0, numbers=2**18)
    [row] = compare(Comparison("sum", "2 x 3", ours, {"naive": naive}, tokens=8), 5, machine)
    assert (row.mebibytes, row.other_mebibytes) == (1.0, 1.0)
    assert (row.tokens_per_second, row.other_tokens_per_second) == (4.0, 2.0)
    [row] = compared(machine, ours, naive=naive)
    assert row.tokens_per_second is None


def test_threads_are_as_many_as_before():
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_all_installed_comparisons_fit_into_eighty_columns():
    found = comparisons()
    assert len({(each.name, each.shapes) for each in found}) == len(found)
    for each in found:
        rows = [
            Speed(each.name, each.shapes, other, False, 9999.0, 9999.0, 99.99, 99.99, 99.99, 7, 1.0, 99.0, 1e5, 1e5)
            for other in each.others
        ]
        lines = list(_text(rows))
        assert max(map(len, lines)) <= 80, lines
        assert len({len(line) for line in lines if line.endswith(("memory", "99.00"))}) == 1, lines


def test_the_command_prints_a_ratio_for_every_way_and_says_where(monkeypatch):
    machine = Machine()
    toy = Comparison("toy", "1", machine.contestant(1.0), {"naive": machine.contestant(2.0)})
    monkeypatch.setattr("benchmark.studies.speed.fastest_kernels", lambda: {"linear": "library"})
    monkeypatch.setattr("benchmark.studies.speed.comparisons", lambda: [toy])
    timed = partial(compare, clock=machine)
    monkeypatch.setattr("benchmark.studies.speed.compare", timed)
    told = CliRunner().invoke(main, ["speed"])
    assert told.exit_code == 0, told.output
    assert "2.00 [2.00, 2.00]" in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 80
    torch.set_num_threads(2)
    found = json.loads(CliRunner().invoke(main, ["speed", "--json", "--rounds", "3"]).stdout)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert found["rows"][0]["speed_up"] == 2.0
    assert (found["origin"]["threads"], found["origin"]["kernels"]) == (1, {"linear": "library"})
