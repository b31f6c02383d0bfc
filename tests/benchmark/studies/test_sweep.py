"""Frontiers: their points, what is dominated, and what is said of points that came to nothing."""

import csv
import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner
from toy_bench import DIARY
from toy_methods import ROOT
from toy_sweep import toy_sweep

from benchmark.cli import main
from benchmark.records.table import Measurement
from benchmark.studies.frontier import (
    PointResult,
    _sizes,
    dominates,
    read_sweep,
    settings_of,
    write_sweep,
)
from benchmark.studies.sweep import family_names, sweep_points

SETTINGS = ("--preset", "smoke", "--workers", "2")
TASKS = ("--tasks", "for_while,nonsense")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DIARY, str(tmp_path / "diary.txt"))


def call(*arguments):
    return CliRunner().invoke(main, list(arguments))


def sweep(*arguments):
    return call("sweep", *SETTINGS, *arguments, *(() if "--tasks" in arguments else TASKS))


def rows():
    with Path("results/sweep.csv").open(newline="") as lines:
        return {(row["family"], row["point"]): row for row in csv.DictReader(lines)}


def trained():
    return Path("diary.txt").read_text().splitlines()


def names(points):
    return [(point.family, point.name) for point in points]


# Points


def test_each_family_has_at_least_three_points_around_the_preset_none_twice():
    with toy_sweep():
        points = sweep_points("smoke")
    assert names(points) == [
        ("weight_sparse", "density=0.25"),
        ("weight_sparse", "density=0.125"),  # 0.4 times would leave a neuron fewer than four of 32 weights
        ("weight_sparse", "density=0.625"),
        ("dense", "d_model=32"),
        ("dense", "d_model=16"),
        ("dense", "d_model=48"),
        ("sae", "k=8 features=64"),
        ("sae", "k=4 features=64"),
        ("sae", "k=16 features=64"),
        ("sae", "k=8 features=32"),
        ("sae", "k=8 features=128"),
    ]


def test_a_point_is_an_ordinary_run_in_the_unit_graph_of_the_ranked_variant():
    with toy_sweep():
        point = sweep_points("smoke", ["sae"], ["for_while"], [3])[1]
        assert point.run.methods == ("sae",)
        assert point.run.method_configs["sae"].k == 4
        (cell,) = point.circuits.values()
    assert {name: cell.params[name] for name in ("variant", "graph", "task", "seed")} == {
        "variant": "errors_ablated",
        "graph": "unit",
        "task": "for_while",
        "seed": 3,
    }


def test_points_start_from_what_the_user_changed():
    with toy_sweep():
        points = sweep_points("smoke", ["dense"], changes=["dense.d_model=64"])
    assert [point.name for point in points] == ["d_model=64", "d_model=32", "d_model=96"]


def test_every_preset_gives_every_installed_family_three_points():
    for preset in ("smoke", "quick", "standard"):
        for family in family_names():
            assert len({point.name for point in sweep_points(preset, [family])}) >= 3, (preset, family)


# Dominance


@pytest.mark.parametrize(
    ("other", "one", "says"),
    [
        (PointResult(1.0, {("a", 0): 10}), PointResult(1.1, {("a", 0): 10}), True),
        (PointResult(1.0, {("a", 0): 9}), PointResult(1.0, {("a", 0): 10}), True),
        (PointResult(1.0, {("a", 0): 10}), PointResult(1.0, {("a", 0): 10}), False),
        (PointResult(1.0, {("a", 0): 11}), PointResult(1.1, {("a", 0): 10}), False),
        (PointResult(1.0, {("a", 0): 4, ("b", 0): 9}), PointResult(1.0, {("a", 0): 9, ("b", 0): 5}), True),
        (PointResult(1.0, {("a", 0): 1}), PointResult(1.1, {("a", 0): 10, ("b", 0): 10}), False),
        (PointResult(1.0, {("a", 0): 1, ("b", 0): 1000}), PointResult(1.1, {("a", 0): 10}), True),
        (PointResult(1.0, {("a", 0): 1, ("b", 0): 9}), PointResult(1.1, {("a", 0): 10, ("a", 1): 1}), True),
        (PointResult(1.0, {("b", 0): 1}), PointResult(1.1, {("a", 0): 10}), False),
    ],
    ids=["loss", "size", "equal", "trade", "geometric mean", "fewer", "over what both reach", "as many", "none shared"],
)
def test_a_point_is_dominated_if_another_is_as_good_in_both_and_better_in_one(other, one, says):
    assert dominates(other, one) is says


