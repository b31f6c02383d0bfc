"""The data of the standard figures: right numbers by hand, nothing drawn that is not a number, and what is missing."""

import dataclasses
import math
import subprocess
import sys

import pytest
from toy_methods import installed, toy_method
from toy_results import RULES, circuits, row, tables

from benchmark.methods import METHODS
from benchmark.records.curves import CURVES, CurveRow
from benchmark.records.table import write_table
from benchmark.report.figures import FIGURES, figure
from benchmark.report.figures.data import Point, Series, series_of
from benchmark.report.figures.style import LIGHT, style
from benchmark.studies.frontier import SweepRow, write_sweep
from benchmark.studies.regret_table import KEY

TASKS = ("for_while", "with_as", "else_elif")
BOTH = [
    *circuits("weight_sparse", dict(zip(TASKS, (2, 8, 4), strict=True)), loss=2.5),
    *circuits("dense", dict(zip(TASKS, (100, 400, "not_reached"), strict=True)), loss=2.75, faithful=0.5),
]


def drawn(name, records, **more):
    return figure(name, tables(records, **more))


def by_name(found):
    return {series.name: series for series in found.series}


# Sizes


def test_sizes_are_geometric_means_over_the_tasks_that_all_methods_reach():
    found = by_name(drawn("size_loss", BOTH))
    assert (found["weight_sparse"].x, found["dense"].x) == ((2.5,), (2.75,))
    assert found["weight_sparse"].y == pytest.approx([4.0])  # of 2 and 8: else_elif is not reached by both
    assert found["dense"].y == pytest.approx([200.0])


def test_sizes_of_methods_that_share_no_task_are_over_their_own_and_the_caption_says_so():
    rows = [*circuits("weight_sparse", {"for_while": 3}), *circuits("dense", {"with_as": 30})]
    found = drawn("size_loss", rows)
    assert [series.y[0] for series in found] == pytest.approx([3.0, 30.0])
    assert "no task is reached by all, so do not compare them" in found.caption


def test_intervals_are_over_seeds_from_three_on_and_else_over_tasks():
    one = drawn("size_loss", BOTH)
    assert "over tasks (fewer than three training seeds" not in one.caption  # two tasks make no interval
    assert one.series[0].y_low == (None,)
    assert "There are no intervals" in one.caption
    tasks = {"for_while": 2, "with_as": 8, "else_elif": 4, "var_if": 4}
    assert "over tasks (fewer than three training seeds" in drawn("size_loss", circuits("dense", tasks)).caption
    seeds = [each for seed in range(3) for each in circuits("dense", {"for_while": 2 ** (seed + 1)}, seed=seed)]
    found = drawn("size_loss", seeds)
    assert "over seeds." in found.caption
    (series,) = found.series
    half = 4.302652729911275 * math.log(2) / math.sqrt(3)  # Student's t with two degrees of freedom
    assert series.y_high == pytest.approx([4 * math.exp(half)])
    assert series.y_low == pytest.approx([4 * math.exp(-half)])


def test_faithfulness_is_over_the_same_circuits_as_the_sizes():
    found = by_name(drawn("size_faithfulness", BOTH))
    assert (found["dense"].x, found["dense"].y) == ((pytest.approx(200.0),), (0.5,))


def test_the_area_under_the_drawn_profile_is_the_one_that_ranks():
    made = tables(BOTH)
    found = figure("profile", made)
    for series in found.series:
        (place,) = (place for place in made.board.places if place.method == series.method)
        logs = [math.log(x, RULES.largest_size) for x in (*series.x, RULES.largest_size)]
        area = sum(y * (after - before) for y, before, after in zip(series.y, logs, logs[1:], strict=False))
        assert area == pytest.approx(made.board.area(place).value)
    assert max(by_name(found)["dense"].y) == pytest.approx(2 / 3)


def test_a_status_is_never_drawn_as_a_number():
    rows = [*BOTH, *circuits("clt", dict.fromkeys(TASKS, "unsolved"), variant="errors_ablated")]
    found = drawn("task_sizes", rows)
    assert {series.method: len(series) for series in found} == {"weight_sparse": 3, "dense": 2}
    assert "No circuit reaches the target: dense: else_elif; clt: " in found.caption
    assert set(found.x.categories) == set(TASKS)
    assert "No circuit reaches the target: clt." in drawn("size_loss", rows).caption


def test_a_task_s_only_circuit_has_the_interval_over_prompts():
    rows = circuits("dense", {"for_while": 8})
    rows = [
        dataclasses.replace(each, low=0.5, high=16.0, interval="prompts") if each.metric == "verified_edges" else each
        for each in rows
    ]
    (series,) = drawn("task_sizes", rows).series
    assert (series.y_low, series.y_high) == ((1.0,), (16.0,))


