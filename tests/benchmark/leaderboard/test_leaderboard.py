"""The leaderboard: planted records whose ranks and areas are known."""

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmark.leaderboard.ranking import (
    Rules,
    header,
    leaderboard,
    profile_area,
    rules_of,
    size_metric,
    table,
)
from benchmark.leaderboard.text_table import leaderboard_table
from benchmark.metrics import METRICS
from benchmark.records.table import Measurement, Record

TASKS = ("easy", "middle", "hard")
RULES = Rules(
    largest_size=10_000,
    controls=frozenset({"null", "random_weights"}),
    unranked=frozenset({("sae", "errors_available")}),
    explains={"sae": "dense", "clt": "dense"},
)


def trained(method, seed=0, loss=2.0, parameters=1000.0) -> list[Record]:
    """What profiling a trained method gives."""
    where = {"preset": "quick", "method": method, "variant": "native", "seed": seed}
    values = {"validation_loss": loss, "nonzero_parameters": parameters}
    return [Record.of(Measurement(name, value), **where) for name, value in values.items()]


def searched(method, edges, seed=0, graph="unit", variant="native", whole=0.01, **more) -> list[Record]:
    """What searching circuits gives: edges by task, `None` where the target is not reached."""
    rows = []
    for task, size in edges.items():
        where = {"preset": "quick", "method": method, "variant": variant, "graph": graph, "task": task, "seed": seed}
        where |= {"ranking": "mask", "ablation": "mean", "target_loss": 0.15, **more}
        rows.append(Record.of(Measurement("whole_loss", whole), **where))
        for metric, value in {"nodes": 5.0, "edges": size, "faithfulness": 0.9}.items():
            missing = Measurement(metric, status="not_reached", reason="0.4")
            rows.append(Record.of(missing if size is None else Measurement(metric, float(value)), **where))
    return rows


def references(edges=100, seed=0, tasks=TASKS) -> list[Record]:
    """Weight-sparse and dense models that solve every task."""
    return [
        row
        for method in ("weight_sparse", "dense")
        for row in [*trained(method, seed), *searched(method, dict.fromkeys(tasks, edges), seed)]
    ]


def standings(records, rules=RULES) -> dict[tuple[str, str, str], object]:
    return {tuple(one.place): one for one in leaderboard(records, {"quick": rules})}


def ranks(records, rules=RULES) -> dict[str, int | None]:
    return {place[0]: one.rank for place, one in standings(records, rules).items()}


# Areas and ranks


def test_the_area_is_the_mean_share_of_the_log_axis_beyond_each_size():
    assert profile_area([1], 10_000) == 1
    assert profile_area([0, 1], 10_000) == 1
    assert profile_area([100], 10_000) == pytest.approx(0.5)
    assert profile_area([10, 1000, None], 10_000) == pytest.approx((0.75 + 0.25 + 0) / 3)
    assert profile_area([10_000, 10**9], 10_000) == 0
    assert math.isnan(profile_area([], 10_000))


@given(st.lists(st.one_of(st.none(), st.integers(0, 20_000)), min_size=1, max_size=6))
def test_the_area_is_that_under_the_steps_of_the_profile(sizes):
    places = np.linspace(0, math.log(10_000), 40_001)[1:]
    reached = [np.zeros_like(places) if size is None else math.log(max(size, 1)) <= places for size in sizes]
    assert profile_area(sizes, 10_000) == pytest.approx(np.mean(reached), abs=2e-4)


def test_smaller_circuits_rank_first():
    records = [*references(edges=100), *searched("clt", {"easy": 10, "middle": 10, "hard": 10})]
    assert ranks(records) == {"clt": 1, "dense": 2, "weight_sparse": 2}
    board = standings(records)
    assert board["clt", "native", "unit"].profile_area.value == pytest.approx(0.75)
    assert board["dense", "native", "unit"].profile_area.value == pytest.approx(0.5)


def opaque(rows, weights=5000.0):
    """Circuits whose edges run through whole layers."""
    hidden = [
        replace(row, metric="opaque_weights", value=weights)
        for row in rows
        if row.metric == "edges" and row.value is not None
    ]
    return [*rows, *hidden]


