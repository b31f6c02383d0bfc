"""Whatever write fails, in whatever way, nothing half-written is ever taken for a whole, and trying again works."""

import builtins
import errno
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import toy_bench
from toy_cells import KIND, toy

from benchmark.disk import replace_files
from benchmark.running import computing
from benchmark.running.cells import KINDS
from benchmark.running.reports import DiskFailed, Ended, Raised
from benchmark.running.store import Store

FAULTS = (errno.ENOSPC, errno.EACCES, errno.EIO)


@pytest.fixture(autouse=True)
def _toy_kind(monkeypatch):
    monkeypatch.setitem(KINDS, "toy", KIND)


class Disk:
    """Lets a number of operations that change a folder pass, and lets the next one fail."""

    NAMES = ("replace", "mkdir", "fsync", "link", "rename")

    def __init__(self, monkeypatch, folder):
        self.folder, self.left, self.fault, self.failed = str(folder), None, 0, False
        for name in self.NAMES:
            monkeypatch.setattr(os, name, self._watched(getattr(os, name)))
        monkeypatch.setattr(io, "open", self._opening(io.open))
        monkeypatch.setattr(builtins, "open", self._opening(builtins.open))

    def fail_after(self, operations, fault):
        self.left, self.fault, self.failed = operations, fault, False

    def heal(self):
        self.left = None

    def _count(self, place):
        if self.left is None or (isinstance(place, (str, os.PathLike)) and self.folder not in os.fspath(place)):
            return
        self.left -= 1
        if self.left < 0 and not self.failed:
            self.failed = True
            raise OSError(self.fault, os.strerror(self.fault), place if isinstance(place, str) else None)

    def _watched(self, operation):
        def watched(place, *arguments, **options):
            self._count(place)
            return operation(place, *arguments, **options)

        return watched

    def _opening(self, operation):
        def opening(place, mode="r", *arguments, **options):
            if any(letter in mode for letter in "wax+"):
                self._count(place)
            return operation(place, mode, *arguments, **options)

        return opening


@pytest.fixture
def disk(monkeypatch, tmp_path):
    return Disk(monkeypatch, tmp_path)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_cell_whose_write_fails_leaves_no_artifact_or_a_whole_one(disk, tmp_path, fault):
    cell, failures = toy(tmp_path / "diary", "one", 5), 0
    (tmp_path / "diary").mkdir()
    for operations in range(60):
        store = Store(tmp_path / f"store {operations}")
        disk.fail_after(operations, fault)
        report = computing.compute(cell.order(), store, lambda *told: None)
        disk.heal()
        if not disk.failed:
            assert isinstance(report, Ended)
            break
        failures += 1
        assert isinstance(report, Ended | Raised if fault == errno.EACCES else Ended | DiskFailed), report
        finished = Store(store.root).find(cell.key)
        if finished is not None:
            assert json.loads((finished / "total.json").read_text()) == 5
        assert isinstance(computing.compute(cell.order(), Store(store.root), lambda *told: None), Ended)
        assert json.loads((Store(store.root).artifact(cell.key) / "total.json").read_text()) == 5
        assert not list((store.root / "partial").iterdir())
    assert not disk.failed
    assert failures > 10


@pytest.mark.parametrize("fault", FAULTS)
def test_tables_are_the_old_ones_or_the_new_ones_whatever_write_fails(disk, tmp_path, fault):
    failures = 0
    for operations in range(30):
        folder = tmp_path / str(operations)
        places = [folder / name for name in ("one.csv", "two.csv")]
        replace_files(dict.fromkeys(places, "old"))
        disk.fail_after(operations, fault)
        try:
            replace_files(dict.fromkeys(places, "new"))
        except OSError:
            failures += 1
        disk.heal()
        texts = [place.read_text() for place in places]
        assert texts in (["old", "old"], ["new", "old"], ["new", "new"])
        assert {path.name for path in folder.iterdir()} == {"one.csv", "two.csv"}
        if not disk.failed:
            assert texts == ["new", "new"]
            break
    assert not disk.failed
    assert failures >= 5


@pytest.fixture
def small_disk():
    """A disk of 24 mebibytes."""
    place = Path(tempfile.mkdtemp())
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        place.rmdir()
        pytest.skip("a disk can be mounted by root only")
    yield place
    subprocess.run(["umount", str(place)], check=True)
    place.rmdir()


def fill(disk):
    """Leave no room on a disk."""
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a disk as Linux does")
@pytest.mark.parametrize("what", ["store", "out"])
def test_a_disk_that_becomes_full_is_said_in_one_line_and_the_run_resumes_once_there_is_room(
    small_disk, tmp_path, what
):
    places = {"store": tmp_path / "store", "out": tmp_path / "out", what: small_disk / what}
    command = [sys.executable, str(toy_bench.__file__), "run", "--method", "slow,root", "--preset", "smoke"]
    command += ["--workers", "1", "--store", str(places["store"]), "--out", str(places["out"])]
    environment = {**os.environ, "TOY_BENCH_DIARY": str(tmp_path / "diary")}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as running:
        told = [running.stderr.readline()]
        while "begin train slow" not in told[-1]:
            told.append(running.stderr.readline())
        fill(small_disk)
        told += running.stderr.readlines()
    assert running.returncode == 1, told
    assert "No space left on device" in told[-1]
    assert "Traceback" not in "".join(told)
    assert [path.name for path in places["out"].iterdir() if path.name not in (".lock", "filler")] == []
    (small_disk / "filler").unlink()
    again = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert again.returncode == 0, again.stderr


def test_a_store_that_cannot_be_written_to_is_refused_before_anything_is_computed(tmp_path):
    (tmp_path / "store").write_text("a file")
    command = [sys.executable, str(toy_bench.__file__), "run", "--method", "root", "--preset", "smoke"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: cannot write to folder 'store'")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "results").exists()