def test_controls_and_variants_that_are_listed_only_do_not_decide_which_tasks_are_shared():
    rows = [
        *BOTH,
        *circuits("random_weights", {"else_elif": 900}),
        *circuits("sae", {"for_while": 50, "with_as": 50}, variant="errors_ablated"),
        *circuits("sae", {"else_elif": 7}, variant="errors_available"),
    ]
    assert {series.name: series.y[0] for series in drawn("size_loss", rows)} == pytest.approx(
        {"weight_sparse": 4.0, "dense": 200.0, "sae": 50.0}
    )
    assert by_name(drawn("profile", rows))["random_weights"].emphasis == "secondary"


def test_a_dictionary_that_is_useless_is_drawn_open_and_the_caption_says_why():
    rows = [*circuits("sae", {"for_while": 5}, variant="errors_ablated"), row("fvu", 1.5, method="sae", variant="")]
    found = drawn("size_loss", rows)
    assert [series.emphasis for series in found] == ["secondary"]
    assert "No method is ranked here (sae: the dictionary is useless)." in found.caption


# Faithfulness


def test_faithfulness_under_an_ablation_is_that_of_the_circuits_that_count():
    where = {"graph": "unit", "task": "for_while", "ranking": "mask", "target_loss": 0.15, "method": "weight_sparse"}
    rows = [
        *BOTH,
        row("faithfulness", 0.25, ablation="zero", **where),
        row("faithfulness", 0.99, ablation="zero", **{**where, "ranking": "random"}),
        row("faithfulness", "undefined", ablation="resample", **where),
    ]
    found = drawn("ablations", rows)
    (series,) = (each for each in found if each.method == "weight_sparse")
    assert dict(zip((found.x.categories[int(x)] for x in series.x), series.y, strict=True)) == pytest.approx(
        {"mean": 0.9, "zero": 0.25, "least of four": 0.9}
    )


def test_agreement_is_drawn_by_the_change_of_the_prompts():
    where = {"graph": "unit", "task": "for_while", "ranking": "mask", "target_loss": 0.15, "method": "dense"}
    found = drawn("off_distribution", [*BOTH, row("agreement_nesting", 0.75, ablation="mean", **where)])
    (series,) = found.series
    assert (found.x.categories[int(series.x[0])], series.y) == ("nesting", (0.75,))


# Labels


def concept(name, score, high, own, precision, method="dense"):
    where = {"method": method, "concept": name}
    return [
        row("label_replacement_score", score, low=score - 0.1, high=high, interval="prompts", **where),
        row("quantised_score", own, **where),
        row("top_k_precision", precision, **where),
    ]


def test_illusions_are_names_that_people_would_give_and_whose_labels_fail():
    rows = [
        *circuits("dense", {"for_while": 5}),
        *concept("in_string", 0.1, 0.2, 0.8, 0.99),
        *concept("in_call", 0.1, 0.2, 0.8, 0.9),  # nobody would name it so
        *concept("in_comment", 0.1, 0.2, 0.3, 0.99),  # its magnitude matters
        *concept("in_list", 0.3, 0.6, 0.8, 0.99),  # undecided
        row("label_replacement_score", "undefined", method="dense", concept="in_tuple"),
        row("top_k_precision", 0.9, method="dense", concept="in_tuple"),
    ]
    found = drawn("labels", rows)
    series = by_name(found)
    assert series["dense, illusions"].emphasis == "highlight"
    assert series["dense, illusions"].text == ("in_string, seed 0: score 0.10, precision 0.99",)
    assert len(series["dense"]) == 3
    assert "1 scores are undefined" in found.caption


# Curves and studies


def curve(folder, rows):
    points = [
        CurveRow(preset="quick", variant="errors_available", unit="layers replaced", n=8, **each) for each in rows
    ]
    write_table(folder / CURVES, points, CurveRow)


def test_errors_over_layers_have_their_sum_beside_them(tmp_path):
    of = {"method": "sae", "seed": 0, "curve": "error_compounding"}
    values = {"kl": (0.0, 0.1, 0.4), "additive_kl": (0.0, 0.1, 0.25)}
    at = [(name, x, value) for name, line in values.items() for x, value in enumerate(line)]
    curve(tmp_path, [{**of, "series": name, "x": x, "value": value} for name, x, value in at])
    found = drawn("compounding", BOTH, folder=tmp_path)
    assert [(series.name, series.y, series.emphasis) for series in found] == [
        ("sae", (0.0, 0.1, 0.4), "normal"),
        ("sae, added up", (0.0, 0.1, 0.25), "secondary"),
    ]


