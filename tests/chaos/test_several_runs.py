"""Several commands at once on one store, or into one folder of tables, do each piece of work once."""

import csv
import json
import os
import subprocess
import sys

import toy_bench

RUN = [sys.executable, str(toy_bench.__file__), "run", "--preset", "smoke", "--workers", "1"]


def start(folder, *arguments):
    environment = {**os.environ, "TOY_BENCH_DIARY": str(folder / "diary")}
    return subprocess.Popen([*RUN, *arguments], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def end(running):
    told = running.communicate(timeout=300)[1]
    assert running.returncode == 0, told
    return told


def computed(folder):
    return [json.loads(line) for line in (folder / "diary").read_text().splitlines()]


def records(folder):
    with folder.open() as file:
        return list(csv.DictReader(file))


def test_four_runs_on_one_store_compute_each_cell_once_and_end_with_the_same_tables(tmp_path):
    runs = [start(tmp_path, "--method", "slow,root", "--out", f"out {number}") for number in range(4)]
    told = [end(running) for running in runs]
    cells = len(list((tmp_path / "store" / "artifacts").iterdir()))
    assert len(computed(tmp_path)) == cells
    tables = [(tmp_path / f"out {number}" / "records.csv").read_bytes() for number in range(4)]
    assert len(set(tables)) == 1
    assert sum("computed by another run" in text for text in told) >= 1


def test_two_runs_into_one_folder_leave_the_rows_of_both(tmp_path):
    runs = [start(tmp_path, "--method", "root", "--seeds", seed) for seed in ("0", "1", "0")]
    for running in runs:
        end(running)
    found = records(tmp_path / "results" / "records.csv")
    assert {row["seed"] for row in found} == {"0", "1"}
    alone = tmp_path / "alone"
    alone.mkdir()
    end(start(alone, "--method", "root", "--seeds", "0,1"))
    assert (tmp_path / "results" / "leaderboard.csv").read_bytes() == (
        alone / "results" / "leaderboard.csv"
    ).read_bytes()
    assert json.loads((tmp_path / "results" / "run.json").read_text())["tables"]["records.csv"]["seeds"] == [0, 1]