def test_the_frontier_is_the_one_drawn_by_hand():
    with toy_sweep():
        done = sweep()
    found = {point: (row["validation_loss"], row["size"], row["dominated"]) for point, row in rows().items()}
    assert found == {
        ("weight_sparse", "density=0.25"): ("1.75", "25", "True"),
        ("weight_sparse", "density=0.125"): ("1.875", "12.5", "True"),
        ("weight_sparse", "density=0.625"): ("1.375", "62.5", "False"),
        ("dense", "d_model=32"): ("2", "32", "True"),
        ("dense", "d_model=16"): ("2", "16", "True"),
        ("dense", "d_model=48"): ("2", "48", "True"),
        ("sae", "k=8 features=64"): ("1.9", "8", "True"),
        ("sae", "k=4 features=64"): ("1.9", "", ""),
        ("sae", "k=16 features=64"): ("1.9", "16", "True"),
        ("sae", "k=8 features=32"): ("1.7", "8", "False"),
        ("sae", "k=8 features=128"): ("", "", ""),
    }
    assert done.exit_code == 1


# What is written


def test_points_that_came_to_nothing_are_not_dropped():
    with toy_sweep():
        done = sweep("sae")
    failed, unreached = rows()["sae", "k=8 features=128"], rows()["sae", "k=4 features=64"]
    reason = "train sae seed 0: RuntimeError: no luck"
    assert (failed["status"], failed["reason"]) == ("failed", reason)
    assert (unreached["status"], unreached["circuits_reached"]) == ("not_reached", "0")
    assert unreached["reason"] == "no circuit reaches the target"
    assert done.exit_code == 1
    assert f"cells failed: {reason}" in done.stderr
    assert "sae k=8 features=128: failed: train sae seed 0: RuntimeError: no luck" in done.stdout


def test_sizes_are_over_the_circuits_that_all_points_of_a_family_reach_and_controls_count_for_nothing():
    with toy_sweep():
        done = sweep("dense,weight_sparse", "--tasks", "for_while,single_double_quote,nonsense")
    assert done.exit_code == 0, done.output
    narrow, wide = (rows()["dense", f"d_model={width}"] for width in (16, 32))
    assert [(row["circuits"], row["circuits_reached"], row["size_circuits"]) for row in (narrow, wide)] == [
        ("2", "1", "1"),
        ("2", "2", "1"),
    ]
    assert (narrow["size"], wide["size"]) == ("16", "32")
    assert rows()["weight_sparse", "density=0.25"]["size"] == "50"  # the geometric mean of 25 and 100
    assert wide["size_metric"] == "edges"


def test_numbers_are_means_over_seeds():
    with toy_sweep():
        sweep("weight_sparse", "--seeds", "0,2")
    row = rows()["weight_sparse", "density=0.25"]
    assert (row["seeds"], row["validation_loss"], row["size"], row["training_flops"]) == ("2", "2.75", "25", "1e+12")


def test_sizes_are_compared_with_the_familys_own_point_and_with_the_reference():
    with toy_sweep():
        sweep("--tasks", "for_while,single_double_quote,else_elif")
    found = rows()
    half, own = found["dense", "d_model=16"], found["dense", "d_model=32"]
    assert (half["over_own"], half["over_own_tasks"], half["over_own_low"]) == ("0.5", "2", "")  # no interval over two
    wide = found["dense", "d_model=48"]
    assert [wide[f"over_own{end}"] for end in ("", "_low", "_high", "_tasks")] == ["1.5", "1.5", "1.5", "3"]
    assert float(wide["over_reference"]) == pytest.approx(48 / 25)
    assert (own["over_own"], own["over_own_tasks"]) == ("", "0")
    sparse = found["weight_sparse", "density=0.25"]
    assert (sparse["over_own"], sparse["over_reference"]) == ("", "")
    unreached = found["sae", "k=4 features=64"]
    assert (unreached["over_own"], unreached["over_reference_tasks"]) == ("", "0")


