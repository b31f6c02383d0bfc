"""A choice of kernels is measured once per machine, kept in the store, recorded, and the recorded one is used."""

import json
import platform

import pytest
from toy_cells import end_at_once, kernels_seen, toy

from benchmark.running import kernels
from benchmark.running.cells import KINDS, CellKind
from benchmark.running.execution import execute as execute_on
from benchmark.running.executors import local
from benchmark.running.executors.local import LocalExecutor
from benchmark.running.kernels import KERNELS, SECONDS, KernelChoice, Machine, fastest, settle
from benchmark.running.schedule import kernels_of
from benchmark.running.store import Store

HERE = Machine(processor="P", instructions="AVX2", platform="Linux x86_64", torch="2.13.0")


class Choice:
    """A choice between two ways, which counts how often it is measured."""

    def __init__(self, answer="fast", options=("slow", "fast")):
        self.answer, self.measured, self.used = answer, 0, []
        self.record = KernelChoice("sum", options, self.measure, self.used.append)

    def measure(self):
        self.measured += 1
        return self.answer


@pytest.fixture
def choice(monkeypatch):
    made = Choice()
    monkeypatch.setattr(kernels, "installed", lambda: [made.record])
    monkeypatch.setattr(Machine, "here", lambda: HERE)
    return made


# Timing


class Clock:
    """A clock that only the ways move: each takes the given times in turn, and then the last one for ever."""

    now = 0.0

    def __call__(self):
        return self.now

    def way(self, *seconds):
        left = list(seconds)

        def run():
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


@pytest.mark.parametrize(("other", "wanted"), [(0.5, "other"), (0.94, "other"), (0.96, "first"), (2.0, "first")])
def test_the_first_way_is_taken_unless_another_saves_more_than_a_twentieth(other, wanted):
    clock = Clock()
    assert fastest({"first": clock.way(0.001), "other": clock.way(0.001 * other)}, clock) == wanted


def test_what_disturbs_some_timings_changes_nothing():
    clock = Clock()
    disturbed = clock.way(0.001, 0.009, 0.0005, 0.009)
    assert fastest({"first": clock.way(0.001), "other": disturbed}, clock) == "other"


@pytest.mark.parametrize("seconds", [0.0001, 0.005])
def test_timing_ends_after_the_time_set_for_it(seconds):
    clock = Clock()
    fastest({"first": clock.way(seconds), "other": clock.way(seconds)}, clock)
    warm_up, last_round = 2 * seconds, 2 * seconds
    assert clock.now <= warm_up + SECONDS + last_round + 1e-9


def test_one_way_is_not_timed():
    clock = Clock()
    assert fastest({"first": clock.way(1.0)}, clock) == "first"
    assert clock.now == 0.0


# What is kept in a store


def test_the_answer_is_measured_once_and_used_each_time(choice, tmp_path):
    assert [settle({}, tmp_path).chosen for _ in range(3)] == [{"sum": "fast"}] * 3
    assert choice.measured == 1
    assert choice.used == ["fast"] * 3


def test_the_answer_stays_when_a_new_measurement_would_differ(choice, tmp_path):
    settle({}, tmp_path)
    choice.answer = "slow"
    assert settle({}, tmp_path).chosen == {"sum": "fast"}


@pytest.mark.parametrize("field", ["processor", "instructions", "platform", "torch"])
def test_another_machine_measures_and_both_answers_are_kept(choice, tmp_path, monkeypatch, field):
    settle({}, tmp_path)
    choice.answer = "slow"
    monkeypatch.setattr(Machine, "here", lambda: HERE.model_copy(update={field: "other"}))
    assert settle({}, tmp_path).chosen == {"sum": "slow"}
    monkeypatch.setattr(Machine, "here", lambda: HERE)
    assert settle({}, tmp_path).chosen == {"sum": "fast"}
    assert choice.measured == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '{"sum": "fast"}',
        "\xff",
        json.dumps([{"machine": HERE.model_dump()}]),
        json.dumps([{"machine": {**HERE.model_dump(), "host": "h"}, "chosen": {"sum": "fast"}}]),
        json.dumps([{"machine": HERE.model_dump(), "chosen": {"sum": 1}}]),
        json.dumps([{"machine": HERE.model_dump(), "chosen": {"sum": "unknown"}}]),
        json.dumps([{"machine": HERE.model_dump(), "chosen": {"other": "fast"}}]),
    ],
)
def test_a_file_that_gives_no_answer_is_measured_again_and_replaced(choice, tmp_path, text):
    (tmp_path / KERNELS).write_bytes(text.encode("latin-1"))
    assert [settle({}, tmp_path).chosen for _ in range(2)] == [{"sum": "fast"}] * 2
    assert choice.measured == 1
    assert not [file for file in tmp_path.iterdir() if file.name not in (KERNELS, f".{KERNELS}.lock")]


