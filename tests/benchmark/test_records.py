"""The tidy files of a run: what may stand in them, and what a run does to those of an earlier one."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.records import (
    Cost,
    Measurement,
    Record,
    columns,
    merge,
    read_costs,
    read_measurements,
    read_records,
    update_costs,
    update_records,
    write_measurements,
)

DESIGNED = (
    "preset, method, variant, graph, task, concept, seed, ranking, ablation, target_loss, metric, metric_version, "
    "value, low, high, interval, n, unit, status, reason, config_hash, code_version"
)


def record(metric="edges", value=12.0, **more) -> Record:
    where = {"preset": "quick", "method": "dense", "variant": "native", "graph": "unit", "task": "for_while"}
    return Record.of(Measurement(metric, value), **{**where, "seed": 0, "target_loss": 0.15, **more})


def test_the_columns_are_those_of_the_contract():
    assert ", ".join(columns(Record)) == DESIGNED
    assert ", ".join(columns(Cost)) == "preset, method, variant, graph, task, seed, kind, seconds, peak_mib, workers"
    assert columns(Record)[Record.KEY - 1] == "metric"
    assert columns(Cost)[Cost.KEY - 1] == "kind"


def test_a_record_takes_unit_and_version_from_the_registry():
    assert (record().unit, record().metric_version) == ("edges", 2)
    assert record("faithfulness", 0.5).unit == "share"


def test_what_is_written_is_read_again(tmp_path):
    rows = [
        record(),
        record("faithfulness", 0.1 + 0.2, low=None),
        Record(metric="nodes", method="sae", status="failed", reason='RuntimeError: a "quoted", comma'),
    ]
    update_records(tmp_path / "records.csv", rows)
    assert read_records(tmp_path / "records.csv") == sorted(
        [rows[0], record("faithfulness", 0.3), rows[2]], key=lambda row: (row.preset, row.metric)
    )


def test_a_run_replaces_rows_with_its_keys_and_keeps_all_others(tmp_path):
    path = tmp_path / "out" / "records.csv"
    update_records(path, [record(value=1.0), record(task="with_as", value=2.0), record(preset="smoke", value=3.0)])
    rows = update_records(path, [record(value=9.0), record(target_loss=0.1, value=4.0)])
    assert sorted(row.value for row in rows) == [2, 3, 4, 9]
    assert read_records(path) == rows


def test_a_status_takes_the_place_of_an_earlier_number(tmp_path):
    path = tmp_path / "records.csv"
    update_records(path, [record(value=1.0)])
    gone = Measurement("edges", status="not_reached", reason="the lowest loss is 0.4")
    key = {name: getattr(record(), name) for name in columns(Record)[:10]}
    assert [row.status for row in update_records(path, [Record.of(gone, **key)])] == ["not_reached"]


def test_the_same_rows_give_the_same_bytes_in_any_order(tmp_path):
    rows = [record(seed=seed, task=task) for seed in (10, 2, 0) for task in ("b", "a")]
    update_records(tmp_path / "one.csv", rows)
    update_records(tmp_path / "two.csv", rows[:3])
    update_records(tmp_path / "two.csv", rows[::-1])
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert [row.seed for row in read_records(tmp_path / "one.csv")] == [0, 2, 10, 0, 2, 10]


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None, max_examples=50)
def test_writing_what_was_read_changes_nothing(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("records")
    update_records(folder / "one.csv", [record("loss_increase", value, target_loss=abs(value))])
    update_records(folder / "two.csv", read_records(folder / "one.csv"))
    update_records(folder / "one.csv", read_records(folder / "two.csv"))
    assert (folder / "one.csv").read_bytes() == (folder / "two.csv").read_bytes()
    assert read_records(folder / "one.csv")[0].value == pytest.approx(value, rel=1e-9)


@given(st.text())
@settings(deadline=None, max_examples=50)
def test_any_reason_stays_one_line(tmp_path_factory, reason):
    path = tmp_path_factory.mktemp("records") / "records.csv"
    update_records(path, [Record(metric="edges", method="dense", status="failed", reason="why: " + reason)])
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2
    assert read_records(path)[0].reason == " ".join(("why: " + reason).split())


def test_costs_are_kept_in_the_same_way(tmp_path):
    path = tmp_path / "costs.csv"
    update_costs(path, [Cost(preset="quick", kind="corpus", seconds=3.25, peak_mib=400.0, workers=2)])
    update_costs(path, [Cost(preset="quick", kind="train", method="dense", seed=0, seconds=40.0)])
    update_costs(path, [Cost(preset="quick", kind="corpus", seconds=4.0)])
    assert [(row.kind, row.seconds) for row in read_costs(path)] == [("corpus", 4.0), ("train", 40.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no records file: it lacks the columns preset, method"),
        ("name,score\nme,1\n", "is no records file: it lacks the columns preset, method"),
        (DESIGNED.replace(", ", ",").replace(",status", "") + "\n", "it lacks the columns status"),
        (DESIGNED.replace(", ", ",") + ",mine\n", "has columns that would be lost: mine"),
        (DESIGNED.replace(", ", ",") + "\nquick,dense\n", "line 2: 2 values under 22 columns"),
        (DESIGNED.replace(", ", ",") + "\nq,d,n,u,t,,0,,,,edges,1,many,,,,,,ok,,,\n", "line 2: could not convert"),
        (DESIGNED.replace(", ", ",") + "\nq,d,n,u,t,,0,,,,edges,1,3,,,,,,fine,,,\n", "unknown status 'fine'"),
        (DESIGNED.replace(", ", ",") + '\n"q,d\n', "is no records file"),
        (b"\xff\xfe\x00", "is no records file"),
    ],
)
def test_a_foreign_file_is_named_and_left_as_it_is(tmp_path, text, message):
    path = tmp_path / "records.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message) as error:
        update_records(path, [record()])
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["records.csv"]


def test_a_value_that_is_not_finite_is_undefined():
    for value in (math.nan, math.inf):
        measured = Measurement("cpr", value, low=0.1, high=0.2, interval="prompts")
        assert (measured.value, measured.low, measured.interval, measured.status) == (None, None, "", "undefined")
        assert measured.reason == f"cpr came out as {value}"
    assert Measurement("cpr", math.nan, reason="empty equals whole").reason == "empty equals whole"


def test_whole_numbers_are_values_too():
    measured = Measurement("parameters", 12_345_678, low=1, high=2, interval="seeds")
    assert (type(measured.value), measured.value, measured.low) == (float, 12_345_678, 1)


def test_an_interval_with_an_unknown_limit_is_none():
    measured = Measurement("cpr", 0.5, low=math.nan, high=0.7, interval="seeds")
    assert (measured.value, measured.low, measured.high, measured.interval) == (0.5, None, None, "")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"value": 3.0, "status": "not_reached", "reason": "why"}, "the value 3.0 cannot stand beside it"),
        ({"status": "failed"}, "the status failed needs a reason"),
        ({}, "the status is ok but there is no value"),
        ({"value": 1.0, "status": "good"}, "unknown status 'good'; choose from ok, not_reached"),
        ({"value": 1.0, "low": 0.0, "high": 2.0, "interval": "tasks"}, "unknown interval 'tasks'; choose from seeds"),
    ],
)
def test_a_number_never_stands_in_place_of_a_status(row, message):
    for kind in (Measurement, lambda metric, **row: Record(metric=metric, method="dense", **row)):
        with pytest.raises(ValueError, match=message):
            kind("edges", **row)


def test_a_number_may_stand_beside_a_warning():
    assert Measurement("edges", 3.0, status="unmatched", reason="0.03 nats apart").value == 3
    assert Measurement("edges", 3.0).without_value("unsolved", "too hard").status == "unsolved"


def test_a_cells_measurements_are_read_as_they_were_written(tmp_path):
    rows = [
        Measurement("edges", 1 / 3, low=0.1, high=0.5, interval="prompts", n=64),
        Measurement("nodes", status="not_reached", reason="0.3"),
        Measurement("cpr", math.nan),
    ]
    write_measurements(rows, tmp_path)
    assert read_measurements(tmp_path) == rows
    (tmp_path / "records.json").write_text('[{"metric": "edges", "valu": 1}]')
    with pytest.raises(ValueError, match="is no list of measurements"):
        read_measurements(tmp_path)


def test_a_cell_that_measures_nothing_has_no_rows(tmp_path):
    assert read_measurements(tmp_path) == []


def test_two_new_rows_with_one_key_are_our_mistake():
    with pytest.raises(AssertionError, match="same key"):
        merge([], [record(value=1.0), record(value=2.0)])