def test_splitting_is_against_the_larger_of_both_controls_with_an_interval_over_seeds():
    with toy_sweep():
        sweep("sae", "--seeds", "0,1,2")
    own, other = rows()["sae", "k=8 features=64"], rows()["sae", "k=8 features=32"]
    assert (own["concept_splits"], own["feature_splits"], own["splitting"]) == ("5", "", "")
    assert (other["concept_splits"], other["feature_splits"], other["feature_splits_back"]) == ("3", "4", "1.5")
    assert float(other["splitting"]) == pytest.approx(4 / 1.5)
    half = math.sqrt(math.pi / 2) * 4.302653 / 1.5 / 3**0.5  # about the median: it is a ratio, unbounded above
    assert float(other["splitting_low"]) == pytest.approx(4 / 1.5 - half, rel=1e-4)
    assert float(other["splitting_high"]) == pytest.approx(4 / 1.5 + half, rel=1e-4)


def test_rows_are_read_back_as_they_were_written(tmp_path):
    with toy_sweep():
        sweep()
    before = Path("results/sweep.csv").read_bytes()
    write_sweep(tmp_path / "again", read_sweep(Path("results")))
    assert (tmp_path / "again" / "sweep.csv").read_bytes() == before
    assert {row.dominated for row in read_sweep(Path("results"))} == {True, False, None}
    assert settings_of(read_sweep(Path("results"))[-1]) == {"k": 8.0, "features": 128.0}


def test_a_row_that_is_not_as_it_was_written_is_named():
    with toy_sweep():
        sweep("dense")
    file = Path("results/sweep.csv")
    file.write_text(file.read_text().replace(",False,", ",no,", 1))
    with pytest.raises(ValueError, match=r"sweep\.csv line 3, column dominated: 'no' is not one of True, False"):
        read_sweep(Path("results"))


def test_the_table_fits_a_terminal_and_shows_flops_and_the_frontier():
    with toy_sweep():
        lines = sweep("weight_sparse,dense").stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].split() == ["family", "point", "loss", "size", "found", "params", "FLOPs", "recov", "l0"]
    assert [(line.split()[1], line.split()[-1]) for line in lines[1:7]] == [
        ("density=0.25", "*"),
        ("density=0.125", "*"),
        ("density=0.625", "*"),
        ("d_model=32", "-"),
        ("d_model=16", "-"),
        ("d_model=48", "-"),
    ]
    assert "1.0e+12" in lines[1]
    below = lines[lines.index(next(line for line in lines if "/ ref" in line)) :]
    assert below[0].split() == ["family", "point", "/", "own", "/", "ref", "split", "back", "null"]
    assert below[5].split() == ["dense", "d_model=16", "0.5", "0.64"]


def test_the_table_shows_intervals_and_what_is_divided():
    with toy_sweep():
        lines = sweep("weight_sparse,sae", "--tasks", "for_while,single_double_quote,else_elif").stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    wider = [line for line in lines if line.startswith("sae") and "k=16" in line][1]
    assert wider.split()[3:] == ["2", "[2,", "2]", "0.64", "[0.64,", "0.64]", "3.00", "1.50", "1.25"]


def test_a_circuit_whose_edges_could_not_be_verified_counts_with_all_of_them():
    edges, verified = Measurement("edges", 9.0), Measurement("verified_edges", 5.0)
    unknown = Measurement("verified_edges", status="undefined", reason="opaque")
    missed = Measurement("edges", status="not_reached", reason="0.3")
    rows = [{"edges": edges, "verified_edges": each} for each in (verified, unknown)] + [{"edges": missed}]
    found = {(name, 0): each for name, each in zip("abc", rows, strict=True)}
    assert _sizes(found, "verified_edges") == {("a", 0): 5.0, ("b", 0): 9.0}
    assert _sizes(found, "edges") == {("a", 0): 9.0, ("b", 0): 9.0}


