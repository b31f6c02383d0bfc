"""Claims judged by planted records, and the tables of `bench claims`."""

import json
import math
from dataclasses import replace

import pytest
from click.testing import CliRunner
from toy_methods import installed, toy_method

from benchmark.cli import main
from benchmark.leaderboard.ranking import Board, EntryKey, Rules
from benchmark.methods import METHODS
from benchmark.metrics import METRICS
from benchmark.records.table import Measurement, Record, columns, write_table
from benchmark.studies.ablation_comparison import kendall, under_ablations, under_shifts
from benchmark.studies.frontier import SweepRow
from benchmark.studies.verdicts import AtPoint, Criterion, claims, findings

TASKS = ("else_elif", "for_while", "var_if")
RULES = Rules(unranked=frozenset({("sae", "errors_available")}))


def circuits(method, metric, value, graph="unit", seeds=(0,), **more) -> list[Record]:
    """One value for every task and seed."""
    where = {"preset": "quick", "method": method, "variant": "native", "graph": graph, "ranking": "mask"}
    where |= {"ablation": "mean", "target_loss": 0.15, **more}
    return [
        Record.of(Measurement(metric, float(value)), **where, task=task, seed=seed) for task in TASKS for seed in seeds
    ]


def profiled(method, metric, values, variant="native") -> list[Record]:
    """One value for each seed."""
    where = {"preset": "quick", "method": method, "variant": variant}
    return [Record.of(Measurement(metric, value), **where, seed=seed) for seed, value in enumerate(values)]


def judged(records, sweep=()) -> dict:
    board = Board("quick", list(records), RULES)
    found = findings(board, sweep)
    return {criterion.of: one for claim, row in found for criterion, one in zip(claim.criteria, row, strict=True)}


def sized(dense, sparse) -> list[Record]:
    sizes = {"dense": dense, "weight_sparse": sparse}
    return [
        row
        for graph in ("unit", "channel")
        for method, size in sizes.items()
        for row in circuits(method, "edges", size, graph)
    ]


def test_every_claim_speaks_of_registered_metrics():
    criteria = [criterion for claim in claims() for criterion in claim.criteria]
    of_runs = [one for one in criteria if isinstance(one, Criterion)]
    assert {name for one in of_runs for name in (one.metric, one.over, one.among) if name} <= METRICS.keys()
    of_sweeps = [one for one in criteria if isinstance(one, AtPoint)]
    wanted = {one.column + end for one in of_sweeps for end in ("", "_low", "_high")}
    assert wanted <= set(columns(SweepRow))
    assert {one.raised for one in of_sweeps} == {"k", "features"}
    assert len({one.of for one in criteria}) == len(criteria)


@pytest.mark.parametrize(("dense", "verdict"), [(160, "confirmed"), (40, "refuted")])
def test_a_ratio_of_sizes_is_judged_over_the_tasks_that_both_reach(dense, verdict):
    found = judged(sized(dense, 10))["edges, dense / weight_sparse"]
    assert (found.value, found.verdict) == (pytest.approx(dense / 10), verdict)


def test_three_seeds_have_students_interval():
    half = 4.3027 * 0.1 / math.sqrt(3)
    rows = [*circuits("clt", "edges", 9), *profiled("clt", "firing_rate_spread", [2.9, 3.0, 3.1])]
    found = judged(rows)["ln ratio, clt"]
    assert (found.value, *found.interval) == pytest.approx((3.0, 3.0 - half, 3.0 + half), abs=1e-3)
    assert (found.seeds, found.verdict) == (3, "confirmed")


def test_a_slope_is_judged_by_its_median_over_seeds():
    half = math.sqrt(math.pi / 2) * 4.3027 * 0.1 / math.sqrt(3)
    found = judged([*sized(100, 10), *profiled("dense", "dilution_slope", [-0.9, -1.0, -1.1])])["slope, dense"]
    assert (found.value, *found.interval) == pytest.approx((-1.0, -1.0 - half, -1.0 + half), abs=1e-3)
    assert (found.seeds, found.verdict) == (3, "confirmed")


def test_limits_of_a_claims_number_stay_within_its_range():
    rows = [*circuits("clt", "edges", 9), *profiled("clt", "connection_density", [0.02, 0.5, 0.9])]
    found = judged(rows)["density, clt"]
    assert (found.interval.low, found.interval.high) == (0, 1)


@pytest.mark.parametrize(("null", "seed"), [([0.2, 0.0, 0.2], 1), ([0.2, 0.2], 2)])
def test_a_seed_without_a_denominator_is_not_dropped_in_silence(null, seed):
    rows = [*circuits("clt", "edges", 9), *profiled("clt", "connection_density", [0.2, 0.2, 0.2])]
    found = judged([*rows, *profiled("clt", "connection_density_null", null)])["density / null, clt"]
    assert (found.verdict, found.seeds) == ("undecided", 3)
    assert found.reason == f"connection_density_null is 0 or missing with seed {seed}"


