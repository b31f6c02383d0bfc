"""The store can be checked, cleaned up and read back into tables."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from toy_bench import DIARY, ROOT, toy_bench

RUN = ("run", "--method", "root", "--preset", "smoke")
TABLES = ("records.csv", "leaderboard.csv", "curves.csv")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DIARY, str(tmp_path / "diary"))


def call(*arguments):
    with toy_bench(ROOT) as bench:
        return CliRunner().invoke(bench, list(arguments))


def artifacts():
    return sorted(Path("store/artifacts").iterdir())


def make_old(*places):
    for place in places:
        os.utime(place, (0, 0))


def spoil(folder):
    (folder / "records.json").write_text("[]")


def test_a_sound_store_is_said_to_be_sound_and_a_flaw_is_named():
    assert call(*RUN).exit_code == 0
    number = len(artifacts())
    done = call("store", "verify")
    assert (done.exit_code, done.stdout) == (0, f"{number} artifacts in store, 0 corrupt\n")
    spoil(artifacts()[0])
    done = call("store", "verify")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"{artifacts()[0].name[:12]}  records.json does not have the checksum that was written",
        f"{number} artifacts in store, 1 corrupt",
    ]
    assert call(*RUN).exit_code == 0
    assert call("store", "verify").exit_code == 0


def test_what_the_tables_refer_to_is_kept_with_all_that_it_was_computed_from():
    assert call(*RUN).exit_code == 0
    before = artifacts()
    make_old(*before)
    assert call("store", "gc", "--yes").stdout == "removed: 0 items, 0.0 MiB\n"
    assert artifacts() == before


def test_what_nothing_refers_to_is_said_first_and_removed_when_asked_to():
    assert call(*RUN).exit_code == 0
    assert call(*RUN, "--set", "circuit.target_loss=0.2", "--out", "other").exit_code == 0
    everything = artifacts()
    make_old(*everything)
    said = call("store", "gc")
    assert said.exit_code == 0
    assert said.stdout.splitlines()[-1].endswith("; --yes removes them")
    assert artifacts() == everything
    assert call("store", "gc", "--out", "results", "--out", "other").stdout.startswith("not needed: 0 items")
    assert call("store", "gc", "--yes").stdout.splitlines()[-1].startswith("removed: ")
    assert 0 < len(artifacts()) < len(everything)
    again = call(*RUN)
    assert "computed" not in again.stderr


def test_what_a_run_has_just_used_is_kept_though_no_table_refers_to_it():
    assert call(*RUN).exit_code == 0
    make_old(*artifacts())
    Path("results/records.csv").write_text(Path("results/records.csv").read_text().splitlines()[0] + "\n")
    assert call("store", "gc").stdout.splitlines()[-1].startswith("not needed: ")
    assert not call("store", "gc").stdout.startswith("not needed: 0")
    assert call(*RUN, "--out", "elsewhere").exit_code == 0
    assert call("store", "gc").stdout.startswith("not needed: 0 items")


def test_a_folder_without_tables_is_refused_before_anything_is_taken_for_garbage():
    assert call(*RUN).exit_code == 0
    before = artifacts()
    make_old(*before)
    done = call("store", "gc", "--out", "reults", "--yes")
    assert (done.exit_code, artifacts()) == (2, before)
    assert done.stderr == "Error: there are no tables in folder 'reults': give that of the runs with --out\n"


def test_what_was_set_aside_or_half_removed_is_garbage_and_unfinished_work_is_not_until_it_is_old():
    assert call(*RUN).exit_code == 0
    for place in ("corrupt/aa.1", "removed/x", f"partial/{'b' * 64}.run"):
        (Path("store") / place).mkdir(parents=True)
        (Path("store") / place / "file").write_text("12345")
    kinds = [line[:30].strip() for line in call("store", "gc").stdout.splitlines()[:-1]]
    assert sorted(kinds) == ["corrupt artifacts set aside", "interrupted removals"]
    make_old(Path("store/partial") / f"{'b' * 64}.run")
    assert "unfinished computations" in call("store", "gc", "--yes").stdout
    assert [list((Path("store") / name).iterdir()) for name in ("corrupt", "removed", "partial")] == [[], [], []]


def test_a_folder_without_a_store_is_refused():
    for command in ("verify", "gc"):
        done = call("store", command, "--store", "nowhere")
        assert done.exit_code == 2
        assert done.stderr == ("Error: there is no store in folder 'nowhere': `bench run --store nowhere` makes one\n")
        assert not Path("nowhere").exists()


def test_tables_are_made_again_from_the_store_alone():
    assert call(*RUN).exit_code == 0
    before = {name: Path("results", name).read_bytes() for name in TABLES if Path("results", name).exists()}
    shutil.rmtree("results")
    done = call("records", "rebuild", *RUN[1:])
    assert done.exit_code == 0, done.output
    assert {name: Path("results", name).read_bytes() for name in before} == before
    assert json.loads(Path("results/run.json").read_text())["preset"] == "smoke"


def test_cells_that_are_not_in_the_store_have_no_rows_and_are_counted():
    assert call(*RUN).exit_code == 0
    shutil.rmtree("results")
    done = call("records", "rebuild", *RUN[1:], "--seeds", "0,1")
    assert done.exit_code == 1
    assert "not in the store" in done.stdout
    assert ",failed," not in Path("results/records.csv").read_text()
    nothing = call("records", "rebuild", *RUN[1:], "--seeds", "7", "--out", "none", "--store", "empty")
    assert nothing.exit_code == 2
    assert "give the options that the run had" in nothing.stderr
    assert not Path("none").exists()