# Nothing is computed twice


def test_the_same_command_again_trains_nothing_and_writes_the_same_bytes():
    with toy_sweep():
        sweep("weight_sparse,dense")
        before, count = Path("results/sweep.csv").read_bytes(), len(trained())
        done = sweep("weight_sparse,dense")
    assert done.exit_code == 0
    assert len(trained()) == count == 6
    assert Path("results/sweep.csv").read_bytes() == before


def test_what_a_run_has_trained_is_found():
    with toy_sweep():
        ran = call("run", "--preset", "smoke", "--method", "weight_sparse", "--tasks", "for_while")
        assert ran.exit_code == 0, ran.output
        assert len(trained()) == 1
        sweep("weight_sparse")
    assert len(trained()) == 3


def test_a_dry_run_lists_the_points_with_what_they_cost_and_writes_nothing():
    with toy_sweep():
        done = sweep("weight_sparse,sae", "--dry-run")
        assert not list(Path().iterdir())
        sweep("weight_sparse")
        again = sweep("weight_sparse", "--dry-run")
    lines = done.stdout.splitlines()
    assert lines[1].split() == ["weight_sparse", "density=0.25", "7", "7", "8.2", "s"]
    assert lines[2].split() == ["weight_sparse", "density=0.125", "4", "4", "3.2", "s"]
    assert lines[4].split() == ["sae", "k=8", "features=64", "6", "6", "6.2", "s"]  # with the dense model
    assert "8 points, 41 cells, 0 done; the rest takes about" in done.stdout
    assert all(len(line) <= 80 for line in lines)
    assert "3 points, 15 cells, 15 done; the rest takes about 0.0 s" in again.stdout


def test_a_sweep_and_a_run_share_a_folder_if_the_family_has_the_same_settings_of_its_own():
    with toy_sweep():
        sweep("sae")  # one of its points cannot be trained
        assert call("run", *SETTINGS, *TASKS, "--method", "sae").exit_code == 0
        refused = call("run", *SETTINGS, *TASKS, "--method", "sae", "--set", "sae.k=2")
        swept = sweep("sae", "--set", "sae.k=16", "--dry-run")
    covered = json.loads(Path("results/run.json").read_text())
    assert {name: scope["methods"] for name, scope in covered["tables"].items()} == {
        "sweep.csv": ["sae"],
        "records.csv": ["sae"],
    }
    assert covered["settings"].keys() >= {"sae", "dense"}
    assert (refused.exit_code, swept.exit_code) == (2, 2)
    assert "sae.k is 8 there and 2 here: choose another --out" in refused.stderr
    assert "sae.k is 8 there and 16 here: choose another --out" in swept.stderr


# What goes wrong


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bert"], "unknown family 'bert'; choose from weight_sparse, dense, sae"),
        (["weight_sparse,root"], "unknown family 'root'; choose from weight_sparse, dense, sae"),
        (["--preset", "huge"], "unknown preset 'huge'; choose from smoke, quick, standard"),
        (["--tasks", "poetry"], "unknown task 'poetry'; choose from"),
        (["--set", "sae.k=1"], "sae.k=1 leaves fewer than 3 points: 1, 1, 2"),
        (["--set", "weight_sparse.density=1.0"], "weight_sparse.density=1.0 leaves fewer than 3 points: 0.4, 1, 1"),
        (["--out", "file"], "cannot write to folder 'file'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_one_line_and_writes_nothing(arguments, said):
    Path("file").touch()
    with toy_sweep():
        done = call("sweep", "--preset", "smoke", *arguments)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_without_a_family_it_is_said_which_there_could_be():
    with toy_sweep(ROOT):
        done = call("sweep", "--preset", "smoke")
    assert done.exit_code == 2
    assert "no installed method declares settings to vary in a sweep" in done.stderr
