"""Hot paths are timed in turns against ways that give the same results."""

import json
from functools import partial

import pytest
import torch
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.cli.speed import _text
from benchmark.studies.speed import LEAST_SECONDS, Comparison, Speed, compare, comparisons, with_gradients


class Machine:
    """A clock that only moves when something is run."""

    now = 0.0

    def __call__(self):
        return self.now

    def contestant(self, *seconds, result=1.0):
        """Takes each of the given times in turn, and then the last one for ever."""
        left = list(seconds)

        def run():
            self.now += left.pop(0) if len(left) > 1 else left[0]
            return [torch.tensor(result)]

        return run


def compared(machine, ours, **others):
    return list(compare(Comparison("sum", "2 x 3", ours, others), rounds=5, clock=machine))


def test_every_other_way_gets_a_row_with_its_ratio():
    machine = Machine()
    ours, naive, peer = (machine.contestant(seconds) for seconds in (1.0, 3.0, 0.5))
    rows = {row.against: row for row in compared(machine, ours, naive=naive, peer=peer)}
    assert rows["naive"].times_faster == pytest.approx(3.0)
    assert rows["peer"].times_faster == pytest.approx(0.5)
    assert (rows["naive"].milliseconds, rows["naive"].other_milliseconds) == pytest.approx((1e3, 3e3))
    assert (rows["naive"].low, rows["naive"].high, rows["naive"].rounds) == pytest.approx((3.0, 3.0, 5))


def test_one_slow_round_moves_the_limits_and_not_the_median():
    machine = Machine()
    before = [1.0] * 3  # the check of the results, and two runs that find how often to repeat
    ours = machine.contestant(*before, 1.0, 10.0, 1.0)
    [row] = compared(machine, ours, naive=machine.contestant(2.0))
    assert (row.low, row.times_faster, row.high) == pytest.approx((0.2, 2.0, 2.0))


def test_short_runs_are_repeated_until_they_can_be_timed():
    machine, runs = Machine(), []
    quick = machine.contestant(LEAST_SECONDS / 10)

    def counted():
        runs.append(1)
        return quick()

    [row] = compared(machine, counted, naive=machine.contestant(1.0))
    assert len(runs) == 3 + 5 * 10
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


@pytest.mark.parametrize("comparison", comparisons(), ids=lambda comparison: f"{comparison.name} {comparison.shapes}")
def test_all_ways_of_the_installed_packages_give_the_same(comparison):
    ours = list(comparison.ours())
    assert comparison.others
    for run in comparison.others.values():
        torch.testing.assert_close(list(run()), ours, rtol=1e-4, atol=1e-4)


def test_all_comparisons_fit_into_eighty_columns():
    for each in comparisons():
        lines = list(_text(Speed(each.name, each.shapes, other, 1.0, 1.0, 1.0, 1.0, 1.0, 7) for other in each.others))
        assert max(map(len, lines)) <= 80
        assert len({len(line) for line in lines if "against" in line or "ms" in line.split()}) == 1


def test_the_command_prints_a_ratio_for_every_way_and_says_where(monkeypatch):
    machine = Machine()
    toy = Comparison("toy", "1", machine.contestant(1.0), {"naive": machine.contestant(2.0)})
    monkeypatch.setattr("benchmark.studies.speed.comparisons", lambda: [toy])
    timed = partial(compare, clock=machine)
    monkeypatch.setattr("benchmark.studies.speed.compare", timed)
    told = CliRunner().invoke(main, ["speed"])
    assert told.exit_code == 0, told.output
    assert "2.00 [2.00, 2.00]" in told.stdout
    assert max(map(len, told.stdout.splitlines()[:-1])) <= 80
    found = json.loads(CliRunner().invoke(main, ["speed", "--json", "--rounds", "3"]).stdout)
    assert found["rows"][0]["times_faster"] == 2.0
    assert found["origin"]["threads"] == 1
