"""The tidy files of a run: what may stand in them, and what a run does to those of an earlier one."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import benchmark.records.table
from benchmark.disk import replace_files
from benchmark.files import printable
from benchmark.records.table import (
    Cost,
    Measurement,
    Record,
    columns,
    locked,
    merge,
    read_costs,
    read_measurements,
    read_records,
    table_text,
    without_cells,
    write_measurements,
    write_table,
)
from benchmark.studies.frontier import SweepRow, read_sweep

DESIGNED = (
    "preset, method, variant, graph, task, concept, seed, ranking, ablation, target_loss, metric, metric_version, "
    "value, low, high, interval, n, unit, status, reason, config_hash, code_version"
)


def record(metric="edges", value=12.0, **more) -> Record:
    where = {"preset": "quick", "method": "dense", "variant": "native", "graph": "unit", "task": "for_while"}
    return Record.of(Measurement(metric, value), **{**where, "seed": 0, "target_loss": 0.15, **more})


def update(path, new, kind=Record):
    """What a run does to a table of another one, cells apart."""
    rows = merge(read_costs(path) if kind is Cost else read_records(path), new)
    write_table(path, rows, kind)
    return rows


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
    update(tmp_path / "records.csv", rows)
    assert read_records(tmp_path / "records.csv") == sorted(
        [rows[0], record("faithfulness", 0.3), rows[2]], key=lambda row: (row.preset, row.metric)
    )


def test_a_run_replaces_rows_with_its_keys_and_keeps_all_others(tmp_path):
    path = tmp_path / "out" / "records.csv"
    update(path, [record(value=1.0), record(task="with_as", value=2.0), record(preset="smoke", value=3.0)])
    rows = update(path, [record(value=9.0), record(target_loss=0.1, value=4.0)])
    assert sorted(row.value for row in rows) == [2, 3, 4, 9]
    assert read_records(path) == rows


def test_a_status_takes_the_place_of_an_earlier_number(tmp_path):
    path = tmp_path / "records.csv"
    update(path, [record(value=1.0)])
    gone = Measurement("edges", status="not_reached", reason="the lowest loss is 0.4")
    key = {name: getattr(record(), name) for name in columns(Record)[:10]}
    assert [row.status for row in update(path, [Record.of(gone, **key)])] == ["not_reached"]


def test_the_same_rows_give_the_same_bytes_in_any_order(tmp_path):
    rows = [record(seed=seed, task=task) for seed in (10, 2, 0) for task in ("b", "a")]
    update(tmp_path / "one.csv", rows)
    update(tmp_path / "two.csv", rows[:3])
    update(tmp_path / "two.csv", rows[::-1])
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert [row.seed for row in read_records(tmp_path / "one.csv")] == [0, 2, 10, 0, 2, 10]


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=50)
def test_writing_what_was_read_changes_nothing(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("records")
    update(folder / "one.csv", [record("loss_increase", value, target_loss=abs(value))])
    update(folder / "two.csv", read_records(folder / "one.csv"))
    update(folder / "one.csv", read_records(folder / "two.csv"))
    assert (folder / "one.csv").read_bytes() == (folder / "two.csv").read_bytes()
    assert read_records(folder / "one.csv")[0].value == pytest.approx(value, rel=1e-9)


@given(st.text())
@settings(max_examples=50)
def test_any_reason_stays_one_line(tmp_path_factory, reason):
    path = tmp_path_factory.mktemp("records") / "records.csv"
    update(path, [Record(metric="edges", method="dense", status="failed", reason="why: " + reason)])
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2
    assert read_records(path)[0].reason == printable(" ".join(("why: " + reason).split()))


def test_costs_are_kept_in_the_same_way(tmp_path):
    path = tmp_path / "costs.csv"
    update(path, [Cost(preset="quick", kind="corpus", seconds=3.25, peak_mib=400.0, workers=2)], Cost)
    update(path, [Cost(preset="quick", kind="train", method="dense", seed=0, seconds=40.0)], Cost)
    update(path, [Cost(preset="quick", kind="corpus", seconds=4.0)], Cost)
    assert [(row.kind, row.seconds) for row in read_costs(path)] == [("corpus", 4.0), ("train", 40.0)]


HEADER = DESIGNED.replace(", ", ",") + "\n"


def line(**changes):
    """A line of a records file with some texts changed."""
    texts = dict.fromkeys(columns(Record), "") | {"preset": "q", "method": "d", "variant": "n", "graph": "u"}
    texts |= {
        "task": "t",
        "seed": "0",
        "metric": "edges",
        "metric_version": "1",
        "value": "3",
        "status": "ok",
    } | changes
    return ",".join(texts.values()) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a records file: it lacks the columns preset, method"),
        ("name,score\nme,1\n", "is not a records file: it lacks the columns preset, method"),
        (HEADER.replace(",status", ""), "it lacks the columns status"),
        (HEADER.replace("\n", ",mine\n"), "has columns that would be lost: mine"),
        (HEADER.replace("\n", ",status\n"), "has columns twice: status"),
        (HEADER + "quick,dense\n", "line 2: 2 values under 22 columns"),
        (HEADER + line(value="many"), "line 2, column value: 'many' is not a finite number"),
        (HEADER + line() + line(task="v", value="nan"), "line 3, column value: 'nan' is not a finite number"),
        (HEADER + line(high="1e400"), "line 2, column high: '1e400' is not a finite number"),
        (HEADER + line(target_loss="-inf"), "line 2, column target_loss: '-inf' is not a finite number"),
        (HEADER + line(value="1_000"), "column value: '1_000' is not a finite number"),
        (HEADER + line(seed="0.5"), "line 2, column seed: '0.5' is not a whole number"),
        (HEADER + line(metric_version=""), "line 2, column metric_version: '' is not a whole number"),
        (HEADER + line(status="fine"), "line 2: edges: unknown status 'fine'; choose from ok, not_reached"),
        (HEADER + line(interval="tasks"), "line 2: edges: unknown interval 'tasks'"),
        (HEADER + line(value=""), "line 2: edges: the status is ok but there is no value"),
        (HEADER + line() + line(seed="1") + line(value="4"), "line 4: has the same key as line 2"),
        (HEADER + line(target_loss="0.15") + line(target_loss="0.150"), "line 3: has the same key as line 2"),
        (HEADER + '"q,d\n', "line 2: not CSV"),
        (b"\xff\xfe\x00", "is not a records file: it is not UTF-8 text"),
    ],
)
def test_a_foreign_file_is_named_and_left_as_it_is(tmp_path, text, message):
    path = tmp_path / "records.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message) as error:
        update(path, [record()])
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["records.csv"]


def test_a_table_that_a_spreadsheet_saved_is_read_as_it_was(tmp_path):
    rows = merge([], [record(), Record(metric="nodes", method="dense", status="failed", reason="out of memory, again")])
    saved = b"\xef\xbb\xbf" + table_text(rows, Record).replace("\n", "\r\n").encode() + b"\r\n"
    (tmp_path / "records.csv").write_bytes(saved)
    assert read_records(tmp_path / "records.csv") == rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "fine"}, "line 2, column status: 'fine' is not one of ok, not_reached, failed"),
        ({"dominated": "maybe"}, "line 2, column dominated: 'maybe' is not one of True, False"),
        ({"l0": "inf"}, "line 2, column l0: 'inf' is not a finite number"),
        ({"circuits": ""}, "line 2, column circuits: '' is not a whole number"),
    ],
)
def test_other_tables_are_checked_alike(tmp_path, change, message):
    counts = ("size_circuits", "over_own_tasks", "over_reference_tasks", "circuits", "circuits_reached", "seeds")
    texts = {"status": "ok", **dict.fromkeys(counts, "1"), "dominated": "TRUE"}
    for changes in ({}, change):
        values = [(texts | changes).get(name, "") for name in columns(SweepRow)]
        (tmp_path / "sweep.csv").write_text(f"{','.join(columns(SweepRow))}\n{','.join(values)}\n")
        if not changes:
            assert read_sweep(tmp_path)[0].dominated is True
    with pytest.raises(ValueError, match=re.escape(message)):
        read_sweep(tmp_path)


def test_rows_of_a_cell_go_whatever_their_metric():
    circuit, profile = record(), record("validation_loss", task="", graph="")
    label = record("label_replacement_score", task="", graph="", concept="in_string")
    unknown = replace(profile, metric="no_longer_known")
    rows = [circuit, record("second_circuit_nodes"), record(seed=1), profile, label, unknown]
    assert without_cells(rows, {circuit.cell}) == [record(seed=1), profile, label, unknown]
    assert without_cells(rows, {profile.cell}) == [circuit, rows[1], rows[2], label]
    assert without_cells(rows, {label.cell}) == [circuit, rows[1], rows[2], profile]


# Writing


def test_files_are_replaced_together_or_not_at_all(tmp_path):
    (tmp_path / "one").write_text("old")
    (tmp_path / "two").mkdir()
    with pytest.raises(UnicodeEncodeError):
        replace_files({tmp_path / "one": "new", tmp_path / "three": "\ud800"})
    assert (tmp_path / "one").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_what_a_killed_process_left_is_swept_away(tmp_path):
    (tmp_path / ".records.csv.123.partial").write_text("half")
    with locked(tmp_path):
        assert not list(tmp_path.glob("*.partial"))


def test_who_waits_in_vain_for_the_lock_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark.records.table, "PATIENCE", 0.05)
    with (
        locked(tmp_path),
        pytest.raises(ValueError, match="another process has been writing into folder"),
        locked(tmp_path),
    ):
        pass


def test_a_value_that_is_not_finite_is_undefined():
    for value in (math.nan, math.inf):
        measured = Measurement("cpr", value, low=0.1, high=0.2, interval="prompts")
        assert (measured.value, measured.low, measured.interval, measured.status) == (None, None, "", "undefined")
        assert measured.reason == f"cpr came out as {value}"
    assert Measurement("cpr", math.nan, reason="empty equals whole").reason == "empty equals whole"


def test_limits_stay_within_the_range_that_the_metric_declares():
    measured = Measurement("faithfulness", 0.9, low=-0.2, high=1.13, interval="prompts")
    assert (measured.value, measured.low, measured.high) == (0.9, -0.2, 1.0)
    measured = Measurement("idle_share", 0.1, low=-0.05, high=0.3, interval="prompts")
    assert (measured.low, measured.high) == (0.0, 0.3)


def test_whole_numbers_are_values_too():
    measured = Measurement("parameters", 12_345_678, low=1, high=2, interval="seeds")
    assert (type(measured.value), measured.value, measured.low) == (float, 12_345_678, 1)


def test_an_interval_with_an_unknown_limit_is_none():
    measured = Measurement("cpr", 0.5, low=math.nan, high=0.7, interval="seeds")
    assert (measured.value, measured.low, measured.high, measured.interval) == (0.5, None, None, "")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"value": 3.0, "status": "not_reached", "reason": "why"}, "which does not allow the value 3.0"),
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
    with pytest.raises(
        ValueError, match=r"records\.json does not fit: 0: edges: the status is ok but there is no value"
    ):
        read_measurements(tmp_path)


def test_a_cell_that_measures_nothing_has_no_rows(tmp_path):
    assert read_measurements(tmp_path) == []


def test_two_new_rows_with_one_key_are_our_mistake():
    with pytest.raises(AssertionError, match="same key"):
        merge([], [record(value=1.0), record(value=2.0)])
