"""A run that is killed at any moment, in any way, resumes to the tables of an undisturbed one and repeats nothing."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
import toy_bench

TABLES = ("records.csv", "leaderboard.csv", "curves.csv")
WAYS = ("parent", "worker", "group", "Ctrl-C", "SIGTERM")
SECONDS_TO_END = 60.0


class Program:
    """A command that runs cells: how to start it, and how long it takes undisturbed."""

    def __init__(self, command, folder):
        self.command = command
        began = time.monotonic()
        assert self.run(folder) == 0, (folder / "told").read_text()
        self.seconds = time.monotonic() - began
        self.tables = tables_in(folder)
        self.kernels = folder / "store" / "kernels.json"
        self.cells = len(artifacts_in(folder))

    def start(self, folder, workers=2, hash_seed="0"):
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "TOY_BENCH_DIARY": str(folder / "diary")}
        with (folder / "told").open("a") as told:
            return subprocess.Popen(
                [*self.command, "--workers", str(workers), "--out", "out", "--store", "store"],
                cwd=folder,
                env=environment,
                stdout=told,
                stderr=told,
                start_new_session=True,
            )

    def run(self, folder, **options):
        running = self.start(folder, **options)
        return running.wait(1800)


def tables_in(folder):
    return {name: (folder / "out" / name).read_bytes() for name in TABLES if (folder / "out" / name).exists()}


def artifacts_in(folder):
    """The finished artifacts, with what would change if one were computed again."""
    return {path.parent.name: path.stat().st_ino for path in (folder / "store" / "artifacts").glob("*/manifest.json")}


def kill(running, way, chance):
    """Kill a run in some way; whether it is meant to end."""
    try:
        match way:
            case "parent":
                running.kill()
            case "group":
                os.killpg(running.pid, signal.SIGKILL)
            case "Ctrl-C":
                os.killpg(running.pid, signal.SIGINT)
            case "SIGTERM":
                running.terminate()
            case "worker":
                workers = [
                    child
                    for child in psutil.Process(running.pid).children()
                    if "spawn_main" in " ".join(child.cmdline())
                ]
                if workers:
                    chance.choice(workers).kill()
    except (psutil.Error, ProcessLookupError):
        pass  # it has just ended


def wait_for_the_group_to_end(group):
    end = time.monotonic() + SECONDS_TO_END
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("processes of a killed run are left")


def disturb(program, folder, seed):
    """Kill a run at a random moment in a random way, resume it, and look at what is there then."""
    chance = random.Random(seed)
    way = WAYS[seed % len(WAYS)]
    if program.kernels.exists():  # which are measured, and may come out otherwise on a busy machine
        (folder / "store").mkdir()
        shutil.copy(program.kernels, folder / "store")
    running = program.start(folder, chance.randint(1, 3), str(chance.randint(1, 1000)))
    time.sleep(chance.uniform(0, program.seconds))
    kill(running, way, chance)
    code = running.wait(1800)
    told = f"{way}: exit {code}\n{(folder / 'told').read_text()}"
    if way == "worker":
        assert code == 0, told
    elif way in ("Ctrl-C", "SIGTERM"):
        assert code in (0, 130, -signal.SIGINT, -signal.SIGTERM), told  # the interpreter itself was still starting
        assert "Traceback" not in told or code < 0, told
    wait_for_the_group_to_end(running.pid)
    finished = artifacts_in(folder)
    assert program.run(folder, workers=chance.randint(1, 3), hash_seed=str(chance.randint(1, 1000))) == 0, told
    assert tables_in(folder) == program.tables, told
    after = artifacts_in(folder)
    assert len(after) == program.cells
    assert {key: after[key] for key in finished} == finished, "a finished cell was computed again"
    assert not list((folder / "store" / "partial").iterdir())
    assert not list((folder / "store" / "leases").glob("[!.]*"))


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    command = [sys.executable, str(toy_bench.__file__), "run", "--method", "slow,root", "--preset", "smoke"]
    return Program(command, tmp_path_factory.mktemp("toys"))


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    command = [sys.executable, "-m", "benchmark", "run", "--method", "all", "--preset", "smoke"]
    return Program(command, tmp_path_factory.mktemp("smoke"))


@pytest.mark.parametrize("seed", range(5))
def test_a_run_of_cells_that_measure_nothing_survives(toys, tmp_path, seed):
    disturb(toys, tmp_path, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_preset_smoke_survives(smoke, tmp_path, seed):
    disturb(smoke, tmp_path, seed)
