"""Nothing is computed twice, nothing is lost, and one failure does not stop the rest."""

import json
from dataclasses import dataclass, field

import pytest
from toy_cells import KIND, times_computed, toy

from benchmark.running.cells import KINDS
from benchmark.running.execution import execute as execute_on
from benchmark.running.executors.local import LocalExecutor
from benchmark.running.schedule import Schedule
from benchmark.running.store import Store


@pytest.fixture(autouse=True)
def _toy_kind(monkeypatch):
    monkeypatch.setitem(KINDS, "toy", KIND)


def execute(cells, store, workers, display, **options):
    return execute_on(cells, store, LocalExecutor(store, workers), display, **options)


@dataclass
class Diary:
    """A display that remembers."""

    said: list[str] = field(default_factory=list)
    events: list[tuple] = field(default_factory=list)

    def begin(self, missing, found):
        self.events.append(("begin", len(missing), found))

    def say(self, text):
        self.said.append(text)

    def started(self, worker, cell):
        self.events.append(("started", cell.params["name"]))

    def advanced(self, worker, done, total, note):
        self.events.append(("advanced", done, total, note))

    def finished(self, worker, seconds):
        self.events.append(("finished", worker))

    def failed(self, worker, reason, lost):
        self.events.append(("failed", reason, [cell.params["name"] for cell in lost]))

    def given_back(self, worker, reason):
        self.events.append(("given back", reason))

    def found(self, cell):
        self.events.append(("found", cell.params["name"]))


def total(store, cell):
    return json.loads((store.artifact(cell.key) / "total.json").read_text())


def statuses(outcomes):
    return {outcome.cell.params["name"]: outcome.status for outcome in outcomes}


def test_needs_are_computed_first_and_nothing_twice(tmp_path):
    one = toy(tmp_path, "one", 1)
    two = toy(tmp_path, "two", 2, [one])
    three = toy(tmp_path, "three", 3, [one, two])
    store, diary = Store(tmp_path / "store"), Diary()
    outcomes = execute([one, two, three], store, 2, diary)
    assert statuses(outcomes) == dict.fromkeys(("one", "two", "three"), "computed")
    assert total(store, three) == 3 + 1 + (2 + 1)
    again = execute([one, two, three], Store(tmp_path / "store"), 2, diary)
    assert statuses(again) == dict.fromkeys(("one", "two", "three"), "found")
    assert [times_computed(tmp_path, name) for name in ("one", "two", "three")] == [1, 1, 1]
    assert diary.events[-1] == ("begin", 0, 3)


def test_one_and_two_workers_leave_the_same_bytes(tmp_path):
    cells = [toy(tmp_path, f"base {index}", index) for index in range(2)]
    cells += [toy(tmp_path, f"sum {index}", index, cells[:2]) for index in range(3)]
    contents = []
    for workers in (1, 2):
        store = Store(tmp_path / f"store {workers}")
        execute(cells, store, workers, Diary())
        contents.append([(store.artifact(cell.key) / "total.json").read_bytes() for cell in cells])
    assert contents[0] == contents[1]


def test_a_cell_that_raises_fails_with_those_that_need_it_and_the_rest_go_on(tmp_path):
    bad = toy(tmp_path, "bad", behaviour="raise")
    after = toy(tmp_path, "after", needs=[bad])
    far = toy(tmp_path, "far", needs=[after])
    good = toy(tmp_path, "good")
    store, diary = Store(tmp_path / "store"), Diary()
    outcomes = execute([bad, after, far, good], store, 1, diary)
    reasons = {outcome.cell.params["name"]: outcome.reason for outcome in outcomes}
    assert statuses(outcomes) == {"bad": "failed", "after": "failed", "far": "failed", "good": "computed"}
    assert reasons["bad"] == "ValueError: this is wrong"
    assert reasons["after"] == "needs toy bad, which failed: ValueError: this is wrong"
    assert reasons["far"] == "needs toy bad, which failed: ValueError: this is wrong"
    assert ("failed", "ValueError: this is wrong", ["after", "far"]) in diary.events
    log = store.log(bad.key).read_text()
    assert "about to raise" in log
    assert "Traceback" in log
    assert list((store.root / "partial").iterdir()) == []


def test_a_failed_cell_is_tried_again_by_the_next_run(tmp_path):
    bad = toy(tmp_path, "bad", behaviour="raise")
    for _ in range(2):
        execute([bad], Store(tmp_path / "store"), 1, Diary())
    assert times_computed(tmp_path, "bad") == 2


def test_a_worker_that_is_killed_is_replaced_and_its_cell_fails_if_that_happens_twice(tmp_path):
    dying, good = toy(tmp_path, "dying", behaviour="die"), toy(tmp_path, "good")
    store, diary = Store(tmp_path / "store"), Diary()
    outcomes = execute([dying, good], store, 1, diary)
    assert statuses(outcomes) == {"dying": "failed", "good": "computed"}
    assert outcomes[0].reason == "WorkerDied: the process was killed by SIGKILL; out of memory?"
    assert times_computed(tmp_path, "dying") == 2
    assert [event for event in diary.events if event[0] == "given back"] == [("given back", outcomes[0].reason)]
    assert list((store.root / "leases").glob("[!.]*")) == []


