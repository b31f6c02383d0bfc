"""Ray: machines that do not see the store, cells that wait for room, and a Ray of our own."""

import signal
import tempfile
from pathlib import Path

import pytest
from cluster_runs import leftovers, reasons
from toy_cells import KIND, times_computed, total, toy
from toy_display import Diary, statuses

from benchmark.running.cells import KINDS
from benchmark.running.execution import execute
from benchmark.running.executors import ExecutorFailedError, executor_named
from benchmark.running.reports import Corrupted, Queued
from benchmark.running.store import Store


@pytest.fixture(autouse=True)
def _toy_kind(monkeypatch, running_ray):
    monkeypatch.setitem(KINDS, "toy", KIND)


def on_other_machines(store, workers=2):
    """An executor whose tasks do not find the mark in the store, as on machines that do not see its folder."""
    executor = executor_named("ray", store, workers, "cpu")
    mark = executor._started().shared.mark
    (store.root / "ray" / mark).unlink()
    return executor


def temporary_folders():
    return set(Path(tempfile.gettempdir()).glob("bench-*"))


def test_artifacts_travel_to_machines_that_do_not_see_the_store_and_back(tmp_path):
    one = toy(tmp_path, "one", 1)
    two = toy(tmp_path, "two", 2, [one])
    bad = toy(tmp_path, "bad", behaviour="raise")
    store, before = Store(tmp_path / "store"), temporary_folders()
    outcomes = execute([one, two, bad], store, on_other_machines(store), Diary())
    assert statuses(outcomes) == {"one": "computed", "two": "computed", "bad": "failed"}
    assert total(store, two) == 3
    assert reasons(outcomes)["bad"] == "ValueError: this is wrong"
    assert "about to raise" in store.log(bad.key).read_text()
    assert leftovers(store) == []
    assert temporary_folders() <= before


def test_what_a_stopped_cell_has_done_travels_back_and_out_again(tmp_path):
    slow, store = toy(tmp_path, "slow", steps=40, at=-1, seconds=0.1), Store(tmp_path / "store")
    diary = Diary()

    def advanced():
        return any(event[0] == "advanced" and event[1] > 2 for event in diary.events)

    with pytest.raises(KeyboardInterrupt):
        execute([slow], store, on_other_machines(store), diary, stop_requested=advanced)
    [partial] = (store.root / "partial").iterdir()
    done = int((partial / "steps").read_text())
    assert 0 < done < 40
    again = Diary()
    outcomes = execute([slow], store, on_other_machines(store), again)
    assert statuses(outcomes) == {"slow": "computed"}
    assert min(event[1] for event in again.events if event[0] == "advanced" and event[1] > 0) > done
    assert leftovers(store) == []


def last_report(executor):
    while True:
        for _, report in executor.reports(1.0):
            if not isinstance(report, Queued) and type(report).__name__ != "Advanced":
                return report


def test_a_corrupt_artifact_is_not_sent(tmp_path):
    one, store = toy(tmp_path, "one"), Store(tmp_path / "store")
    execute([one], store, on_other_machines(store), Diary())
    (store.artifact(one.key) / "total.json").write_text("7")
    executor = on_other_machines(store)
    try:
        executor.assign(toy(tmp_path, "two", needs=[one]).order())
        assert last_report(executor) == Corrupted(one.key, "total.json does not have the checksum that was written")
    finally:
        executor.close()


def test_time_in_the_queue_does_not_count_towards_the_limit(tmp_path):
    long = [toy(tmp_path, f"long {index}", at=-1, seconds=6.0) for index in range(2)]
    short, store, diary = toy(tmp_path, "short"), Store(tmp_path / "store"), Diary()
    executor = executor_named("ray", store, 3, "cpu")  # on two cores
    outcomes = execute([*long, short], store, executor, diary, limit=lambda cell: 3.0 if cell is short else 60.0)
    assert statuses(outcomes)["short"] == "computed"
    assert ("advanced", 0, 1, "queued") in diary.events


def test_cells_that_have_not_begun_are_withdrawn_when_a_run_stops(tmp_path):
    cells = [toy(tmp_path, f"cell {index}", steps=50, at=-1, seconds=0.1) for index in range(3)]
    store, diary = Store(tmp_path / "store"), Diary()

    def begun():
        return len(list(store.root.glob("partial/*/steps"))) == 2

    with pytest.raises(KeyboardInterrupt):
        execute(cells, store, executor_named("ray", store, 3, "cpu"), diary, stop_requested=begun)
    assert [event for event in diary.events if event[0] == "given back"] == [("given back", "stopped")] * 3
    assert sorted(times_computed(tmp_path, f"cell {index}") for index in range(3)) == [0, 1, 1]


def test_what_the_relay_keeps_is_not_needed_to_go_on_without_it(tmp_path):
    import ray

    slow, store = toy(tmp_path, "slow", steps=30, at=-1, seconds=0.1), Store(tmp_path / "store")
    executor = executor_named("ray", store, 1, "cpu")
    relay = executor._started().relay

    def stop():
        if any(store.root.glob("partial/*/steps")) and not killed:
            ray.kill(relay, no_restart=False)
            killed.append(True)
        return False

    killed = []
    outcomes = execute([slow], store, executor, Diary(), stop_requested=stop)
    assert killed
    assert statuses(outcomes) == {"slow": "computed"}


def test_a_cluster_that_does_not_answer_is_told_in_one_line(monkeypatch):
    from benchmark.running.executors import on_ray

    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ExecutorFailedError, match=r"^no Ray answers at RAY_ADDRESS='127.0.0.1:1': ConnectionRefused"):
        on_ray._initialize(1)


def test_the_handler_of_sigterm_is_kept_and_a_ray_that_was_there_goes_on(tmp_path):
    import ray

    def handler(number, frame):
        raise AssertionError

    before = signal.signal(signal.SIGTERM, handler)
    try:
        executor = executor_named("ray", Store(tmp_path / "store"), 1, "cpu")
        executor._started()
        executor.close()
        executor.close()
        assert signal.getsignal(signal.SIGTERM) is handler
        assert ray.is_initialized()
    finally:
        signal.signal(signal.SIGTERM, before)
