"""What only POSIX has is not needed."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from toy_cells import KIND, toy

from benchmark.running import computing
from benchmark.running.cells import KINDS
from benchmark.running.execution import execute
from benchmark.running.executors import local
from benchmark.running.executors.local import LocalExecutor
from benchmark.running.reports import Corrupted, Ended
from benchmark.running.store import Store

IMPORTS = """
import sys
from importlib import import_module
from importlib.util import find_spec
from pkgutil import walk_packages
PACKAGES = ("benchmark", "sparse_model", "baselines")
OPTIONAL = {"ray": ("on_ray", "ray_worker"), "submitit": ("on_slurm",)}
LEFT_OUT = [each for library, modules in OPTIONAL.items() if find_spec(library) is None for each in modules]

def import_all():
    found = [walk_packages(import_module(package).__path__, f"{package}.") for package in PACKAGES]
    names = [each.name for modules in found for each in modules]
    return [import_module(name) for name in names if name.rpartition(".")[2] not in LEFT_OUT]

import_all()  # the libraries, which are not ours to judge
for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
    del sys.modules[name]
for name in ("fcntl", "resource", "pwd", "grp", "posix", "termios", "tty", "pty", "syslog"):
    sys.modules[name] = None
assert len(import_all()) > 150
"""


class Silent:
    def __getattr__(self, name):
        return lambda *arguments: None


@pytest.fixture(autouse=True)
def _toy_kind(monkeypatch):
    monkeypatch.setitem(KINDS, "toy", KIND)


def test_every_module_is_imported_without_the_modules_that_only_posix_has():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", IMPORTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_workers_compute_and_die_where_signals_cannot_be_blocked_and_there_is_no_sigkill(tmp_path, monkeypatch):
    names = [SimpleNamespace(name=each.name, value=each.value) for each in signal.Signals if each.name != "SIGKILL"]
    monkeypatch.setattr(local, "signal", SimpleNamespace(SIGINT=signal.SIGINT, Signals=names))
    dying, good = toy(tmp_path, "dying", behaviour="die"), toy(tmp_path, "good")
    store = Store(tmp_path / "store")
    outcomes = execute([dying, good], store, LocalExecutor(store, 1), Silent())
    assert [outcome.status for outcome in outcomes] == ["failed", "computed"]
    assert outcomes[0].reason == "WorkerDied: the process was killed by signal 9"


def test_peak_memory_is_windows_own_where_it_has_one_and_the_whole_lifes_elsewhere(monkeypatch):
    here = computing._peak_memory()
    monkeypatch.setattr(computing, "Path", lambda place: tmp_path_that_is_missing)
    assert computing._peak_memory() > 0.9 * here > 2**20  # the kernel counts in two ways
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=42))
    monkeypatch.setattr(computing.psutil, "Process", lambda: process)
    monkeypatch.setitem(sys.modules, "resource", None)
    computing._reset_peak_memory()
    assert computing._peak_memory() == 42


def missing(*arguments, **options):
    raise FileNotFoundError


tmp_path_that_is_missing = SimpleNamespace(read_text=missing, write_text=missing)


def test_an_idle_worker_that_died_is_replaced(tmp_path):
    pool = LocalExecutor(Store(tmp_path / "store"), 1)
    try:
        for name in ("one", "two"):
            number = pool.assign(toy(tmp_path, name).order())
            while not pool.has_room:
                reports = list(pool.reports(60.0))
            assert isinstance(reports[-1][1], Ended)
            os.kill(pool._workers[number].process.pid, signal.SIGKILL)
            pool._workers[number].process.join()
    finally:
        pool.close()


def test_a_worker_names_the_needed_artifact_that_is_corrupt(tmp_path):
    one, store = toy(tmp_path, "one"), Store(tmp_path / "store")
    execute([one], store, LocalExecutor(store, 1), Silent())
    two = toy(tmp_path, "two", needs=[one])
    (store.artifact(one.key) / "total.json").write_text("7")
    found = computing.compute(two.order(), store, Silent())
    assert found == Corrupted(one.key, "total.json does not have the checksum that was written")
    store.discard(one.key)
    found = computing.compute(two.order(), store, Silent())
    assert found == Corrupted(one.key, "it is missing")
