"""Nothing is computed twice, nothing is lost, and one failure does not stop the rest."""

import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from toy_cells import KIND, times_computed, total, toy
from toy_display import Diary, statuses

from benchmark.running.cells import KINDS, Cell
from benchmark.running.execution import Execution, StoreFailedError
from benchmark.running.execution import execute as execute_on
from benchmark.running.executors.local import LocalExecutor
from benchmark.running.leases import Leases
from benchmark.running.reports import Corrupted, Died, Ended, Raised
from benchmark.running.schedule import Schedule
from benchmark.running.store import Store


@pytest.fixture(autouse=True)
def _toy_kind(monkeypatch):
    monkeypatch.setitem(KINDS, "toy", KIND)


def execute(cells, store, workers, display, **options):
    return execute_on(cells, store, LocalExecutor(store, workers), display, **options)


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


def test_an_artifact_that_turns_out_corrupt_when_it_is_needed_is_computed_again(tmp_path):
    one = toy(tmp_path, "one", 1)
    slow, two = toy(tmp_path, "slow", seconds=0.2, at=-1, steps=3), toy(tmp_path, "two", 2, [one])
    store = Store(tmp_path / "store")
    execute([one], store, 1, Diary())

    class Spoiler(Diary):
        def started(self, worker, cell):
            super().started(worker, cell)
            if cell is slow:
                (store.root / "artifacts" / one.key / "total.json").write_text("7")

    diary = Spoiler()
    assert statuses(execute([one, slow, two], store, 1, diary)) == {
        "one": "computed",
        "slow": "computed",
        "two": "computed",
    }
    assert ("given back", "toy one is corrupt") in diary.events
    assert "total.json does not have the checksum that was written; set aside in" in diary.said[0]
    assert total(store, two) == 3
    assert times_computed(tmp_path, "one") == 2


def test_an_artifact_that_cannot_be_read_although_its_checksum_fits_is_computed_again_once(tmp_path):
    one = toy(tmp_path, "one", 1)
    two = toy(tmp_path, "two", 2, [one], behaviour="cannot read")
    store, diary = Store(tmp_path / "store"), Diary()
    outcomes = execute([one, two], store, 1, diary)
    assert statuses(outcomes) == {"one": "computed", "two": "failed"}
    assert outcomes[1].reason == "toy one is corrupt: total.json is not a complete JSON file"
    assert [times_computed(tmp_path, name) for name in ("one", "two")] == [2, 2]
    assert len(list((store.root / "corrupt").iterdir())) == 1
    again = execute([one, two], Store(tmp_path / "store"), 1, Diary())
    assert statuses(again) == {"one": "found", "two": "failed"}  # the same files would come out
    assert times_computed(tmp_path, "one") == 2


class Scripted:
    """An executor that reports what it is told to, and remembers what was assigned."""

    def __init__(self, store, size, *reports):
        self.store, self.size, self.script, self.assigned, self.busy, self.used = store, size, list(reports), [], {}, {}

    @property
    def has_room(self):
        return len(self.busy) < self.size

    def settle(self, recorded):
        return []

    def assign(self, order):
        number = next(number for number in range(self.size) if number not in self.busy)
        self.busy[number] = order
        self.assigned.append(order.params["name"])
        return number

    def reports(self, seconds):
        name, report = self.script.pop(0)
        number = next(number for number, order in self.busy.items() if order.params["name"] == name)
        order = self.busy.pop(number)
        if isinstance(report, Ended):
            (self.store.partial(order) / "total.json").write_text("1")
            self.store.commit(order, 1.0, 1)
        yield number, report

    def cancel(self, number): ...

    def stop(self): ...

    def close(self): ...


def test_an_artifact_that_two_cells_find_corrupt_is_computed_again_once(tmp_path):
    one = toy(tmp_path, "one", 1)
    two, three = toy(tmp_path, "two", needs=[one]), toy(tmp_path, "three", needs=[one])
    store, diary = Store(tmp_path / "store"), Diary()
    execute([one], store, 1, diary)
    (store.artifact(one.key) / "total.json").write_text("7")
    corrupt, ended = Corrupted(one.key, "total.json is wrong"), Ended(1.0)
    executor = Scripted(
        store, 3, ("two", corrupt), ("three", corrupt), ("one", ended), ("two", ended), ("three", ended)
    )
    store.state = lambda key: "done" if key == one.key else "missing"  # as it was when the run began
    outcomes = execute_on([one, two, three], store, executor, diary)
    assert sorted(executor.assigned) == ["one", "three", "three", "two", "two"]
    assert statuses(outcomes) == dict.fromkeys(("one", "two", "three"), "computed")
    assert len([text for text in diary.said if "set aside" in text]) == 1


