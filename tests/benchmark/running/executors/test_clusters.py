"""Ray and Slurm (submitit's local executor) compute the same cells as processes on this machine, as safely."""

import time

import pytest
from cluster_runs import leftovers, reasons, run
from toy_cells import KIND, times_computed, total, toy
from toy_display import Diary, statuses

from benchmark.running.cells import KINDS
from benchmark.running.execution import execute
from benchmark.running.executors import LIBRARIES
from benchmark.running.executors.local import LocalExecutor
from benchmark.running.store import Store


@pytest.fixture(params=sorted(LIBRARIES))
def name(request, monkeypatch, importable_elsewhere):
    library = LIBRARIES[request.param]
    pytest.importorskip(library, reason=f"{library} is not installed: `make executors` installs it")
    if request.param == "ray":
        request.getfixturevalue("running_ray")
    monkeypatch.setitem(KINDS, "toy", KIND)
    return request.param


def test_needs_are_computed_first_into_the_same_bytes_as_here(name, tmp_path):
    one = toy(tmp_path, "one", 1)
    two = toy(tmp_path, "two", 2, [one])
    three = toy(tmp_path, "three", 3, [one, two])
    stores = {"there": Store(tmp_path / "there"), "here": Store(tmp_path / "here")}
    outcomes, _ = run(name, [one, two, three], stores["there"])
    assert statuses(outcomes) == dict.fromkeys(("one", "two", "three"), "computed")
    assert total(stores["there"], three) == 3 + 1 + (2 + 1)
    assert [times_computed(tmp_path, each) for each in ("one", "two", "three")] == [1, 1, 1]
    assert leftovers(stores["there"]) == []
    execute([one, two, three], stores["here"], LocalExecutor(stores["here"], 1), Diary())
    for cell in (one, two, three):
        files = [stores[where].manifest(cell.key).files for where in ("here", "there")]
        assert files[0] == files[1]


def test_a_cell_that_raises_fails_with_those_that_need_it_and_the_rest_go_on(name, tmp_path):
    bad = toy(tmp_path, "bad", behaviour="raise")
    after, good = toy(tmp_path, "after", needs=[bad]), toy(tmp_path, "good")
    store = Store(tmp_path / "store")
    outcomes, _ = run(name, [bad, after, good], store)
    assert statuses(outcomes) == {"bad": "failed", "after": "failed", "good": "computed"}
    assert reasons(outcomes)["bad"] == "ValueError: this is wrong"
    assert "about to raise" in store.log(bad.key).read_text()
    assert leftovers(store) == []


def test_a_cell_whose_process_is_killed_is_tried_again_from_where_it_was(name, tmp_path):
    cell = toy(tmp_path, "slow", steps=4, at=2, behaviour="die once")
    after, store = toy(tmp_path, "after", needs=[cell]), Store(tmp_path / "store")
    outcomes, diary = run(name, [cell, after], store)
    assert statuses(outcomes) == {"slow": "computed", "after": "computed"}
    assert times_computed(tmp_path, "slow") == 2
    [(_, reason)] = [event for event in diary.events if event[0] == "given back"]
    assert reason.startswith("WorkerDied: ")


def test_a_cell_whose_process_is_killed_twice_fails_alone(name, tmp_path):
    dying, good = toy(tmp_path, "dying", behaviour="die"), toy(tmp_path, "good")
    outcomes, _ = run(name, [dying, good], Store(tmp_path / "store"))
    assert statuses(outcomes) == {"dying": "failed", "good": "computed"}
    assert reasons(outcomes)["dying"].startswith("WorkerDied: ")
    assert times_computed(tmp_path, "dying") == 2


def test_a_corrupt_artifact_is_computed_again_alone(name, tmp_path):
    one = toy(tmp_path, "one", 1)
    two = toy(tmp_path, "two", 2, [one])
    run(name, [one], Store(tmp_path / "store"))
    (Store(tmp_path / "store").artifact(one.key) / "total.json").write_text("7")
    store = Store(tmp_path / "store")
    outcomes, diary = run(name, [one, two], store)
    assert statuses(outcomes) == {"one": "computed", "two": "computed"}
    assert total(store, two) == 2 + 1
    assert diary.said[0].startswith("corrupt artifact of toy one: total.json does not have the checksum")


def test_a_stopped_cell_keeps_what_it_has_done_and_resumes(name, tmp_path):
    slow = toy(tmp_path, "slow", steps=100, at=-1, seconds=0.1)
    waiting, store = toy(tmp_path, "waiting", needs=[slow]), Store(tmp_path / "store")
    with pytest.raises(KeyboardInterrupt):
        run(name, [slow, waiting], store, stop=lambda: any(store.root.glob("partial/*/steps")))
    [partial] = (store.root / "partial").iterdir()
    steps = int((partial / "steps").read_text())
    assert 0 < steps < 100
    outcomes, _ = run(name, [slow, waiting], store)
    assert statuses(outcomes) == {"slow": "computed", "waiting": "computed"}
    assert times_computed(tmp_path, "slow") == 2
    assert leftovers(store) == []


def test_progress_reaches_the_display(name, tmp_path):
    _, diary = run(name, [toy(tmp_path, "slow", steps=8, at=-1, seconds=0.6)], Store(tmp_path / "store"))
    told = [event[1:] for event in diary.events if event[0] == "advanced"]
    assert any(total == 8 and note == f"at {done}" for done, total, note in told)


def test_a_cell_that_hangs_is_cancelled_after_its_limit(name, tmp_path):
    hanging, good = toy(tmp_path, "hanging", steps=2, at=-1, seconds=600.0), toy(tmp_path, "good")
    began = time.monotonic()
    outcomes, _ = run(
        name, [hanging, good], Store(tmp_path / "store"), limit=lambda cell: 3.0 if cell is hanging else 60.0
    )
    assert reasons(outcomes)["hanging"].startswith("TimedOut: ")
    assert statuses(outcomes)["good"] == "computed"
    assert time.monotonic() - began < 300


def test_every_cell_uses_the_kernels_that_the_first_worker_settled(name, tmp_path, monkeypatch):
    from toy_cells import kernels_seen

    from benchmark.running import kernels
    from benchmark.running.cells import CellKind
    from benchmark.running.schedule import kernels_of

    monkeypatch.setitem(KINDS, "toy", CellKind(1, "toy_cells:compute_with_kernels", ("name",)))
    [linear] = kernels.installed()
    cell, store = toy(tmp_path, "one", other="one"), Store(tmp_path / "store")
    outcomes, diary = run(name, [cell], store, kernels={"linear": linear.options[-1]})
    assert kernels_of(outcomes) == {"linear": linear.options[-1]}
    assert kernels_seen(store.artifact(cell.key)) == linear.options[-1]
    assert diary.said == []