def test_dilution_leaves_out_variants_that_are_not_ranked(tmp_path):
    of = {"curve": "context_dilution", "series": "separation", "seed": 0, "x": 3}
    curve(tmp_path, [{**of, "method": "sae", "value": 9.0}, {**of, "method": "dense", "value": 5.0}])
    assert [(series.name, series.y) for series in drawn("dilution", BOTH, folder=tmp_path)] == [("dense", (5.0,))]


def test_regret_is_by_search_and_method(tmp_path):
    header = (*KEY, "model", "status", "edges", "robust_faithfulness", "regret")
    lines = [
        ("dense", "native", "unit", "for_while", 0, "mask", 1, 0, "m", "ok", 12, 0.5, 0.5),
        ("dense", "native", "unit", "for_while", 0, "exchanges", 1, 0, "m", "ok", 8, 0.5, 0.0),
        ("sae", "native", "unit", "for_while", 0, "exchanges", 1, 0, "m", "not_reached", "", "", ""),
    ]
    (tmp_path / "regret.csv").write_text("\n".join(",".join(map(str, line)) for line in (header, *lines)) + "\n")
    found = drawn("regret", BOTH, folder=tmp_path)
    assert found.x.categories == ("mask x1", "exchanges x1")
    assert [(series.name, series.x, series.y) for series in found] == [("dense", (0, 1), (0.5, 0.0))]


def test_the_sweep_is_relative_to_the_leading_reference_and_dominated_points_are_apart(tmp_path):
    empty = dict.fromkeys(field.name for field in dataclasses.fields(SweepRow))

    def point(family, name, loss, **more):
        counts = {"size_circuits": 2, "over_own_tasks": 0, "over_reference_tasks": 0, "circuits": 2, "seeds": 1}
        known = {"preset": "quick", "family": family, "point": name, "validation_loss": loss, "size_metric": "edges"}
        return SweepRow(**{**empty, **counts, "circuits_reached": 2, "status": "ok", "reason": "", **known, **more})

    ratio = {"over_reference": 5.0, "over_reference_low": 3.0, "over_reference_high": 9.0}
    points = [
        point("weight_sparse", "density=0.1", 2.5, size=4.0, dominated=False),
        point("weight_sparse", "density=0.2", 2.4, size=8.0, over_own=2.0, over_own_tasks=2, dominated=False),
        point("clt", "k=6", 2.6, **ratio, dominated=True),
        point("clt", "k=9", 2.7, status="not_reached", reason="none", circuits_reached=0),
    ]
    write_sweep(tmp_path, points)
    found = drawn("sweep", BOTH, folder=tmp_path)
    assert [(series.name, series.x, series.y, series.y_high) for series in found] == [
        ("weight_sparse", (2.5, 2.4), (1.0, 2.0), (None, None)),
        ("clt, dominated", (2.6,), (5.0,), (9.0,)),
    ]
    assert "Without a circuit: clt k=9." in found.caption


# All figures


@pytest.mark.parametrize("name", FIGURES)
def test_without_anything_to_draw_a_figure_says_what_is_missing(name, tmp_path):
    found = drawn(name, [row("validation_loss", 2.0, method="dense")], folder=tmp_path)
    assert not found.series
    (missing,) = found.missing
    assert missing.endswith(".")
    assert f"--out {tmp_path}`" in missing
    assert "nan" not in found.caption


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_its_name_and_a_sentence(name):
    assert figure(name, tables(BOTH)).name == name
    assert FIGURES[name].endswith(".")


def test_an_unknown_figure_names_the_choices():
    with pytest.raises(ValueError, match="unknown figure 'cat'; choose from size_loss, "):
        figure("cat", tables(BOTH))


def test_a_series_needs_columns_of_one_length_and_finite_numbers():
    with pytest.raises(ValueError, match="not finite"):
        series_of("a", [Point(0.0, math.nan)])
    with pytest.raises(ValueError, match="points"):
        Series("a", "", "", (1.0,), (), (), (), (), (), ())


def test_figures_load_no_torch():
    code = "import sys, benchmark.report.figures as each; print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "False"]


# Styles


def test_no_two_installed_methods_look_alike():
    looks = [(style(name).light, style(name).marker) for name in METHODS]
    assert len(set(looks)) == len(looks)
    first = [style(name) for name in METHODS if not METHODS[name].by_name and METHODS[name].role != "control"]
    assert len({look.light for look in first}) == len({look.marker for look in first}) == len(first)


def test_a_plug_in_changes_no_other_method_and_controls_are_grey():
    before = {name: style(name) for name in ("weight_sparse", "clt", "random_weights")}
    METHODS.add(toy_method("added"))
    try:
        assert {name: style(name) for name in before} == before
        assert style("added") not in before.values()
    finally:
        del METHODS._loaded.records["added"], METHODS._loaded.origins["added"]
    assert before["random_weights"].light not in LIGHT
    with installed(toy_method("alone")):
        assert style("not installed") == style("not installed")
