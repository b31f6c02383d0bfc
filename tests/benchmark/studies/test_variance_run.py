"""The parts of a variance: of made-up scores those known by hand, from the cells of a run, told in 80 columns."""

import csv
import math
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
from click.testing import CliRunner
from toy_variance import toy_variance

from benchmark import evaluate
from benchmark.cli import main
from benchmark.cli.variance import text
from benchmark.discovery.settings import CircuitConfig
from benchmark.records.table import Measurement
from benchmark.running.config import configure
from benchmark.running.plan import plan
from benchmark.scoring.case import Setting
from benchmark.studies.variance import SCORES, CircuitGroup, deviation_limits, prompt_variance, repeated, split

VARIANCE = ("variance", "--preset", "smoke", "--finder-seeds", "0,1", "--workers", "2")
SEEDS = ("--seeds", "0,1")
BLOCK = CircuitGroup("weight_sparse", "native", "unit", "for_while")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def repeats(tmp_path_factory):
    """A run of the default methods and tasks: what it printed, and its rows."""
    folder = tmp_path_factory.mktemp("repeats")
    with toy_variance():
        done = call(*VARIANCE, *SEEDS, "--out", str(folder / "results"), "--store", str(folder / "store"))
    assert done.exit_code == 0, done.output
    return done.stdout, rows(folder / "results")


def call(*arguments):
    return CliRunner().invoke(main, list(arguments))


def rows(folder=Path("results")):
    with (folder / "variance.csv").open(newline="") as lines:
        return {tuple(row[name] for name in (*CircuitGroup._fields, "metric")): row for row in csv.DictReader(lines)}


def numbers(row, *columns):
    return [float(row[column]) for column in columns]


def faithfulness(values):
    """Scores on a grid, by training seed and finder seed."""
    return {at: Measurement("faithfulness", value) for at, value in np.ndenumerate(np.array(values))}


def row(values):
    return split("smoke", BLOCK, "faithfulness", faithfulness(values))


# The parts


def test_the_parts_are_those_known_by_hand(repeats):
    for metric, scale, mean in (
        ("faithfulness", "", -14),
        ("edges", "ln", 6),
    ):  # means of 4 and 8, so between 8; within 2
        found = repeats[1][*BLOCK, metric]
        parts = ("training_variance", "finder_variance", "prompts_variance", "training_and_prompts_variance")
        assert numbers(found, *parts) == pytest.approx([8 - 2 / 2 - 0.5, 2, 0.5, 8 - 2 / 2])
        assert numbers(found, "training_deviation", "mean") == pytest.approx([math.sqrt(6.5), mean])
        assert [found[name] for name in ("scale", "seeds", "finder_seeds", "reason")] == [scale, "2", "2", ""]
        assert float(found["detectable"]) == pytest.approx(11.549893 * math.sqrt(2) * math.sqrt(8))


def test_without_an_interval_over_prompts_the_parts_that_need_it_say_so(repeats):
    nodes = repeats[1][*BLOCK, "nodes"]
    assert nodes["training_variance"] == nodes["prompts_variance"] == ""
    assert nodes["training_reason"] == nodes["prompts_reason"] == "the variance over prompts is not known"
    assert numbers(nodes, "training_and_prompts_variance", "finder_variance") == pytest.approx([7, 2])


def test_a_missing_score_leaves_no_number_and_says_which_it_is(repeats):
    missed, absent = (repeats[1][*BLOCK, metric] for metric in ("verified_edges", "robust_faithfulness"))
    assert missed["reason"] == (
        "no value in 1 of 4 circuits; training seed 1, finder seed 0: not_reached: the lowest loss is 0.3"
    )
    assert absent["reason"].endswith("training seed 0, finder seed 0: undefined: it was not measured")
    for column in ("mean", "training_variance", "finder_variance", "training_and_prompts_variance", "detectable"):
        assert missed[column] == ""
    assert missed["training_reason"] == missed["detectable_reason"] == "a score is missing"


