"""What stands in the tables where a circuit's cell failed."""

import shutil
from dataclasses import replace

import pytest

from benchmark.cells import Cell
from benchmark.config import configure
from benchmark.evaluate import load_model
from benchmark.executor import Outcome
from benchmark.gather import check_tables, curves_of, rows_of
from benchmark.records import Measurement, Record, update_records, write_measurements
from benchmark.store import CorruptArtifactError, Store

BEHAVIOUR = {
    *("random_necessity", "idle_share", "interchange_loss", "binarised_loss"),
    *("prediction_r2", "prediction_rank_correlation"),
}


def failed_metrics(tmp_path, *changes):
    outcome = Outcome(Cell("circuit", {"method": "dense", "task": "nonsense", "seed": 0}), "failed", "no luck")
    found = list(rows_of(outcome, configure("smoke", changes=changes), Store(tmp_path)))
    assert {(row.status, row.reason) for row in found} == {("failed", "no luck")}
    return {row.metric for row in found}


def test_what_interventions_on_single_nodes_would_have_shown_failed_too(tmp_path):
    assert failed_metrics(tmp_path) >= BEHAVIOUR


@pytest.mark.parametrize("searched", [True, False])
def test_a_second_circuit_failed_only_where_one_would_have_been_searched(tmp_path, searched):
    found = failed_metrics(tmp_path, f"circuit.redundancy={str(searched).lower()}")
    assert ("second_circuit_nodes" in found) == searched


def test_only_the_shifts_of_its_task_failed(tmp_path):
    assert {name for name in failed_metrics(tmp_path) if name.startswith("agreement_")} == {
        *("agreement_dilution", "agreement_distractors", "agreement_long_names", "agreement_nesting")
    }


@pytest.mark.parametrize(("method", "stays"), [("dense", False), ("sae", True)])
def test_rows_by_an_older_definition_that_a_run_would_leave_there_are_refused_first(tmp_path, method, stays):
    old = Record.of(Measurement("edges", 9.0), preset="smoke", method=method, task="for_while", seed=0)
    update_records(tmp_path / "records.csv", [replace(old, metric_version=1)])
    run = configure("smoke", ["dense"], ["for_while"], [0])
    if stays:
        with pytest.raises(ValueError, match="edges of sae, seed 0, by version 1 of its definition, now 2"):
            check_tables(tmp_path, run)
    else:
        check_tables(tmp_path, run)


def test_rows_are_not_made_from_an_artifact_that_was_changed(tmp_path):
    cell, store = Cell("circuit", {"method": "dense", "task": "nonsense", "seed": 0}), Store(tmp_path)
    write_measurements([Measurement("nodes", 175.0)], store.partial(cell.key))
    file = store.artifact(store.commit(cell.order, 1.0, 1).key) / "records.json"
    outcome, run = Outcome(cell, "found"), configure("smoke")
    assert [row.value for row in rows_of(outcome, run, store)] == [175.0]
    file.write_text(file.read_text().replace("175", "179"))
    for read in (rows_of, lambda *arguments: curves_of([arguments[0]], *arguments[1:])):
        with pytest.raises(CorruptArtifactError, match=r"nonsense seed 0. is corrupt: records\.json does not have"):
            list(read(outcome, run, store))


def test_a_model_is_not_loaded_from_an_artifact_that_was_changed(tmp_path):
    cell, store = Cell("train", {"method": "dense", "seed": 0}), Store(tmp_path / "store")
    (store.partial(cell.key) / "model.safetensors").write_text("weights")
    folder = store.artifact(store.commit(cell.order, 1.0, 1).key)
    (tmp_path / "run").mkdir()
    shutil.copytree(folder, tmp_path / "run" / "dense")
    (tmp_path / "run" / "dense" / "model.safetensors").write_text("Weights")
    with pytest.raises(CorruptArtifactError, match=r"train dense seed 0. is corrupt: model\.safetensors does not have"):
        load_model(tmp_path / "run", "dense")