def test_an_artifact_that_another_run_has_computed_again_is_not_set_aside(tmp_path):
    one = toy(tmp_path, "one", 1)
    two, store, diary = toy(tmp_path, "two", needs=[one]), Store(tmp_path / "store"), Diary()
    execute([one], store, 1, diary)
    executor = Scripted(store, 1, ("two", Corrupted(one.key, "it was wrong a moment ago")), ("two", Ended(1.0)))
    assert statuses(execute_on([one, two], store, executor, diary)) == {"one": "found", "two": "computed"}
    assert not (store.root / "corrupt").exists()


def test_an_artifact_that_has_gone_missing_is_computed_again(tmp_path):
    one = toy(tmp_path, "one", 1)
    two, store = toy(tmp_path, "two", 2, [one]), Store(tmp_path / "store")
    execute([one], store, 1, Diary())

    class Remover(Diary):
        def begin(self, missing, found):
            super().begin(missing, found)
            store.discard(one.key)

    assert statuses(execute([one, two], store, 1, Remover())) == {"one": "computed", "two": "computed"}
    assert total(store, two) == 3


def test_a_cell_that_is_given_back_after_a_need_has_failed_fails_too(tmp_path):
    one = toy(tmp_path, "one", 1)
    two, three = toy(tmp_path, "two", needs=[one]), toy(tmp_path, "three", needs=[one])
    store, diary = Store(tmp_path / "store"), Diary()
    execute([one], store, 1, diary)
    (store.artifact(one.key) / "total.json").write_text("7")
    executor = Scripted(
        store, 2, ("two", Corrupted(one.key, "is wrong")), ("one", Raised("Error: no luck")), ("three", Died("gone"))
    )
    store.state = lambda key: "done" if key == one.key else "missing"
    outcomes = execute_on([one, two, three], store, executor, diary)
    assert statuses(outcomes) == dict.fromkeys(("one", "two", "three"), "failed")
    assert outcomes[2].reason == "needs toy one, which failed: Error: no luck"


def test_a_cell_that_fails_because_another_run_took_it_over_is_left_to_that_run(tmp_path):
    one, store = toy(tmp_path, "one", 1), Store(tmp_path / "store")
    executor = Scripted(store, 1, ("one", Raised("FileNotFoundError: the folder is gone")))

    class Thief(Diary):
        def started(self, worker, cell):
            super().started(worker, cell)
            (store.root / "leases" / cell.key).unlink()
            other = cell.order("another run")
            (store.partial(other) / "total.json").write_text("1")
            store.commit(other, 1.0, 1)

    assert statuses(execute_on([one], store, executor, Thief())) == {"one": "found"}


def test_a_cell_that_hangs_is_stopped_after_its_limit_and_the_rest_goes_on(tmp_path):
    hanging, good = toy(tmp_path, "hanging", behaviour="hang"), toy(tmp_path, "good")
    after = toy(tmp_path, "after", needs=[hanging])
    limits = {hanging.key: 3.0}
    outcomes = execute(
        [hanging, after, good],
        Store(tmp_path / "store"),
        2,
        Diary(),
        limit=lambda cell: limits.get(cell.key, 60.0),
    )
    assert statuses(outcomes) == {"hanging": "failed", "after": "failed", "good": "computed"}
    assert outcomes[0].reason == "TimedOut: stopped after 3.0 s, its limit"


@pytest.mark.parametrize("behaviour", ["full", "full in Rust"])
def test_a_full_disk_ends_the_run_in_one_line_and_keeps_what_was_done(tmp_path, behaviour):
    good, full = toy(tmp_path, "good"), toy(tmp_path, "full", behaviour=behaviour, steps=3, at=1)
    store = Store(tmp_path / "store")
    with pytest.raises(StoreFailedError, match=r"^cannot write to store '.*': No space left on device; .* resumes$"):
        execute([good, full], store, 1, Diary())
    assert [store.state(cell.key) for cell in (good, full)] == ["done", "begun"]
    assert list((store.root / "leases").glob("[!.]*")) == []


def test_a_run_that_is_asked_to_stop_lets_its_cells_save_their_state(tmp_path):
    slow, waiting = toy(tmp_path, "slow", steps=40, at=-1, seconds=0.1), toy(tmp_path, "waiting")
    store, diary = Store(tmp_path / "store"), Diary()

    def begun():
        return any(event[0] == "advanced" for event in diary.events)

    with pytest.raises(KeyboardInterrupt):
        execute([slow, waiting], store, 1, diary, stop_requested=begun)
    assert diary.said == ["stopping once the running cells have saved their state; a second Ctrl-C stops at once"]
    assert ("given back", "stopped") in diary.events
    [left] = (store.root / "partial").iterdir()
    assert int((left / "steps").read_text()) >= 1
    assert statuses(execute([slow, waiting], store, 1, Diary())) == {"slow": "computed", "waiting": "computed"}