def test_one_training_seed_or_scores_that_are_all_the_same_show_no_difference():
    assert (row([[1.0, 2.0]]).detectable_reason, row([[1.0], [1.0]]).detectable_reason) == (
        "one training seed",
        "all training seeds score the same",
    )
    assert math.isnan(row([[1.0, 2.0]]).detectable)
    assert row([[1.0, 2.0]]).training.reason == "one training seed"
    assert row([[1.0, 2.0]]).finder.variance == 0.5


@pytest.mark.parametrize(
    ("score", "says"),
    [
        (Measurement("faithfulness", 0.9, low=0.7, high=0.9, interval="prompts"), (0.1 / 1.959964) ** 2),
        (Measurement("edges", 9, low=0, high=math.e**2, interval="prompts"), (1 / 1.959964) ** 2),
        (Measurement("edges", 9, low=9, high=9, interval="prompts"), 0.0),
        (Measurement("edges", 9, low=3, high=30, interval="seeds"), math.nan),
        (Measurement("edges", 9), math.nan),
    ],
    ids=["score", "log of a size", "no width", "over seeds", "no interval"],
)
def test_what_other_prompts_change_follows_from_the_interval_over_prompts(score, says):
    assert prompt_variance(score) == pytest.approx(says, nan_ok=True)


def test_the_limits_of_a_deviation_are_those_of_chi_squared():
    assert deviation_limits(3) == pytest.approx((0.52066, 6.28473), rel=1e-4)
    with pytest.raises(ValueError, match="1 seeds have no standard deviation"):
        deviation_limits(1)


# The cells


def test_cells_are_those_of_a_run_with_that_finder_seed():
    with toy_variance():
        found = repeated("smoke", ["dense"], ["for_while"], [0, 1], [0, 5])
        for finder in (0, 5):
            run = configure("smoke", ["dense"], ["for_while"], [0, 1], [f"circuit.finder_seed={finder}"])
            own = {cell.key for cell in plan(run).cells if cell.kind in ("train", "circuit")}
            assert own == {cell.key for cell in found.cells(finder=finder) if cell.kind in ("train", "circuit")}
        assert len(found.cells()) == 1 + 2 * (1 + 1 + 1 + 2 * 2)


def test_what_a_run_has_computed_is_found_and_its_records_stay():
    with toy_variance():
        ran = call("run", "--preset", "smoke", "--method", "dense", "--tasks", "for_while", "--workers", "2")
        assert ran.exit_code == 0, ran.output
        before = Path("results/records.csv").read_bytes()
        done = call(*VARIANCE, "dense", "--tasks", "for_while", "--seeds", "0")
    assert "2 cells to compute, 6 found in the store" in done.stderr
    assert Path("results/records.csv").read_bytes() == before


def test_the_same_command_again_computes_nothing_and_writes_the_same_bytes():
    with toy_variance():
        call(*VARIANCE, *SEEDS, "dense")
        before = Path("results/variance.csv").read_bytes()
        again = call(*VARIANCE, *SEEDS, "dense")
    assert "0 cells to compute" in again.stderr
    assert Path("results/variance.csv").read_bytes() == before


def test_the_search_is_seeded_by_the_finder_seed_too(monkeypatch, tmp_path):
    seen = []

    def find_circuit(*args, generator, **extra):
        seen.append(generator.initial_seed())
        raise InterruptedError

    monkeypatch.setattr(evaluate, "find_circuit", find_circuit)
    setting = MagicMock(spec=Setting, model=None, prompts=None, means=None, graph="unit")
    for finder in (0, 1, 1):
        circuit = CircuitConfig(finder_seed=finder).model_dump(mode="json")
        params = {"circuit": circuit, "task": "for_while", "seed": 0}
        with pytest.raises(InterruptedError):
            evaluate.discover(setting, params, CircuitConfig(**circuit), tmp_path)
    assert seen[0] != seen[1] == seen[2]


