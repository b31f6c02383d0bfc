"""A lease has one holder, outlives none that is dead, and is never lost to one that is slow for a while."""

import errno
import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, replace

import psutil
import pytest

from benchmark.running import leases as leases_module
from benchmark.running.leases import SECONDS_TO_EXPIRY, Holder, Leases

NEGATIVE = json.dumps(asdict(replace(Holder.here(), process=-1)) | {"started": "soon"})


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "leases").mkdir()
    return tmp_path / "leases"


def left_by(folder, holder, name="cell"):
    (folder / name).write_text(json.dumps(asdict(holder)))


def elsewhere(**changes):
    return replace(Holder.here(), host="another machine", **changes)


def test_one_of_two_runs_holds_a_lease_until_it_gives_it_back(folder):
    with Leases(folder) as one, Leases(folder) as two:
        assert one.acquire("cell")
        assert one.acquire("cell")
        assert not two.acquire("cell")
        assert two.held_by_others(["cell", "free"]) == {"cell": one.holder}
        assert one.held_by_others(["cell"]) == {}
        two.release("cell")  # not its own
        assert not two.acquire("cell")
        one.release("cell")
        assert two.acquire("cell")
    assert list(folder.glob("[!.]*")) == []


def test_of_many_threads_that_ask_at_once_one_gets_the_lease(folder):
    runs = [Leases(folder) for _ in range(12)]
    barrier, got = threading.Barrier(len(runs)), []

    def ask(run):
        barrier.wait()
        got.append(run.acquire("cell"))

    threads = [threading.Thread(target=ask, args=[run]) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 11 + [True]


def test_the_lease_of_a_process_that_ended_on_this_machine_is_taken_over_at_once(folder):
    program = (
        "import os, sys; from pathlib import Path; from benchmark.running.leases import Leases\n"
        f"leases = Leases(Path({str(folder)!r})).__enter__(); assert leases.acquire('cell'); os._exit(1)"
    )
    with Leases(folder) as run:
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 1
        assert run.holder_of("cell").process != os.getpid()
        assert run.held_by_others(["cell"]) == {}
        assert run.acquire("cell")
        assert run.holder_of("cell") == run.holder


def test_whatever_a_dead_process_left_is_removed_when_a_run_begins(folder):
    dead = replace(Holder.here(), started=0.0)
    for name in ("cell", "run.1", f".cell.{dead.token}"):
        left_by(folder, dead, name)
    left_by(folder, elsewhere(), "other")
    with Leases(folder):
        pass
    assert {path.name for path in folder.iterdir()} == {"other", ".lock"}


def test_a_process_number_that_was_given_to_another_process_is_not_the_holder(folder):
    left_by(folder, replace(Holder.here(), started=Holder.here().started - 60))
    with Leases(folder) as run:
        assert run.acquire("cell")


def test_the_lease_of_another_machine_expires_once_it_has_not_been_touched_for_long(folder):
    left_by(folder, elsewhere())
    clock = Clock()
    with Leases(folder, clock) as run:
        assert not run.acquire("cell")
        clock.now += SECONDS_TO_EXPIRY - 1
        assert not run.acquire("cell")
        clock.now += 1
        assert run.acquire("cell")


@pytest.mark.parametrize("shift", [30.0, -3600.0], ids=["forwards", "backwards"])
def test_a_lease_that_is_touched_stays_whatever_the_clocks_of_the_machines_say(folder, shift):
    left_by(folder, elsewhere())
    clock, stamp = Clock(), 1e9
    with Leases(folder, clock) as run:
        for _ in range(5):
            os.utime(folder / "cell", (stamp, stamp))
            assert not run.acquire("cell")
            stamp += shift
            clock.now += SECONDS_TO_EXPIRY - 1


def test_a_lease_that_another_run_took_over_first_is_not_taken_from_it(folder):
    left_by(folder, elsewhere())
    clock = Clock()
    with Leases(folder, clock) as run, Leases(folder) as other:
        assert not run.acquire("cell")
        clock.now += SECONDS_TO_EXPIRY
        (folder / "cell").unlink()
        assert other.acquire("cell")
        assert not run.acquire("cell")
        assert run.holder_of("cell") == other.holder


@pytest.mark.parametrize("content", ["", "{", "[]", '{"token": 1}', "[" * 100_000, NEGATIVE])
def test_a_lease_that_cannot_be_read_is_held_until_it_expires(folder, content):
    (folder / "cell").write_text(content)
    clock = Clock()
    with Leases(folder, clock) as run:
        assert not run.acquire("cell")
        clock.now += SECONDS_TO_EXPIRY
        assert run.acquire("cell")


def test_something_else_in_the_place_of_a_lease_is_never_waited_for_without_end(folder):
    (folder / "cell").mkdir()
    clock = Clock()
    with Leases(folder, clock) as run:
        assert not run.acquire("cell")
        clock.now += SECONDS_TO_EXPIRY
        with pytest.raises(OSError, match="directory"):
            run.acquire("cell")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel counts when processes began")
def test_a_step_of_the_clock_does_not_make_a_living_process_a_dead_one(monkeypatch):
    here = Holder.here()
    monkeypatch.setattr(psutil, "boot_time", lambda: 0.0)
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: 0.0)
    assert not here.is_dead
    assert replace(here, process=2**22).is_dead


def test_a_run_that_lost_a_lease_knows_it_and_does_not_remove_that_of_the_next_holder(folder):
    with Leases(folder) as run:
        assert run.acquire("cell")
        assert run.is_ours("cell")
        left_by(folder, elsewhere(), "cell")
        assert not run.is_ours("cell")
        run.release("cell")
    assert (folder / "cell").exists()


def test_leases_work_where_a_file_cannot_have_two_names(folder, monkeypatch):
    def no_links(*places):
        raise OSError(errno.EPERM, "not supported")

    monkeypatch.setattr(leases_module.os, "link", no_links)
    with Leases(folder) as one, Leases(folder) as two:
        assert one.acquire("cell")
        assert not two.acquire("cell")
        assert two.held_by_others(["cell"]) == {"cell": one.holder}


def test_a_holder_touches_what_it_holds_and_no_lease_that_was_taken_from_it(folder, monkeypatch):
    monkeypatch.setattr(leases_module, "SECONDS_BETWEEN_TOUCHES", 0.05)
    with Leases(folder) as run:
        for name in ("kept", "lost"):
            assert run.acquire(name)
        left_by(folder, elsewhere(), "lost")
        for name in ("kept", "lost"):
            os.utime(folder / name, (0, 0))
        for _ in range(200):
            if (folder / "kept").stat().st_mtime > 0:
                break
            threading.Event().wait(0.05)
        assert (folder / "kept").stat().st_mtime > 0
        assert (folder / "lost").stat().st_mtime == 0
    assert [path.name for path in folder.glob("[!.]*")] == ["lost"]