def test_one_seed_decides_nothing_whatever_its_value():
    rows = [*sized(100, 10), *profiled("dense", "dilution_slope", [-1.0])]
    found = judged(rows)["slope, dense"]
    assert (found.verdict, found.reason) == ("undecided", "1 training seed: no interval")


def test_an_interval_that_contains_the_bound_decides_nothing():
    rows = [*sized(100, 10), *profiled("dense", "dilution_slope", [-0.2, -0.5, -0.8])]
    assert judged(rows)["slope, dense"].reason == "the interval contains the bound, -0.5"


def test_a_share_of_a_handful_decides_nothing():
    rows = [
        *sized(100, 10),
        *profiled("weight_sparse", "illusion_rate", [1.0, 1.0, 1.0]),
        *profiled("weight_sparse", "named_nodes", [2.0, 1.0, 2.0]),
    ]
    found = judged(rows)["illusion rate, weight_sparse"]
    assert (found.reason, found.verdict, found.value) == ("5 named nodes in all", "undecided", 1.0)
    assert found.interval == pytest.approx((0.025**0.2, 1.0))


def test_a_share_of_few_is_that_of_all_seeds_together():
    rows = [
        *sized(100, 10),
        *profiled("weight_sparse", "illusion_rate", [1.0, 0.0]),
        *profiled("weight_sparse", "named_nodes", [1.0, 3.0]),
    ]
    found = judged(rows)["illusion rate, weight_sparse"]
    assert found.value == 0.25
    assert found.interval == pytest.approx((0.00631, 0.80588), abs=1e-5)


def test_a_seed_without_a_denominator_is_named_and_not_dropped():
    density, null = "connection_density", "connection_density_null"
    rows = [*sized(100, 10), *profiled("clt", density, [0.5, 0.5, 0.5]), *circuits("clt", "edges", 5)]
    found = judged([*rows, *profiled("clt", null, [0.5, 0.0])])["density / null, clt"]
    assert (found.verdict, found.reason) == ("undecided", f"{null} is 0 or missing with seed 1, 2")


def test_an_outside_method_is_judged_like_ours_and_changes_no_other_finding():
    rows = [*sized(160, 10), *(replace(row, value=20.0 + 7 * (row.task == "var_if")) for row in sized(9, 9)[3:6])]
    rows += [replace(row, method="lean", value=4.0) for row in rows if row.method == "weight_sparse"]
    before = judged(rows)
    with installed(*METHODS.values(), toy_method("lean"), toy_method("reader", explains="dense", needs=("dense",))):
        after = judged(rows)
    assert after["edges, dense / lean"].value == pytest.approx(40)
    assert "unknown method 'reader'" in after["ln ratio, reader"].reason
    assert {name: after[name] for name in before} == before


def test_a_model_of_ones_own_is_no_part_of_the_claims():
    before = judged(sized(160, 10))
    with installed(*METHODS.values(), toy_method("mine", by_name=True)):
        assert judged(sized(160, 10)) == before


def test_a_method_that_is_not_there_is_said_to_be_missing():
    assert "unknown method 'clt'" in judged(sized(100, 10))["density, clt"].reason


COUNTS = ("size_circuits", "over_own_tasks", "over_reference_tasks", "circuits", "circuits_reached")


def point(family, name, **known) -> SweepRow:
    """An operating point of three seeds of which nothing is known but what is told."""
    row: dict = dict.fromkeys(columns(SweepRow)) | dict.fromkeys(COUNTS, 0)
    row |= {
        "preset": "quick",
        "family": family,
        "point": name,
        "seeds": 3,
        "size_metric": "edges",
        "status": "ok",
        "reason": "",
    }
    return SweepRow(**{**row, **known})


def over(value, low, high):
    return {"over_reference": value, "over_reference_low": low, "over_reference_high": high}


def test_a_claim_of_the_sweep_is_judged_at_the_point_where_the_setting_is_highest():
    sweep = [
        point("sae", "k=8 features=64", **over(9.0, 8.0, 10.0)),
        point("sae", "k=4 features=64", **over(9.0, 8.0, 10.0)),
        point("sae", "k=16 features=64", **over(0.5, 0.4, 0.6)),
        point("sae", "k=8 features=128", **over(3.0, 2.0, 4.0), splitting=1.1, splitting_low=0.9, splitting_high=1.3),
        point("dense", "d_model=64"),
    ]
    found = judged(sized(100, 10), sweep)
    most = found["sae, 2x L0 / weight_sparse"]
    assert (most.value, most.verdict) == (0.5, "refuted")
    assert found["sae, 2x width / weight_sparse"].verdict == "confirmed"
    assert found["splitting, sae"].reason == "the interval contains the bound, 1"


@pytest.mark.parametrize("order", [1, -1])
def test_a_claim_says_how_far_the_setting_was_raised_whatever_the_order_of_the_rows(order):
    names = ["k=8 features=64", "k=4 features=64", "k=24 features=64", "k=8 features=96"][::order]
    found = judged(sized(100, 10), [point("sae", name, **over(9.0, 8.0, 10.0)) for name in names])
    assert found["sae, 3x L0 / weight_sparse"].verdict == "confirmed"
    assert found["sae, 1.5x width / weight_sparse"].verdict == "confirmed"
    assert "clt, more L0 / weight_sparse" in found