def test_a_cell_that_failed_has_its_reason_in_the_rows_and_the_exit_code():
    with toy_variance():
        done = call(*VARIANCE, *SEEDS, "dense", "--tasks", "nonsense")
    assert done.exit_code == 1
    assert "4 of 15 cells failed: circuit dense native" in done.stderr
    reason = rows()["dense", "native", "unit", "nonsense", "edges"]["reason"]
    assert reason == "no value in 2 of 4 circuits; training seed 0, finder seed 1: failed: RuntimeError: no luck"
    assert len(rows()) == 2 * len(SCORES)


# What is said


def test_the_table_fits_a_terminal_and_shows_factors_bounds_and_what_is_not_known(repeats):
    lines = repeats[0].splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].split() == ["score", "mean", "training", "finder", "prompts", "detectable"]
    assert [line for line in lines if line.startswith(("weight_sparse", "dense"))] == [
        f"{method} {task}, {graph} graph"
        for method in ("weight_sparse", "dense")
        for graph in ("channel", "unit")
        for task in ("for_while", "else_elif")
    ]
    first = {line.split()[0]: line.split()[1:] for line in lines[2:7]}
    assert first["edges"] == ["403", "x12.8", "x4.11", "x2.03", "x1.16e+20"]
    assert first["nodes"] == ["403", "<x14.1", "x4.11", "?", "x1.16e+20"]
    assert first["faithfulness"] == ["-14", "2.55", "1.41", "0.707", "46.2"]
    assert first["verified_edges"] == ["?"] * 5
    told = " ".join(repeats[0].split())
    assert "verified_edges: no value in 1 of 4 circuits; training seed 1, finder seed 0: not_reached" in told
    assert "2 training seeds, 2 finder seeds each, preset smoke" in told
    assert "?: prompts of nodes: the variance over prompts is not known" in told
    assert "<: together with the prompts' part, which is not known" in told
    assert "the true deviation between them lies between 0.45 and 32 times the one here" in told
    assert "?: detectable of nodes, edges, faithfulness: all training seeds score the same" in told


def test_it_is_said_what_one_seed_cannot_tell_and_what_was_taken_as_0():
    said = " ".join(" ".join(text([row([[1.0, 2.0]])])).split())
    assert "?: training: one training seed" in said
    assert "neither what another would change nor what difference could be found is known" in said
    assert "?: training: one finder seed: its part cannot be told" in " ".join(text([row([[1.0], [2.0]])]))
    starred = list(text([row([[1.0, 3.0], [3.0, 1.1]])]))
    assert "<0*" in starred[2]
    assert any(line.startswith("*: the estimate is below 0") for line in starred)


def test_a_dry_run_says_what_it_costs_and_writes_nothing():
    with toy_variance():
        done = call(*VARIANCE, *SEEDS, "--dry-run")
    assert done.exit_code == 0
    assert not list(Path().iterdir())
    lines = done.stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:5]] == [
        ["weight_sparse", "0", "17"],
        ["weight_sparse", "1", "8"],
        ["dense", "0", "12"],
        ["dense", "1", "8"],
    ]
    assert "45 cells, 0 done; the rest takes about" in done.stdout
    assert all(len(line) <= 80 for line in lines)


# What goes wrong


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bert"], "unknown method 'bert'; choose from"),
        (["--preset", "huge"], "unknown preset 'huge'; choose from smoke, quick, standard"),
        (["--tasks", "poetry"], "unknown task 'poetry'; choose from"),
        (["--finder-seeds", "a"], "'a' is not a list of whole numbers from 0 to 2147483647, such as 0,1,2"),
        (["--finder-seeds", ","], "no seed is given"),
        (["--set", "circuit.finder_seed=1"], "circuit.finder_seed=1 is set; choose --finder-seeds instead"),
        (["--set", "circuit.finder_seed=-1"], "circuit.finder_seed = -1: input should be greater than or equal to 0"),
        (["--out", "file"], "cannot write to folder 'file'"),
        (["--workers", "0"], "0 is not in the range 1<=x<=1024"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_one_line_and_writes_nothing(arguments, said):
    Path("file").touch()
    with toy_variance():
        done = call("variance", "--preset", "smoke", *arguments)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in Path().iterdir()] == ["file"]
