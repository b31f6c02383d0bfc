"""What stands in the tables where a circuit's cell failed."""

import pytest

from benchmark.cells import Cell
from benchmark.config import configure
from benchmark.executor import Outcome
from benchmark.gather import rows_of
from benchmark.store import Store

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