def test_a_setting_that_was_not_raised_decides_nothing():
    names = ["k=8 features=64", "k=4 features=64", "k=8 features=32"]
    found = judged(sized(100, 10), [point("sae", name, **over(9.0, 8.0, 10.0)) for name in names])
    one = found["sae, more L0 / weight_sparse"]
    assert (one.verdict, one.reason) == ("undecided", "no point of sae has a higher k than its own")


def test_a_seed_whose_denominator_is_0_is_named_and_decides_nothing():
    rows = [*sized(100, 10), *profiled("clt", "connection_density", [0.5, 0.5, 0.5, 0.5])]
    rows += [*circuits("clt", "edges", 9), *profiled("clt", "connection_density_null", [0.5, 0.0, 0.5, 0.5])]
    found = judged(rows)["density / null, clt"]
    assert (found.seeds, found.verdict) == (4, "undecided")
    assert found.reason == "connection_density_null is 0 or missing with seed 1"


def test_a_claims_sentence_says_the_bound_that_it_is_judged_by():
    sizes, *_, labels, _, _ = claims()
    assert f"at least {sizes.criteria[0].bound:g} times" in sizes.sentence
    assert f"over {labels.criteria[0].bound:.0%} of what it does" in labels.sentence


def test_a_point_without_a_number_or_an_interval_decides_nothing():
    sweep = [
        point("sae", "k=8 features=128", splitting=1.5, seeds=1),
        point("sae", "k=16 features=64", over_reference=2.0, over_reference_tasks=1),
        point("clt", "k=8 features=128", status="failed", reason="train clt seed 0: RuntimeError: no luck"),
    ]
    found = judged(sized(100, 10), sweep)
    assert found["splitting, sae"].reason == "1 training seed: no interval"
    assert found["sae, 2x L0 / weight_sparse"].reason == "1 task: no interval"
    assert found["splitting, clt"].reason == "train clt seed 0: RuntimeError: no luck"
    assert found["sae, 2x width / weight_sparse"].reason == "no value of over_reference"
    told = "no operating points of transcoder: `bench sweep transcoder` makes them"
    assert found["splitting, transcoder"].reason == told


def test_faithfulness_under_each_ablation_is_the_mean_over_circuits():
    rows = [
        *circuits("dense", "faithfulness", 0.9),
        *circuits("dense", "faithfulness", 0.4, ablation="resample"),
        *circuits("weight_sparse", "faithfulness", 0.8),
        *circuits("weight_sparse", "faithfulness", 0.7, ablation="resample"),
        *circuits("weight_sparse", "faithfulness", 0.1, ablation="resample", ranking="random"),
    ]
    found = {row.name: row for row in under_ablations(Board("quick", rows, RULES))}
    sparse = EntryKey("weight_sparse", "native", "unit")
    assert found["mean"].scores[sparse] == pytest.approx(0.8)
    assert found["resample"].scores[sparse] == pytest.approx(0.7)
    assert found["resample"].tau == -1.0


def test_kendalls_tau_needs_two_methods():
    place = EntryKey("dense", "native", "unit")
    assert math.isnan(kendall({place: 1.0}, {place: 1.0}))


def test_agreement_is_shown_for_the_shifts_that_were_measured():
    rows = circuits("dense", "agreement_nesting", 0.75)
    found = {row.name: row for row in under_shifts(Board("quick", rows, RULES))}
    assert list(found["nesting"].scores.values()) == [0.75]
    assert not found["elements"].scores


@pytest.fixture
def folder(tmp_path):
    rows = [*sized(160, 10), *profiled("dense", "dilution_slope", [-0.9, -1.0, -1.1])]
    rows += circuits("dense", "faithfulness", 0.9) + circuits("weight_sparse", "faithfulness", 0.8)
    write_table(tmp_path / "records.csv", rows, Record)
    return tmp_path


def test_the_table_fits_a_terminal_and_says_why_nothing_is_decided(folder):
    shown = CliRunner().invoke(main, ["claims", "--out", str(folder)])
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.output.splitlines())) <= 80
    assert "edges, dense / weight_sparse                16 [16, 16]" in shown.output
    assert "no value of token_loss_correlation" in shown.output
    assert "w_sparse" in shown.output


def test_json_holds_the_same_and_no_nan(folder):
    shown = CliRunner().invoke(main, ["claims", "--out", str(folder), "--json"])
    content = json.loads(shown.output, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    first = content["claims"][0]["findings"][0]
    assert (first["value"], first["verdict"], first["seeds"]) == (pytest.approx(16.0), "confirmed", 1)


def test_a_folder_without_records_is_an_error_in_one_line(tmp_path):
    shown = CliRunner().invoke(main, ["claims", "--out", str(tmp_path)])
    assert shown.exit_code == 2
    assert "there is no run in folder" in shown.output