def test_rows_whose_edges_hide_whole_layers_are_ranked_in_a_group_of_their_own():
    records = [*references(edges=100), *opaque(searched("clt", {"easy": 50}), weights=0.0)]
    records += opaque(searched("sae", {"easy": 2, "middle": 2, "hard": 2}, variant="errors_ablated"))
    records += opaque(searched("worse", {"easy": 5, "middle": 2, "hard": 2}))
    records += searched("sae", {"easy": 1}, variant="errors_available")
    found = [(one.place.method, one.rank, one.group) for one in leaderboard(records, {"quick": RULES})]
    assert found == [
        ("dense", 1, "direct"),
        ("weight_sparse", 1, "direct"),
        ("clt", 3, "direct"),
        ("sae", 1, "opaque"),
        ("worse", 2, "opaque"),
        ("sae", None, ""),
    ]
    headings = [line.split()[:2] for line in shown(records).splitlines() if line.rstrip().endswith("quick")]
    assert headings == [["unit", "graph"], ["opaque", "edges"], ["listed", "only"]]


def test_a_method_that_drops_the_hard_tasks_does_not_gain_by_it():
    honest = {"easy": 10, "middle": 100, "hard": 5000}
    records = references(edges=200)
    for method, edges in {
        "honest": honest,
        "fails": {**honest, "hard": None},
        "hides": {"easy": 10, "middle": 100},
        "crashes": {"easy": 10, "middle": 100},
    }.items():
        records += searched(method, edges)
    crash = Measurement("edges", status="failed", reason="RuntimeError: no luck")
    where = {"preset": "quick", "method": "crashes", "variant": "native", "graph": "unit", "task": "hard", "seed": 0}
    records.append(Record.of(crash, **where, ranking="mask", ablation="mean", target_loss=0.15))
    board = standings(records)
    areas = {place[0]: one.profile_area.value for place, one in board.items()}
    assert areas["honest"] > areas["fails"] == areas["hides"] == areas["crashes"]
    geometric = {place[0]: one.scores["edges"].value for place, one in board.items()}
    assert geometric["honest"] > geometric["fails"]  # the mean that looks better is the one that is not ranked by
    assert board["fails", "native", "unit"].tasks_reached == board["hides", "native", "unit"].tasks_reached == 2


def test_dead_nodes_change_nothing():
    lean, fat = searched("clt", dict.fromkeys(TASKS, 50)), searched("clt", dict.fromkeys(TASKS, 50))
    fat = [replace(row, value=5000.0) if row.metric == "nodes" else row for row in fat]
    assert ranks([*references(), *lean]) == ranks([*references(), *fat])


def test_only_tasks_that_both_references_solve_with_room_to_spare_count():
    records = [*references(tasks=("easy",)), *searched("weight_sparse", {"hard": 10}), *searched("clt", {"easy": 10})]
    records += searched("dense", {"hard": 10}, whole=0.08)  # above half of 0.15
    board = standings(records)
    assert board["clt", "native", "unit"].profile_area.value == pytest.approx(0.75)
    assert board["clt", "native", "unit"].reference_tasks == 1
    assert board["weight_sparse", "native", "unit"].tasks == 2


@pytest.mark.parametrize(
    "records",
    [
        searched("clt", {"easy": 10}),
        [*searched("weight_sparse", {"easy": 10}), *searched("dense", {"easy": 10}, whole=0.5)],
    ],
)
def test_without_reference_tasks_nothing_is_ranked(records):
    for one in standings(records).values():
        assert (one.rank, one.profile_area.value, one.status) == (None, None, "undefined")
        assert "no reference task" in one.reason


def test_ties_share_a_rank_and_the_next_rank_is_skipped():
    records = [
        *references(edges=100),
        *searched("a", dict.fromkeys(TASKS, 10)),
        *searched("b", dict.fromkeys(TASKS, 10)),
    ]
    assert ranks(records) == {"a": 1, "b": 1, "dense": 3, "weight_sparse": 3}


def test_nulls_unranked_variants_and_the_channel_graph_are_listed_only():
    tiny = dict.fromkeys(TASKS, 1)
    records = [
        *references(),
        *searched("null", tiny),
        *searched("random_weights", tiny),
        *searched("sae", tiny, variant="errors_available"),
        *searched("sae", dict.fromkeys(TASKS, 1000), variant="errors_ablated"),
        *searched("dense", tiny, graph="channel"),
    ]
    board = standings(records)
    listed = {place: one.reason for place, one in board.items() if one.rank is None}
    assert {place[:2] for place in listed} == {
        *(("null", "native"), ("random_weights", "native")),
        *(("sae", "errors_available"), ("dense", "native")),
    }
    assert "a control" in listed["null", "native", "unit"]
    assert "listed only" in listed["sae", "errors_available", "unit"]
    assert board["null", "native", "unit"].profile_area.value == 1
    assert board["sae", "errors_ablated", "unit"].rank == 3
    assert list(board)[-1] == ("dense", "native", "channel")


