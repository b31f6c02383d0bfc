"""Exponents are fitted to what is measured at a few sizes, and stand beside those of counting."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.cli.growth import _text
from benchmark.studies.growth import Workload, exponent, measure, planned, workloads

SIZES = (4, 8, 16, 32)


class Machine:
    """A clock that only moves when something is run."""

    now = 0.0

    def __call__(self):
        return self.now

    def workload(self, seconds, numbers, **counted):
        """Takes that time and makes that many numbers, as functions of the size."""

        def prepare(size):
            def run():
                self.now += seconds(size)
                return torch.ones(numbers(size))

            return run

        return Workload("toy", "width", SIZES, prepare, **{"operations": seconds, "numbers": numbers, **counted})


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_that_power_whatever_the_factor(power):
    assert exponent(SIZES, [7 * size**power for size in SIZES]) == pytest.approx(power, abs=1e-12)


def test_the_exponent_of_a_sum_lies_between_those_of_its_parts():
    assert exponent((1, 10), (10, 10 + 99)) == pytest.approx(1.0374, abs=1e-4)
    assert 1 < exponent(SIZES, [10 * size + size**2 for size in SIZES]) < 2


def test_time_and_memory_are_fitted_apart_and_excess_is_over_what_is_counted():
    machine = Machine()
    toy = machine.workload(lambda size: size**2, lambda size: 2**10 * size, operations=lambda size: 5.0 * size)
    time, memory = measure(toy, 3, machine)
    assert (time.quantity, time.unit, memory.quantity, memory.unit) == ("time", "ms", "memory", "MiB")
    assert time.values == pytest.approx([1e3 * size**2 for size in SIZES])
    assert (time.exponent, time.counted, time.excess) == pytest.approx((2, 1, 1))
    assert memory.values == pytest.approx([4 * size / 1024 for size in SIZES])
    assert (memory.exponent, memory.counted, memory.excess) == pytest.approx((1, 1, 0), abs=1e-9)


def test_a_slow_round_does_not_change_the_time():
    machine = Machine()
    slow = iter([1.0] * 8 + [9.0] * 4 + [1.0] * 100)
    time, _ = measure(machine.workload(lambda size: size * next(slow), lambda size: size), 2, machine)
    assert time.values == pytest.approx([1e3 * size for size in SIZES])


def test_a_run_is_planned_to_take_at_most_in_proportion_to_its_tasks():
    grown = planned("smoke", (1, 2, 4))
    assert grown.values[0] < grown.values[1] < grown.values[2]
    assert grown.exponent <= grown.counted == pytest.approx(1.0)


def test_every_installed_workload_runs_and_costs_about_what_is_counted():
    for workload in workloads():
        smallest = replace(workload, sizes=(workload.sizes[0],))
        prepared = smallest.prepare(smallest.sizes[0])
        prepared()
        assert len(workload.sizes) >= 4
        assert workload.sizes == tuple(sorted(workload.sizes))
        for count in (workload.operations, workload.numbers):
            counts = [count(size) for size in workload.sizes]
            assert counts == sorted(counts)
            assert counts[0] > 0


def test_the_command_says_what_grows_faster_than_counted(monkeypatch):
    machine = Machine()
    toy = machine.workload(lambda size: size**2, lambda size: size, operations=lambda size: 5.0 * size)
    monkeypatch.setattr("benchmark.studies.speed.fastest_kernels", dict)
    monkeypatch.setattr("benchmark.studies.growth.planned", partial(planned, "smoke", (1, 2)))
    monkeypatch.setattr("benchmark.studies.growth.workloads", lambda: [toy])
    monkeypatch.setattr("benchmark.studies.growth.measure", partial(measure, clock=machine))
    torch.set_num_threads(2)
    told = CliRunner().invoke(main, ["growth", "--rounds", "1"])
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-2:] == ["exponents above the counted ones by more than 0.15: 1", "  time of toy against width"]
    found = json.loads(CliRunner().invoke(main, ["growth", "--json", "--rounds", "1"]).stdout)
    assert [row["quantity"] for row in found["rows"]] == ["time", "memory", "planned"]
    assert found["rows"][0]["excess"] == pytest.approx(1.0)


def test_the_widest_rows_fit_into_eighty_columns():
    machine = Machine()
    toy = machine.workload(lambda size: size**2, lambda size: 2**10 * size)
    time, _ = measure(toy, 1, machine)
    wide = [replace(time, name=each.name, axis=each.axis, sizes=each.sizes, values=(99_999.0,) * len(each.sizes))
            for each in workloads()]  # fmt: skip
    lines = list(_text(wide))
    assert max(map(len, lines)) <= 80
    assert len({len(line) for line in lines if line.startswith("  time")} | {len(lines[0])}) == 1
