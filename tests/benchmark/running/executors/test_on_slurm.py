"""Slurm: what is handed to its commands, and jobs that are warned, killed, cancelled or left by their run."""

import sys
from pathlib import Path

import pytest
from cluster_runs import leftovers, run
from toy_cells import KIND, times_computed, total, toy
from toy_display import Diary, statuses

from benchmark.running.cells import KINDS
from benchmark.running.execution import execute
from benchmark.running.executors import executor_named
from benchmark.running.reports import Advanced, Queued, Raised, Stopped
from benchmark.running.store import Store

submitit = pytest.importorskip("submitit", reason="submitit is not installed: `make executors` installs it")

from benchmark.running.executors import on_slurm, slurm_job  # noqa: E402


@pytest.fixture(autouse=True)
def _toy_kind(monkeypatch, importable_elsewhere):
    monkeypatch.setitem(KINDS, "toy", KIND)
    monkeypatch.setattr(on_slurm, "SECONDS_TO_ARRIVE", 0.5)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands of the names of Slurm's; the folder that tells what they were asked for."""
    commands, folder = tmp_path / "commands", tmp_path / "slurm"
    commands.mkdir()
    folder.mkdir()
    for name in ("sbatch", "srun", "sacct", "scancel"):
        text = (Path(__file__).parent / "fake_slurm.py").read_text()
        (commands / name).write_text(f"#!{sys.executable}\n{text}")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{Path('/usr/bin')}:{Path('/bin')}")
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    monkeypatch.setenv("BENCH_SUBMITIT_CLUSTER", "slurm")
    submitit.SlurmJob.watcher.clear()
    submitit.SlurmJob.watcher._registered = set()  # those of other tests, whose folder is gone
    return folder


def last_report(executor):
    while True:
        for _, report in executor.reports(0.2):
            if not isinstance(report, Queued | Advanced):
                return report


def test_a_job_asks_for_one_core_and_leaves_partition_and_account_to_the_environment(slurm, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")  # the run is a job itself
    one, store = toy(tmp_path, "one"), Store(tmp_path / "store")
    two = toy(tmp_path, "two", 2, [one])
    outcomes, _ = run("slurm", [one, two], store)
    assert statuses(outcomes) == {"one": "computed", "two": "computed"}
    assert total(store, two) == 3
    asked = {line for line in (slurm / "1.sh").read_text().splitlines() if line.startswith("#SBATCH")}
    assert {"#SBATCH --cpus-per-task=1", "#SBATCH --ntasks-per-node=1", "#SBATCH --time=1440"} <= asked
    assert not [line for line in asked if any(name in line for name in ("partition", "account", "gpus", "mem"))]
    assert (slurm / "1.options").read_text() == ""
    assert leftovers(store) == []


def test_a_job_for_a_gpu_asks_for_one(slurm, tmp_path):
    (slurm / "closed").touch()
    executor = executor_named("slurm", Store(tmp_path / "store"), 1, "cuda")
    executor.assign(toy(tmp_path, "one").order())
    assert "#SBATCH --gpus-per-node=1" in (slurm / "1.sh").read_text()
    executor.close()


def test_a_job_that_is_killed_is_submitted_again_and_what_it_printed_is_kept(slurm, tmp_path):
    cell, store = toy(tmp_path, "slow", steps=4, at=2, behaviour="die once"), Store(tmp_path / "store")
    outcomes, diary = run("slurm", [cell], store)
    assert statuses(outcomes) == {"slow": "computed"}
    assert ("given back", "WorkerDied: its Slurm job ended as FAILED without a report") in diary.events
    assert list(store.root.glob("slurm/*/submitit/*.err"))


def test_a_job_that_waits_is_cancelled_when_the_run_stops(slurm, tmp_path):
    (slurm / "closed").touch()
    store, diary = Store(tmp_path / "store"), Diary()
    with pytest.raises(KeyboardInterrupt):
        execute(
            [toy(tmp_path, "one")],
            store,
            executor_named("slurm", store, 1, "cpu"),
            diary,
            stop_requested=lambda: ("advanced", 0, 1, "queued") in diary.events,
        )
    assert diary.events[-1] == ("given back", "stopped")
    assert (slurm / "1.cancelled").exists()
    assert times_computed(tmp_path, "one") == 0


def test_a_job_that_is_refused_ends_the_run_in_one_line(slurm, tmp_path):
    (slurm.parent / "commands" / "sbatch").write_text("#!/bin/sh\necho 'invalid partition' >&2\nexit 1\n")
    store = Store(tmp_path / "store")
    with pytest.raises(on_slurm.ExecutorFailedError, match=r"Slurm took no job: .*invalid partition"):
        run("slurm", [toy(tmp_path, "one")], store)


def test_a_job_that_is_warned_saves_its_state_and_its_cell_goes_on_in_another(tmp_path):
    cell = toy(tmp_path, "slow", steps=40, at=2, seconds=0.05, behaviour="warned once")
    outcomes, diary = run("slurm", [cell], Store(tmp_path / "store"))
    assert statuses(outcomes) == {"slow": "computed"}
    reason = "WorkerDied: Slurm ended the job (SIGUSR2) once the cell had saved its state"
    assert ("given back", reason) in diary.events
    assert times_computed(tmp_path, "slow") == 2


def test_a_job_whose_run_is_gone_saves_its_state_and_ends(tmp_path):
    store = Store(tmp_path / "store")
    executor = executor_named("slurm", store, 1, "cpu")
    try:
        with store.leases() as leases:
            leases.acquire(f"run.{leases.holder.token}")
            executor.assign(toy(tmp_path, "slow", steps=600, at=-1, seconds=0.1).order(leases.holder.token))
            while not any(store.root.glob("partial/*/steps")):
                assert not any(isinstance(report, Stopped) for _, report in executor.reports(0.2))
        assert last_report(executor) == Stopped()
    finally:
        executor.close()
    [steps] = store.root.glob("partial/*/steps")
    assert 0 < int(steps.read_text()) < 600


def test_only_whole_messages_are_read(tmp_path):
    messages = slurm_job.Messages(tmp_path)
    assert messages.report("a") is None
    messages.tell_report("a", Raised("no luck"))
    assert messages.report("a") == Raised("no luck")
    for content in ("", "{", "[]", '{"kind": "Order", "fields": {}}', '{"kind": "Raised", "fields": {"why": 1}}'):
        (tmp_path / "a.report.json").write_text(content)
        assert messages.report("a") is None


@pytest.mark.parametrize("cluster", ["debug", "moon"])
def test_no_other_executor_of_submitit_is_taken(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_SUBMITIT_CLUSTER", cluster)
    with pytest.raises(ValueError, match="is not one of 'slurm', 'local'"):
        executor_named("slurm", Store(tmp_path), 1, "cpu")
