"""`bench plan`, and what a run says of the machine."""

import json

import pytest
from click.testing import CliRunner
from toy_bench import DIARY, toy_bench
from toy_methods import ROOT

from benchmark.cli import main
from benchmark.methods import METHODS
from benchmark.planning import machine

RUN = ("run", "--preset", "smoke", "--tasks", "for_while", "--workers", "2")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DIARY, str(tmp_path / "diary.txt"))


def call(*arguments):
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("preset", ["smoke", "quick", "standard", "paper"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_plan_of_every_preset_has_every_method_and_fits_80_columns(preset, device):
    done = call("plan", "--preset", preset, "--device", device)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for method in (name for name, each in METHODS.items() if not each.by_name):
        assert sum(line.startswith(f"train {method} ") for line in lines) == 2
    assert sum(line.startswith("total ") for line in lines) == 2
    assert ("stated, not measured" in " ".join(lines)) == (device == "cuda")


def test_the_plan_as_json_has_bytes_and_hours():
    found = json.loads(call("plan", "--preset", "quick", "--method", "clt", "--json").stdout)
    rows = {row["label"]: row for row in found["rows"]}
    assert (found["preset"], found["device"]) == ("quick", "cpu")
    assert rows["train clt"]["dictionary_bytes"] == 4 * rows["train clt"]["parameters"] > 0
    assert rows["train clt"]["hours"] == pytest.approx(32 / 3600)
    assert rows["circuit clt"]["flops"] is None
    assert "circuit dense" not in rows


def test_settings_change_the_plan_and_wrong_ones_are_refused_in_one_line():
    plans = [
        json.loads(call("plan", "--preset", "smoke", "--json", "--set", f"dense.d_model={width}").stdout)
        for width in (32, 64)
    ]
    narrow, wide = ({row["label"]: row for row in found["rows"]} for found in plans)
    assert narrow["train dense"]["parameters"] < wide["train dense"]["parameters"]
    refused = call("plan", "--set", "dense.d_model=33")
    assert refused.exit_code == 2
    assert len(refused.stderr.splitlines()) == 1


def test_a_method_without_formulas_is_not_stated():
    with toy_bench(ROOT):
        done = call("plan", "--preset", "smoke", "--tasks", "for_while")
    line = next(line for line in done.stdout.splitlines() if line.startswith("train root"))
    assert line.split()[2:] == ["n/s"] * 7
    assert "n/s: not stated" in done.stdout


def test_a_dry_run_says_what_memory_and_disk_a_run_needs():
    done = call("run", "--preset", "smoke", "--method", "weight_sparse", "--workers", "2", "--dry-run")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("needs up to")]
    assert line.endswith("of memory with 2 workers and 70 MB of disk") or "MB of disk" in line
    with toy_bench(ROOT):
        toys = call(*RUN, "--dry-run")
    assert "this leaves out 6 cells whose methods do not say what they need" in toys.stdout


def test_a_run_says_before_it_starts_that_the_machine_has_too_little_and_runs_all_the_same(monkeypatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 2**30)
    monkeypatch.setattr(machine, "free_bytes", lambda folder: 10)
    with toy_bench(ROOT):
        dry, done = call(*RUN, "--dry-run"), call(*RUN)
        again = call(*RUN)
    assert done.exit_code == 0
    for text in (dry.stdout, done.stderr):
        assert sum("of memory, but this machine has 1.1 GB" in line for line in text.splitlines()) == 1
        assert sum("of disk, but store 'store' has 10 B left" in line for line in text.splitlines()) == 1
    assert "but this machine has" not in again.stderr