def test_the_control_task_counts_nowhere_but_in_its_own_column():
    with_control = [*references(), *searched("clt", {"easy": 10, "nonsense": 7})]
    without = [*references(), *searched("clt", {"easy": 10})]
    one, other = (standings(records)["clt", "native", "unit"] for records in (with_control, without))
    assert (one.tasks, one.tasks_reached, one.control_tasks_reached) == (1, 1, 1)
    assert replace(one, control_tasks_reached=0.0) == other


def test_rows_cut_to_another_target_or_found_otherwise_are_left_out():
    records = [*references(), *searched("clt", dict.fromkeys(TASKS, 1000))]
    for other in ({"target_loss": 0.5}, {"ranking": "random"}, {"ablation": "zero"}):
        records += searched("clt", dict.fromkeys(TASKS, 1), **other)
    assert standings(records)["clt", "native", "unit"].scores["edges"].value == pytest.approx(1000)


def test_verified_edges_rank_once_every_row_has_them():
    records = [*references(edges=100), *searched("clt", dict.fromkeys(TASKS, 10))]

    def verified(row, value):
        return replace(row, metric="verified_edges", value=value)

    some = [verified(row, 1.0) for row in records if row.metric == "edges" and row.method != "clt"]
    assert ranks([*records, *some])["clt"] == 1
    others = [verified(row, 50.0) for row in records if row.metric == "edges" and row.method == "clt"]
    assert ranks([*records, *some, *others])["clt"] == 3


@pytest.mark.parametrize(
    ("circuits", "metric"),
    [
        ([], "edges"),
        ([{"edges": "ok"}], "edges"),
        ([{"edges": "ok", "verified_edges": "ok"}, {"edges": "ok", "verified_edges": "undefined"}], "verified_edges"),
        ([{"edges": "ok", "verified_edges": "ok"}, {"edges": "not_reached"}, {}], "verified_edges"),
        ([{"edges": "ok", "verified_edges": "ok"}, {"edges": "ok"}], "edges"),
    ],
)
def test_verified_edges_are_the_size_once_every_circuit_that_has_edges_was_asked(circuits, metric):
    assert size_metric(circuits) == metric


def test_a_circuit_whose_edges_could_not_be_verified_has_all_of_them_and_loses_nothing_more():
    records = [*references(edges=100), *searched("clt", dict.fromkeys(TASKS, 10))]
    edges = [row for row in records if row.metric == "edges"]
    told = [replace(row, metric="verified_edges", value=40.0) for row in edges if row.method != "clt"]
    told += [
        replace(row, metric="verified_edges", value=None, status="undefined", reason="opaque")
        for row in edges
        if row.method == "clt"
    ]
    assert ranks([*records, *told])["clt"] == 1


# Statuses


def test_models_whose_validation_losses_differ_are_unmatched_with_all_that_is_fitted_on_them():
    records = [
        *(row for row in references() if row.metric != "validation_loss"),
        *trained("weight_sparse", loss=2.0)[:1],
        *trained("dense", loss=2.03)[:1],
        *searched("sae", {"easy": 10}, variant="errors_ablated"),
        *searched("other", {"easy": 10}),
    ]
    statuses = {place[0]: (one.status, one.reason) for place, one in standings(records).items()}
    assert statuses["weight_sparse"] == (
        "unmatched",
        "validation loss of weight_sparse is -0.030 nats from that of dense",
    )
    assert statuses["dense"][0] == "unmatched"
    assert statuses["sae"] == ("unmatched", "validation loss of dense is +0.030 nats from that of weight_sparse")
    assert statuses["other"][0] == "one_seed"


def test_a_difference_within_the_tolerance_is_matched():
    records = [*references(), *trained("other", loss=2.019), *searched("other", {"easy": 10})]
    assert standings(records)["other", "native", "unit"].status == "one_seed"


def test_it_is_the_mean_over_seeds_that_has_to_match():
    def statuses(*losses):
        records = [row for seed in range(len(losses)) for row in references(seed=seed)]
        for seed, loss in enumerate(losses):
            records += [*trained("other", loss=loss, seed=seed), *searched("other", {"easy": 10}, seed=seed)]
        return standings(records)["other", "native", "unit"]

    assert statuses(2.05, 1.96, 2.02).status == "ok"
    apart = statuses(2.05, 1.99, 2.05)
    assert apart.status == "unmatched"
    told = "validation loss of other is +0.030 nats from that of weight_sparse, -0.010 to +0.050 by seed"
    assert apart.reason == told


def test_a_method_that_failed_says_so():
    failure = Measurement("validation_loss", status="failed", reason="RuntimeError: no luck")
    where = {"preset": "quick", "method": "broken", "variant": "native", "seed": 0}
    one = standings([*references(), Record.of(failure, **where)])["broken", "native", ""]
    assert (one.status, one.rank, one.profile_area.value) == ("failed", None, None)
    assert one.reason.startswith("RuntimeError: no luck")


