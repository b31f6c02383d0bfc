"""From an assessment to records, JSON and `bench show METHOD --concept NAME`."""

import dataclasses
import json
import math
from itertools import takewhile
from pathlib import Path

import planted_meanings
import pytest
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.metrics import METRICS
from benchmark.records.table import RECORDS, Measurement, Record, read_records, write_table
from benchmark.running.cells import Order
from benchmark.running.store import Store
from benchmark.validity.rows import measurements, write_validity

KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def found():
    """A detector of strings in calls, which is called one of strings; and a concept that never holds."""
    world = planted_meanings.conjunction()
    names = {"A": "in_string", "B": "in_call", "A and B": "in_string_and_in_call"}
    labels = {names[name]: labels for name, labels in world.labels.items()}
    return dataclasses.replace(world, labels={**labels, "in_comment": [0] * 4}, parts={}).assessed()


@pytest.fixture
def run(found, tmp_path, monkeypatch):
    """A run of one assessment, in the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    store = Store(Path("store"))
    order = Order(KEY, "validity", "", {"method": "dense", "variant": "native", "seed": 0}, {})
    write_validity(found, store.partial(order))
    store.commit(order, 1.0, 1)
    rows = [
        Record.of(row, preset="quick", method="dense", variant="native", seed=0, config_hash=KEY[:12])
        for row in measurements(found)
    ]
    write_table(Path("results", RECORDS), rows, Record)


def call(*arguments):
    return CliRunner().invoke(main, list(arguments))


def test_what_the_store_does_not_have_is_named_and_the_rest_is_shown(run):
    rows = read_records(Path("results", RECORDS))
    made_elsewhere = [dataclasses.replace(row, seed=1, config_hash="f" * 12) for row in rows]
    failed = Measurement("label_replacement_score", status="failed", reason="out of memory", concept="in_string")
    columns = {"preset": "quick", "method": "dense", "variant": "native", "seed": 2}
    write_table(Path("results", RECORDS), [*rows, *made_elsewhere, Record.of(failed, **columns)], Record)
    shown = call("show", "dense", "--concept", "in_string")
    assert shown.exit_code == 0, shown.output
    assert "in_string in dense native, seed 0" in shown.output
    missing = "dense (native, in_string), seed 1, cannot be shown: its artifact ffffffffffff is not in store 'store'"
    assert missing in shown.output
    assert "seed 2, cannot be shown: its cell failed: out of memory" in shown.output
    as_json = json.loads(call("show", "dense", "--concept", "in_string", "--json").output)
    assert [set(each) >= {"concept"} for each in as_json] == [True, False, False]
    assert as_json[1]["not_shown"].startswith(missing)


def test_names_are_shown_with_what_they_are_worth_and_illusions_in_full(run):
    shown = call("show", "dense", "--names")
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    assert lines[0] == "dense native, seed 0: nodes with a name 1, of which 1 judged"
    assert lines[1] == "  1 illusion"
    assert any("in_string" in line and "illusion" in line for line in lines)
    assert "    better explained by in_string_and_in_call, 1.00" in lines
    assert any(line.startswith("    share of activations with the name: high 1.00, middle -, ") for line in lines)
    assert any(line.startswith("    high ") and "⟦" in line for line in lines)
    assert max(map(len, lines)) <= 80
    (as_json,) = json.loads(call("show", "dense", "--names", "--json").output)
    assert as_json["named"][0]["verdict"] == "illusion"
    assert as_json["nodes_with_a_name"] == 1


@pytest.mark.parametrize("others", [[], ["dense", "if_else"], ["dense", "--concept", "in_string"]])
def test_names_go_with_a_method_alone(run, others):
    shown = call("show", *others, "--names")
    assert shown.exit_code == 2
    assert shown.output.splitlines()[-1].endswith("`bench show dense --names`")


def test_names_of_a_method_without_any_are_an_error_in_one_line(run):
    shown = call("show", "sae", "--names")
    assert (shown.exit_code, len(shown.output.splitlines())) == (2, 1)


def test_where_nothing_can_be_shown_it_is_an_error_in_one_line(run):
    shown = call("show", "dense", "--concept", "in_string", "--store", "elsewhere")
    assert shown.exit_code == 2
    assert len(shown.output.splitlines()) == 1


def test_every_measurement_is_of_a_registered_metric_and_in_its_range(found):
    rows = list(measurements(found))
    assert {row.metric for row in rows} <= METRICS.keys()
    for row in rows:
        if row.value is not None:
            assert METRICS[row.metric].low <= row.value <= METRICS[row.metric].high, row
    keys = [(row.metric, row.concept) for row in rows]
    assert len(keys) == len(set(keys))


def test_measurements_are_the_numbers_of_the_assessment(found):
    by_key = {(row.metric, row.concept): row for row in measurements(found)}
    claimed = found.concepts[0]
    row = by_key["label_replacement_score", "in_string"]
    score = claimed.controls["label"]
    assert (row.value, row.low, row.high, row.interval, row.n) == (
        score.value,
        score.low,
        score.high,
        "prompts",
        claimed.choices["by_precision"].windows,
    )
    assert by_key["p_active_given_concept", "in_string"].value == claimed.observed.p_active_given_concept
    assert by_key["pooled_label_score", ""].value == found.pooled["by_precision"]["label"].value
    assert by_key["named_nodes", ""].value == 1
    middle = by_key["middle_band_purity", "in_string"]
    assert (middle.value, middle.status, middle.reason) == (None, "undefined", "the middle band is empty")


def test_concept_without_a_score_is_undefined_with_its_reason_under_every_control(found):
    rows = [row for row in measurements(found) if row.concept == "in_comment"]
    assert "label_replacement_score" in {row.metric for row in rows}
    assert {row.status for row in rows} == {"undefined"}
    assert {"rate 0 over" in row.reason for row in rows} == {True}


@pytest.mark.parametrize(("name", "unused"), [("exact", 0.0), ("unread", 1.0)])
def test_rates_are_over_the_concepts_that_were_measured(name, unused):
    world = getattr(planted_meanings, name)()
    assessed = dataclasses.replace(world, labels={**world.labels, "never": [0] * len(world.share)}).assessed()
    rows = {row.metric: row for row in measurements(assessed) if not row.concept}
    assert (rows["undefined_rate"].value, rows["unused_rate"].value) == (0.0, unused)


@pytest.mark.parametrize(("name", "verdict"), [("conjunction", "illusion"), ("graded", "graded")])
def test_rate_of_a_verdict_is_over_the_named_nodes_with_a_score(name, verdict):
    world = getattr(planted_meanings, name)()
    assessed = world.assessed()
    assert len(assessed.named) == 1
    named = [
        dataclasses.replace(assessed.named[0], verdict=each)
        for each in (verdict, "meant", "meant", "meant", "undefined")
    ]
    rows = {row.metric: row for row in measurements(dataclasses.replace(assessed, named=named)) if not row.concept}
    assert rows[f"{verdict}_rate"].value == 0.25
    assert rows["named_nodes"].value == 4
    nobody = {row.metric: row for row in measurements(dataclasses.replace(assessed, named=[])) if not row.concept}
    assert nobody[f"{verdict}_rate"].status == "undefined"


def test_json_holds_everything_and_null_for_what_is_undefined(found, tmp_path):
    write_validity(found, tmp_path)
    content = json.loads((tmp_path / "validity.json").read_text())
    assert [row["concept"] for row in content["concepts"]] == [row.concept for row in found.concepts]
    assert (
        content["concepts"][0]["choices"]["by_precision"]["controls"]["label"]["value"]
        == found.concepts[0].controls["label"].value
    )
    assert content["concepts"][0]["observed"]["purity"]["middle"] is None
    assert math.isnan(found.concepts[0].observed.purity["middle"])


@pytest.mark.usefixtures("run")
def test_show_prints_controls_bands_and_five_examples_of_each():
    shown = call("show", "dense", "--concept", "in_string")
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("in_string in dense native, seed 0: label replacement score 0.4")
    for control in (
        "the node as it is",
        "its mean everywhere",
        "its mean given the label",
        "labels shifted to other text",
    ):
        assert control in shown.stdout
    assert "  top positions where it holds 1.00" in lines
    (true,) = [line for line in lines if "the node as it is" in line]
    assert true.split()[-5:] == ["1.00", "1.00", "to", "1.00", "+0.00000"]
    for band, examples in (("high", 5), ("middle", 0), ("low", 0), ("zero", 5)):
        (heading,) = [index for index, line in enumerate(lines) if line.startswith(f"  {band} band, ")]
        following = list(takewhile(lambda line: line.startswith("    "), lines[heading + 1 :]))
        assert len(following) == examples
        assert all("⟦" in line for line in following)


@pytest.mark.usefixtures("run")
def test_show_tells_the_nodes_that_are_named_by_a_concept():
    shown = call("show", "dense", "--concept", "in_string_and_in_call")
    named = call("show", "dense", "--concept", "in_string").stdout + shown.stdout
    assert f"named by it: {planted_meanings.WORDS_SITE}[0], illusion" in named
    assert "better: in_string_and_in_call 1.00" in named


@pytest.mark.usefixtures("run")
def test_show_of_a_concept_without_a_score_says_why():
    shown = call("show", "dense", "--concept", "in_comment")
    assert shown.exit_code == 0, shown.output
    assert "in_comment in dense native, seed 0: undefined, concept 'in_comment' is" in shown.stdout
    assert "rate 0 over" in shown.stdout


@pytest.mark.usefixtures("run")
def test_show_as_json_is_the_assessment(found):
    shown = json.loads(call("show", "dense", "--concept", "in_string", "--json").stdout)
    assert [(row["variant"], row["seed"], row["node"]) for row in shown] == [("native", 0, found.concepts[0].node)]
    assert (
        shown[0]["choices"]["by_precision"]["controls"]["label"]["value"] == found.concepts[0].controls["label"].value
    )


@pytest.mark.usefixtures("run")
def test_show_of_a_changed_artifact_is_one_line_with_its_name_its_file_and_the_remedy():
    file = Path("store", "artifacts", KEY, "validity.json")
    file.write_text(file.read_text().replace("0", "1"))
    done = call("show", "dense", "--concept", "in_string")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"{KEY} (validity dense native seed 0) is corrupt: validity.json does not have the checksum" in done.stderr
    assert "repeat the run that computed it" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.usefixtures("run")
def test_show_says_which_other_version_of_the_code_computed_a_concept(monkeypatch):
    assert "another version" not in call("show", "dense", "--concept", "in_string").stdout
    monkeypatch.setattr("benchmark.running.store.code_version", lambda: "9.9+new")
    last = call("show", "dense", "--concept", "in_string").stdout.splitlines()[-1]
    assert "computed by another version of the code: 1 cell by 0.1.0+" in last
    assert "this is 9.9+new" in last


@pytest.mark.usefixtures("run")
def test_a_terminal_that_cannot_show_a_character_gets_its_escape():
    shown = CliRunner(charset="cp1252").invoke(main, ["show", "dense", "--concept", "in_string"])
    assert shown.exit_code == 0, shown.output
    assert "\\u27e6" in shown.stdout


REFUSED = [
    (("show", "dense", "--concept", "nothing"), "unknown concept 'nothing'; choose from in_single_quoted_string"),
    (("show", "--concept", "in_string"), "--concept in_string goes with a METHOD"),
    (("show", "dense", "for_while", "--concept", "in_string"), "--concept in_string goes with a METHOD"),
    (("show", "bert", "--concept", "in_string"), "unknown method 'bert'; choose from"),
    (("show", "dense", "--concept", "in_braces"), "no score of concept in_braces for dense"),
    (
        ("show", "dense", "--concept", "in_string", "--store", "elsewhere"),
        "its artifact 0123456789ab is not in store 'elsewhere'",
    ),
]


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(("arguments", "said"), REFUSED, ids=[" ".join(arguments) for arguments, _ in REFUSED])
def test_bad_usage_is_one_line_with_exit_code_2(arguments, said):
    done = call(*arguments)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_show_without_any_run_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call("show", "dense", "--concept", "in_string")
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