def test_a_cell_goes_on_from_where_it_was_killed(tmp_path):
    cell = toy(tmp_path, "slow", steps=4, at=2, behaviour="die once")
    after, diary = toy(tmp_path, "after", needs=[cell]), Diary()
    outcomes = execute([cell, after], Store(tmp_path / "store"), 1, diary)
    assert statuses(outcomes) == {"slow": "computed", "after": "computed"}
    given_back = diary.events.index(("given back", "WorkerDied: the process was killed by SIGKILL; out of memory?"))
    assert next(event[1:] for event in diary.events[given_back:] if event[0] == "advanced") == (3, 4, "at 3")


def test_a_corrupt_artifact_is_said_and_computed_again_alone(tmp_path):
    one = toy(tmp_path, "one", 1)
    two = toy(tmp_path, "two", 2, [one])
    store, diary = Store(tmp_path / "store"), Diary()
    execute([one, two], store, 1, diary)
    (store.artifact(one.key) / "total.json").write_text("7")
    outcomes = execute([one, two], Store(tmp_path / "store"), 1, diary)
    assert statuses(outcomes) == {"one": "computed", "two": "found"}
    [aside] = (store.root / "corrupt").iterdir()
    assert diary.said == [
        "corrupt artifact of toy one: total.json does not have the checksum that was written; set aside in "
        f"{aside}, computing it again"
    ]
    assert (aside / "total.json").read_text() == "7"
    assert total(store, one) == 1


def test_progress_reaches_the_display(tmp_path):
    diary = Diary()
    execute([toy(tmp_path, "slow", steps=3, at=-1, seconds=0.25)], Store(tmp_path / "store"), 1, diary)
    told = [event[1:] for event in diary.events if event[0] == "advanced"]
    assert told[0] == (1, 3, "at 1")
    assert len(told) >= 2


def take(schedule):
    cell = next(schedule.ready(), None)
    return None if cell is None else schedule.take(cell)


def test_the_most_urgent_cell_whose_needs_are_there_is_taken(tmp_path):
    one = toy(tmp_path, "one")
    two, three = toy(tmp_path, "two", needs=[one]), toy(tmp_path, "three")
    schedule = Schedule([one, two, three], set())
    assert [take(schedule), take(schedule), take(schedule)] == [one, three, None]
    schedule.finish(one)
    assert take(schedule) is two


def checked_schedule(tmp_path, done=()):
    """A corpus, two tasks, a model, and the circuit of each task in it."""
    corpus = toy(tmp_path, "corpus")
    checks = [toy(tmp_path, f"task {number}", needs=[corpus]) for number in range(2)]
    model = toy(tmp_path, "model", needs=[corpus])
    circuits = [toy(tmp_path, f"circuit {number}", needs=[model, check]) for number, check in enumerate(checks)]
    waiting = [cell for cell in (corpus, model, *checks, *circuits) if cell.params["name"] not in done]
    schedule = Schedule(waiting, {cell.key for cell in (corpus, *checks) if cell.params["name"] in done}, checks)
    return schedule, corpus, checks, model, circuits


def test_nothing_is_trained_before_every_task_is_checked(tmp_path):
    schedule, corpus, checks, model, _ = checked_schedule(tmp_path)
    assert [take(schedule), take(schedule)] == [corpus, None]
    schedule.finish(corpus)
    assert [take(schedule), take(schedule), take(schedule)] == [*checks, None]
    schedule.finish(checks[0])
    assert take(schedule) is None
    schedule.finish(checks[1])
    assert take(schedule) is model


@pytest.mark.parametrize("done", [(), ("corpus", "task 1")])
def test_a_task_that_cannot_be_done_loses_its_circuits_alone(tmp_path, done):
    schedule, _, checks, model, circuits = checked_schedule(tmp_path, done)
    if not done:
        schedule.finish(take(schedule))
    assert take(schedule) is checks[0]
    assert schedule.fail(checks[0], "ValueError: two tokens") == [circuits[0]]
    if not done:
        schedule.finish(take(schedule))
    assert take(schedule) is model
    assert "two tokens" in schedule.outcomes[circuits[0].key].reason


def test_nothing_is_trained_if_no_task_can_be_done(tmp_path):
    schedule, _, checks, model, circuits = checked_schedule(tmp_path, ("corpus",))
    assert [take(schedule), take(schedule)] == checks
    assert schedule.fail(checks[0], "ValueError: two tokens") == [circuits[0]]
    assert schedule.fail(checks[1], "ValueError: too long") == [circuits[1], model]
    assert schedule.outcomes[model.key].reason == (
        "nothing is trained, as every task of the run failed its check, the first: ValueError: two tokens"
    )
    assert (schedule.waiting, schedule.stopped) == ([], schedule.outcomes[model.key].reason)


def test_a_cell_that_needs_two_failed_ones_fails_once(tmp_path):
    one, two = toy(tmp_path, "one"), toy(tmp_path, "two")
    both = toy(tmp_path, "both", needs=[one, two])
    schedule = Schedule([one, two, both], set())
    assert take(schedule) is one
    assert schedule.fail(one, "Error: x") == [both]
    assert take(schedule) is two
    assert schedule.fail(two, "Error: y") == []
    assert schedule.outcomes[both.key].reason.endswith("Error: x")