# Seeds


def test_each_seed_has_its_own_reference_tasks_and_three_have_an_interval():
    records = []
    for seed, edges in enumerate((10, 100, 1000)):
        records += [*references(seed=seed), *searched("clt", dict.fromkeys(TASKS, edges), seed=seed)]
    one = standings(records)["clt", "native", "unit"]
    assert (one.seeds, one.tasks, one.tasks_reached, one.status) == (3, 3, 3, "ok")
    assert one.profile_area.value == pytest.approx(0.5)
    half = 4.302652729911275 * 0.25 / math.sqrt(3)
    assert one.profile_area[1:] == (0, 1)  # an area is within 0 to 1, so its limits are, and half is 0.62
    edges = one.scores["edges"]
    assert edges.value == pytest.approx(100)
    assert (edges.low, edges.high) == pytest.approx((100 / 10 ** (4 * half), 100 * 10 ** (4 * half)))


def scored(metric, by_seed):
    """A method with values of a metric, task by task, for each seed."""
    records = []
    for seed, values in enumerate(by_seed):
        records += references(seed=seed)
        for task, value in zip(TASKS, values, strict=True):
            where = {"preset": "quick", "method": "clt", "variant": "native", "graph": "unit", "task": task}
            where |= {"ranking": "mask", "ablation": "mean", "target_loss": 0.15, "seed": seed}
            records.append(Record.of(Measurement(metric, value), **where))
    return standings(records)["clt", "native", "unit"].scores[metric]


def test_one_task_whose_denominator_is_small_does_not_outweigh_the_others():
    found = scored("logit_difference_r2", [(0.9, 0.8, -50.0), (0.9, -90.0, 0.7), (0.6, 0.5, 0.4)])
    assert found.value == 0.7  # the median of 0.8, 0.7 and 0.5
    assert found.low < found.value < found.high <= 1
    assert scored("circuit_loss", [(1.0, 2.0, 9.0)]).value == 4.0  # nats are summed up by their mean


@pytest.mark.parametrize(
    ("metric", "values", "limits"),
    [
        ("faithfulness", (0.99, 0.9, 0.6), (-math.inf, 1.0)),
        ("idle_share", (0.0, 0.1, 0.9), (0.0, 1.0)),
        ("circuit_loss", (0.01, 0.02, 0.9), (0.0, math.inf)),
        ("prediction_rank_correlation", (0.99, -0.9, 0.9), (-1.0, 1.0)),
        ("path_length", (1.0, 1.0, 3.0), (1.0, math.inf)),
        ("nodes", (1.0, 1.0, 400.0), (0.0, math.inf)),
    ],
)
def test_limits_over_seeds_stay_within_the_range_of_the_metric(metric, values, limits):
    found = scored(metric, [(value,) * 3 for value in values])
    assert limits[0] <= found.low <= found.value <= found.high <= limits[1]


def test_below_three_seeds_there_is_no_interval():
    records = [row for seed in (0, 1) for row in references(seed=seed)]
    one = standings(records)["dense", "native", "unit"]
    assert one.profile_area[1:] == one.scores["edges"][1:] == (None, None)
    assert one.row["edges_low"] == one.row["edges_high"] == ""
    assert one.status == "ok"


def test_tasks_reached_are_a_mean_over_seeds():
    records = [*references(seed=0), *references(seed=1)]
    records += [*searched("clt", {"easy": 1, "hard": None}, seed=0), *searched("clt", {"easy": 1, "hard": 1}, seed=1)]
    one = standings(records)["clt", "native", "unit"]
    assert (one.tasks, one.tasks_reached, one.tasks_solved) == (2, 1.5, 2)


# The file


def test_the_columns_are_those_of_the_contract_and_every_metric_has_limits():
    names = header()
    assert names[:9] == [
        *("preset", "method", "variant", "graph", "rank", "group", "seeds", "tasks", "tasks_solved"),
    ]
    for metric in METRICS:
        at = names.index(metric)
        assert names[at : at + 3] == [metric, f"{metric}_low", f"{metric}_high"]
    assert len(set(names)) == len(names)


def test_the_file_is_the_same_whatever_the_order_of_the_records():
    records = [*references(), *searched("clt", {"easy": 10})]
    one, two = (table(leaderboard(rows, {"quick": RULES})) for rows in (records, records[::-1]))
    assert one == two
    rows = list(csv.DictReader(io.StringIO(one)))
    assert [row["rank"] for row in rows] == ["1", "1", "3"]
    assert list(rows[0]) == header()
    assert rows[0]["edges"] == "100"


