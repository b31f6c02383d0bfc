"""A metric of another distribution is measured of a circuit, and fails alone."""

import math
from dataclasses import replace

import pytest
import torch
from planted_string_closing import planted
from test_found_under import setting_of
from toy_methods import registered

from benchmark.discovery.calibration import Calibration
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.cutting import FoundCircuit
from benchmark.discovery.settings import CircuitConfig
from benchmark.metrics import METRICS
from benchmark.scoring.case import DiscoveredCircuit
from benchmark.scoring.score_circuit import outside_metrics

SHARE = replace(METRICS["faithfulness"], name="kept_share", function=None, score=f"{__name__}:kept_share", low=0.0)


@pytest.fixture(scope="module")
def case():
    truth = planted().nodes
    order = truth.row(planted().sites).int().argsort(descending=True, stable=True)
    sample = planted().task.validation
    criterion = Criterion.mean(0.15, sample)
    found = FoundCircuit(truth, "ok", 0.0, Calibration(1.0, 0.0), {}, order, sample, criterion)
    return DiscoveredCircuit.of(setting_of(planted(), "mean"), found, CircuitConfig())


@pytest.fixture
def measured(case, monkeypatch):
    """The row of a metric that is computed by a function."""

    def measure(score):
        monkeypatch.setitem(globals(), "kept_share", score)
        with registered(METRICS, SHARE):
            (row,) = outside_metrics(case)
        assert (row.metric, row.ablation) == ("kept_share", "mean")
        return row

    return measure


def test_a_value_counts_the_distinct_prompts_of_the_circuit(measured, case):
    row = measured(lambda given: len(given.circuit.kept()) / 100)
    assert (row.status, row.value, row.n) == ("ok", len(case.circuit.kept()) / 100, case.batch.clusters)


def test_nan_is_undefined(measured):
    row = measured(lambda case: math.nan)
    assert (row.status, row.value, row.reason) == ("undefined", None, "kept_share came out as nan")


def broken(case):
    raise KeyError("blocks.9")


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (broken, "metric 'kept_share' of this session raised KeyError: 'blocks.9'"),
        (lambda case: "much", "metric 'kept_share' of this session returned 'much', not a number"),
        (lambda case: None, "metric 'kept_share' of this session returned None, not a number"),
        (lambda case: 7.0, "metric 'kept_share' of this session returned 7, outside 0 to 1"),
    ],
)
def test_what_is_no_number_of_the_range_fails_with_the_name_of_the_metric(measured, score, reason):
    row = measured(score)
    assert (row.status, row.value, row.reason) == ("failed", None, reason)


def test_what_an_outside_metric_draws_changes_no_other_score(measured, case):
    before = case.generator.get_state()
    measured(lambda case: float(torch.rand(1, generator=case.generator)))
    assert torch.equal(case.generator.get_state(), before)
