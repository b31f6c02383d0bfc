"""The metrics of claims against numbers worked out by hand."""

import math

import numpy as np
import pytest

from benchmark import metrics
from benchmark.claims.firing import firing, gini


def test_errors_that_add_up_compound_by_one():
    assert metrics.error_compounding(0.3, [0.1, 0.2]) == pytest.approx(1)
    assert metrics.error_compounding(0.6, [0.1, 0.2]) == pytest.approx(2)
    assert metrics.error_compounding(0.15, [0.1, 0.2]) == pytest.approx(0.5)


def test_compounding_is_undefined_where_nothing_is_lost():
    assert math.isnan(metrics.error_compounding(0.0, [0.0, 0.0]))
    assert math.isnan(metrics.error_compounding(1e-9, [1e-10, 1e-10]))
    assert math.isnan(metrics.error_compounding(0.0, []))


def test_features_that_fire_equally_often_have_no_spread():
    assert metrics.firing_rate_spread(np.array([0.2, 0.2, 0.0, 0.2])) == 0
    eleven = np.exp(np.arange(11.0) - 12)  # the percentiles are the second and the tenth of them
    assert metrics.firing_rate_spread(eleven) == pytest.approx(8)
    assert math.isnan(metrics.firing_rate_spread(np.zeros(3)))


def test_distribution_of_rates_by_hand():
    found = firing(np.array([0.0, 0.01, 0.02, 0.03, 0.5]))
    assert (found["features"], found["firing"]) == (5, 4)
    assert found["median"] == pytest.approx(0.025)
    assert found["tenth"] == pytest.approx(0.013)
    assert found["ninetieth"] == pytest.approx(0.359)
    assert found["dense_share"] == 0.25
    assert sum(found["histogram"]) == 4
    assert found["histogram"][-1] == 1


def test_dead_dictionary_has_no_distribution():
    found = firing(np.zeros(3))
    assert (found["features"], found["firing"], found["median"], found["gini"]) == (3, 0, None, None)
    assert not any(found["histogram"])


def test_rates_rarer_than_every_bin_stand_in_the_first():
    assert firing(np.array([1e-9]))["histogram"][0] == 1


def test_gini_is_half_the_mean_difference_over_the_mean():
    values = np.random.default_rng(0).exponential(size=20)
    assert gini(values) == pytest.approx(np.abs(values[:, None] - values).mean() / (2 * values.mean()))
    assert gini(np.full(5, 0.3)) == pytest.approx(0)


def test_losses_of_a_model_and_itself_correlate_by_one():
    losses = np.random.default_rng(0).exponential(size=(4, 5))
    assert metrics.token_loss_correlation(losses, losses) == pytest.approx(1)
    assert metrics.token_loss_correlation(losses, 3 * losses + 1) == pytest.approx(1)
    assert metrics.token_loss_correlation(losses, -losses) == pytest.approx(-1)


def test_correlation_is_pearsons():
    first, second = np.random.default_rng(0).normal(size=(2, 30))
    assert metrics.token_loss_correlation(first, second) == pytest.approx(np.corrcoef(first, second)[0, 1])
    assert math.isnan(metrics.token_loss_correlation(first, np.ones(30)))


def test_dilution_is_the_first_length_at_which_a_nested_list_is_forgotten():
    assert metrics.context_dilution([3, 6, 12, 24], [0.9, 0.6, 0.4, 0.7]) == 12
    assert math.isnan(metrics.context_dilution([3, 6], [0.9, 0.5]))
    assert math.isnan(metrics.context_dilution([3, 6], [0.4, 0.9]))
    assert math.isnan(metrics.context_dilution([], []))


def test_what_halves_with_every_doubling_has_slope_minus_one_and_what_stays_has_none():
    assert metrics.dilution_slope([3, 6, 12], [8.0, 4.0, 2.0]) == pytest.approx(-1)
    assert metrics.dilution_slope([3, 6, 12], [5.0, 5.0, 5.0]) == pytest.approx(0, abs=1e-12)
    assert math.isnan(metrics.dilution_slope([3, 6], [1.0, 0.0]))
    assert math.isnan(metrics.dilution_slope([3], [1.0]))