def test_four_runs_on_one_store_compute_every_cell_once(tmp_path):
    base = toy(tmp_path, "base", steps=3, at=-1, seconds=0.1)
    cells = [base, *(toy(tmp_path, f"cell {index}", index, [base]) for index in range(12))]
    ended, diaries = {}, [Diary() for _ in range(4)]

    def run(number):
        ended[number] = execute(cells, Store(tmp_path / "store"), 1, diaries[number])

    threads = [threading.Thread(target=run, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [times_computed(tmp_path, cell.params["name"]) for cell in cells] == [1] * 13
    computed = [sum(outcome.status == "computed" for outcome in ended[number]) for number in range(4)]
    assert sum(computed) == 13
    assert all(outcome.status != "failed" for number in range(4) for outcome in ended[number])
    found = [sum(event[0] == "found" for event in diary.events) for diary in diaries]
    assert [a + b for a, b in zip(computed, found, strict=True)] == [13] * 4


def test_two_thousand_cells_that_do_nothing_are_scheduled_at_once():
    class Nothing:
        """An executor whose cells end as soon as they begin."""

        def __init__(self):
            self.has_room, self.used, self.running = True, {}, []

        def settle(self, recorded):
            return []

        def assign(self, order):
            self.running.append(order)
            self.has_room = False
            return 0

        def reports(self, seconds):
            self.has_room = True
            self.running.clear()
            yield 0, Ended(0.0)

        def cancel(self, number): ...

        def stop(self): ...

        def close(self): ...

    base = toy("", "base")
    models = [toy("", f"model {index}", needs=[base]) for index in range(100)]
    cells = [base, *models, *(toy("", f"cell {index}", needs=[models[index % 100]]) for index in range(1900))]

    class Kept(Leases):
        calls = 0

        def acquire(self, name):
            Kept.calls += 1
            return True

        def release(self, name): ...

    schedule = Schedule(cells, set())
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        Execution(
            schedule, store, Kept(Path(folder)), Nothing(), Diary(), lambda cell: 60.0, lambda: False
        ).compute_all()
    assert len(schedule.outcomes) == 2001
    assert Kept.calls <= 2 * 2001


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


def test_nothing_is_trained_if_no_task_can_be_done(tmp_path, monkeypatch):
    monkeypatch.setitem(KINDS, "toy", replace(KINDS["toy"], check="task of the run"))
    schedule, _, checks, model, circuits = checked_schedule(tmp_path, ("corpus",))
    assert [take(schedule), take(schedule)] == checks
    assert schedule.fail(checks[0], "ValueError: two tokens") == [circuits[0]]
    assert schedule.fail(checks[1], "ValueError: too long") == [circuits[1], model]
    assert schedule.outcomes[model.key].reason == (
        "nothing is trained, as every task of the run failed its check, the first: ValueError: two tokens"
    )
    assert (schedule.waiting, schedule.stopped) == ([], schedule.outcomes[model.key].reason)


def test_nothing_is_trained_either_if_one_file_of_concepts_cannot_be_used(tmp_path):
    corpus, model = toy(tmp_path, "corpus"), toy(tmp_path, "model")
    task = Cell("prompts", {"task": "for_while", "seed": 0}, {"corpus": corpus})
    files = [Cell("labelled", {"labelled": name}, {"corpus": corpus}) for name in ("one", "two")]
    schedule = Schedule([model, task, *files], {corpus.key}, [task, *files])
    assert [take(schedule), take(schedule), take(schedule)] == [task, *files]
    schedule.finish(task)
    schedule.finish(files[0])
    assert schedule.fail(files[1], "ValueError: too few windows") == [model]
    assert schedule.outcomes[model.key].reason == (
        "nothing is trained, as labelled two failed its check: ValueError: too few windows"
    )


def test_a_cell_that_needs_two_failed_ones_fails_once(tmp_path):
    one, two = toy(tmp_path, "one"), toy(tmp_path, "two")
    both = toy(tmp_path, "both", needs=[one, two])
    schedule = Schedule([one, two, both], set())
    assert take(schedule) is one
    assert schedule.fail(one, "Error: x") == [both]
    assert take(schedule) is two
    assert schedule.fail(two, "Error: y") == []
    assert schedule.outcomes[both.key].reason.endswith("Error: x")