def test_the_file_does_not_name_the_machine(tmp_path, monkeypatch):
    here = Machine.here()
    monkeypatch.setattr(kernels, "installed", lambda: [Choice().record])
    settle({}, tmp_path)
    [kept] = json.loads((tmp_path / KERNELS).read_text())
    assert kept == {"machine": here.model_dump(), "chosen": {"sum": "fast"}}
    assert all(here.model_dump().values())
    assert platform.node() not in here.model_dump().values()


# What is recorded


def test_a_recorded_choice_is_used_without_measuring_and_not_kept(choice, tmp_path):
    assert settle({"sum": "slow"}, tmp_path).chosen == {"sum": "slow"}
    assert choice.used == ["slow"]
    assert choice.measured == 0
    assert not (tmp_path / KERNELS).exists()


def test_a_recorded_choice_goes_before_the_stores(choice, tmp_path):
    settle({}, tmp_path)
    assert settle({"sum": "slow"}, tmp_path).chosen == {"sum": "slow"}
    assert settle({}, tmp_path).chosen == {"sum": "fast"}


def test_a_recorded_choice_that_this_build_lacks_is_said_and_made_anew(choice, tmp_path):
    settled = settle({"sum": "faster", "unknown": "x"}, tmp_path)
    assert settled.chosen == {"sum": "fast"}
    assert choice.measured == 1
    [remark] = settled.remarks
    assert remark.startswith("the tables were computed with sum=faster, which this build of torch does not have")


def test_without_choices_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "installed", lambda: [])
    assert settle({"sum": "slow"}, tmp_path).chosen == {}
    assert not list(tmp_path.iterdir())


# Workers


class Diary:
    """A display that remembers what it says."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)

    def __getattr__(self, name):
        return lambda *arguments: None


def execute(cells, store, workers, display, **options):
    return execute_on(cells, store, LocalExecutor(store, workers), display, **options)


@pytest.fixture
def toys(monkeypatch):
    monkeypatch.setitem(KINDS, "toy", CellKind(1, "toy_cells:compute_with_kernels", ("name",)))


def test_every_worker_uses_what_the_first_one_settled(toys, tmp_path):
    [linear] = kernels.installed()
    store, diary = Store(tmp_path / "store"), Diary()
    cells = [toy(tmp_path, name, other=other) for name, other in (("one", "two"), ("two", "one"))]
    outcomes = execute(cells, store, 2, diary, kernels={"linear": linear.options[-1]})
    assert [outcome.status for outcome in outcomes] == ["computed", "computed"]
    assert kernels_of(outcomes) == {"linear": linear.options[-1]}
    assert [kernels_seen(store.artifact(cell.key)) for cell in cells] == [linear.options[-1]] * 2
    assert diary.said == []
    assert not (store.root / KERNELS).exists()
    assert kernels_of(execute(cells, store, 2, diary, kernels={})) == {}  # all found: nothing is measured
    assert not (store.root / KERNELS).exists()


def test_a_choice_that_cannot_be_made_is_said_and_does_not_stop_a_run(toys, tmp_path):
    store, diary = Store(tmp_path / "store"), Diary()
    store.root.mkdir()
    (store.root / KERNELS).mkdir()  # nothing can be kept here
    outcomes = execute([toy(tmp_path, "one", other="one")], store, 1, diary, kernels={})
    assert outcomes[0].status == "computed"
    assert kernels_of(outcomes) == {}
    assert len(diary.said) == 1
    assert diary.said[0].startswith("no kernel was chosen: ")


def test_a_worker_that_dies_over_the_choice_is_named_and_nothing_is_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "work", end_at_once)
    pool = LocalExecutor(Store(tmp_path), 1)
    try:
        said = pool.settle({"linear": "library"})
    finally:
        pool.close()
    assert said == ["no kernel was chosen: WorkerDied: the process ended with exit code 3"]
    assert pool.used == {}