def test_presets_are_ranked_apart():
    records = references()
    smoke = [replace(row, preset="smoke", value=1.0) if row.metric == "edges" else row for row in references()]
    smoke = [replace(row, preset="smoke") for row in smoke]
    found = leaderboard([*smoke, *records], {})
    assert [(one.preset, one.rank) for one in found] == [("quick", 1), ("quick", 1), ("smoke", 1), ("smoke", 1)]


def test_the_rules_of_a_run_come_from_its_settings_and_its_methods():
    from benchmark.discovery.settings import CircuitConfig

    rules = rules_of(CircuitConfig(target_loss=0.1))
    assert rules.target_loss == 0.1
    assert {"random_weights", "random_dictionary"} <= rules.controls
    assert ("sae", "errors_available") in rules.unranked
    assert rules.explains["clt"] == "dense"
    assert rules.control_tasks == {"nonsense"}


# The table


def shown(records) -> str:
    rows = [one.row for one in leaderboard(records, {"quick": RULES})]
    text = io.StringIO()
    Console(file=text, width=80).print(leaderboard_table(rows))
    return text.getvalue()


def test_the_table_fits_eighty_columns():
    records = [*references(edges=99_999), *searched("activation_sparse", {"easy": 1_234_567})]
    for variant in ("errors_ablated", "errors_available"):
        for graph in ("unit", "channel"):
            records += searched("random_dictionary", {"easy": 12_345_678}, variant=variant, graph=graph)
    losses = {"robust_faithfulness": -0.25, "pooled_label_score": 12.34, "validation_loss": 2.5}
    where = {"preset": "quick", "method": "random_dictionary", "variant": "errors_available", "seed": 0}
    records += [Record.of(Measurement(name, value), **where) for name, value in losses.items()]
    table = shown(records)
    assert max(map(len, table.splitlines())) <= 80
    assert "…" not in table
    for text in (
        "activation_sparse",
        "random_dictionary",
        "available",
        "100k",
        "1235k",
        "12.3M",
        "3/3",
        "-0.25",
        "2.50",
    ):
        assert text in table


def test_the_table_shows_nothing_where_there_is_no_number():
    line = next(line for line in shown([*references(), *searched("clt", {"easy": None})]).splitlines() if "clt" in line)
    assert line.split() == ["3", "clt", "1", "0/1", "0.00"]


def test_the_table_marks_losses_that_do_not_match():
    lines = shown([*references(), *trained("other", loss=2.5), *searched("other", {"easy": 10})]).splitlines()
    assert [line.split()[-1] for line in lines if "other" in line or "dense" in line] == ["2.00", "2.50!"]


def test_rows_of_two_versions_of_a_metric_are_not_added_up():
    rows = references()
    older = [replace(row, metric_version=1) if row.metric == "edges" and row.method == "dense" else row for row in rows]
    with pytest.raises(ValueError, match="rows of edges in preset 'quick' are of versions 1 and 2"):
        leaderboard(older, {"quick": RULES})


# Dictionaries that explain nothing


@pytest.mark.parametrize(
    ("metric", "value", "said"),
    [
        ("fvu", 1.3, "fvu 1.3: worse than predicting the mean"),
        ("fvu", 1e17, "fvu 1e+17: worse than predicting the mean"),
        ("dead_fraction", 0.75, "dead_fraction 0.75: most of its features never fire"),
    ],
)
def test_a_useless_dictionary_of_any_seed_failed_and_is_not_ranked(metric, value, said):
    rows = [*references(), *searched("clt", dict.fromkeys(TASKS, 2), variant="errors_ablated")]
    where = {"preset": "quick", "method": "clt", "variant": "errors_ablated"}
    sound = Record.of(Measurement(metric, 0.3), **where, seed=0)
    row = standings([*rows, sound])["clt", "errors_ablated", "unit"]
    assert row.rank == 1
    broken = Record.of(Measurement(metric, value), **where, seed=1)
    row = standings([*rows, sound, broken])["clt", "errors_ablated", "unit"]
    assert (row.rank, row.status) == (None, "failed")
    assert row.reason == f"{said}; not ranked: the dictionary is useless"


def test_a_null_may_explain_less_than_the_mean_and_stays_listed():
    rows = [*references(), *searched("null", dict.fromkeys(TASKS, 2))]
    rows.append(Record.of(Measurement("fvu", 1.3), preset="quick", method="null", variant="native", seed=0))
    assert standings(rows)["null", "native", "unit"].status != "failed"
