"""Intervals over seeds and prompts, ratios of sizes, paired tests."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.statistics import (
    Interval,
    cluster_bootstrap,
    geometric_mean,
    holm,
    permutation_test,
    prompt_ratio_interval,
    size_ratio,
    student_interval,
)


def generator(seed=0):
    return np.random.default_rng(seed)


def test_the_interval_over_seeds_is_students():
    low, high = student_interval([1.0, 2.0, 3.0])
    half = 4.302652729911275 * 1.0 / math.sqrt(3)  # t quantile at two degrees of freedom, standard deviation 1
    assert (low, high) == pytest.approx((2 - half, 2 + half))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [1.0, 2.0, math.nan]])
def test_fewer_than_three_seeds_have_no_interval(values):
    assert all(math.isnan(limit) for limit in student_interval(values))


def test_the_interval_over_three_seeds_covers_what_it_says():
    samples = generator().normal(size=(2000, 3))
    covered = [low <= 0 <= high for low, high in map(student_interval, samples.tolist())]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def test_the_bootstrap_draws_whole_clusters():
    pairs = np.array([[0.0, 10.0], [1.0, 11.0]])  # the two prompts of a pair differ by 10, always
    low, high = cluster_bootstrap(lambda drawn: float(np.ptp(pairs[drawn].mean(0))), 2, generator())
    assert (low, high) == (10.0, 10.0)


def test_the_bootstrap_of_a_mean_is_about_as_wide_as_its_standard_error():
    values = generator(1).normal(size=200)
    low, high = cluster_bootstrap(lambda drawn: float(values[drawn].mean()), 200, generator(2))
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / math.sqrt(200), rel=0.15)
    assert low < values.mean() < high


def test_the_same_generator_gives_the_same_interval():
    values = generator(1).normal(size=20)
    first, second = (cluster_bootstrap(lambda drawn: float(values[drawn].mean()), 20, generator(3)) for _ in range(2))
    assert first == second


def test_the_bootstrap_says_when_it_cannot_tell():
    assert math.isnan(cluster_bootstrap(lambda drawn: 1.0, 1, generator()).low)
    assert math.isnan(cluster_bootstrap(lambda drawn: math.nan if drawn.all() else 1.0, 5, generator()).low)


def test_the_geometric_mean_counts_an_empty_circuit_as_one_edge():
    assert geometric_mean([0.0, 100.0]) == pytest.approx(10)
    assert geometric_mean([4]) == pytest.approx(4)
    assert math.isnan(geometric_mean([]))


def test_the_ratio_is_taken_over_shared_tasks_only():
    first = {"a": [20.0], "b": [80.0], "easy": [1.0]}
    second = {"a": [10.0], "b": [10.0], "hard": [1000.0]}
    ratio = size_ratio(first, second, generator())
    assert ratio.value == pytest.approx(4)
    assert ratio.tasks == 2
    assert (ratio.low, ratio.high) == pytest.approx((2, 8))


def test_a_task_counts_once_however_many_seeds_it_has():
    assert size_ratio({"a": [4.0, 4.0], "b": [1.0]}, {"a": [1.0, 1.0], "b": [1.0]}, generator()).value == pytest.approx(
        2
    )


def test_the_ratio_of_nothing_is_undefined():
    ratio = size_ratio({"a": [1.0]}, {"b": [1.0]}, generator())
    assert math.isnan(ratio.value)
    assert ratio.tasks == 0
    alone = size_ratio({"a": [6.0]}, {"a": [2.0]}, generator())
    assert alone.value == pytest.approx(3)
    assert math.isnan(alone.low)


def test_seeds_that_do_not_pair_are_named():
    with pytest.raises(ValueError, match="task 'a': 2 sizes against 1"):
        size_ratio({"a": [1.0, 2.0]}, {"a": [1.0]}, generator())


def test_intervals_over_prompts_add_in_quadrature():
    exact, wide = Interval(10.0, 10.0), Interval(10 / math.e, 10 * math.e)
    assert prompt_ratio_interval(2.0, [(exact, exact)]) == pytest.approx((2, 2))
    assert prompt_ratio_interval(2.0, [(wide, exact)]) == pytest.approx((2 / math.e, 2 * math.e))
    half = math.exp(math.sqrt(2) / 4)  # two wide ones among four tasks
    pairs = [(wide, exact), (exact, wide), (exact, exact), (exact, exact)]
    assert prompt_ratio_interval(2.0, pairs) == pytest.approx((2 / half, 2 * half))


def test_a_ratio_has_no_interval_over_prompts_if_a_size_has_none():
    unknown = Interval(math.nan, math.nan)
    assert math.isnan(prompt_ratio_interval(2.0, [(Interval(1.0, 2.0), unknown)]).low)
    assert math.isnan(prompt_ratio_interval(2.0, []).low)


def test_the_permutation_test_counts_sign_flips():
    assert permutation_test([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], generator()) == pytest.approx(2 / 64)
    assert permutation_test([1.0, -1.0], generator()) == 1
    assert math.isnan(permutation_test([], generator()))
    assert math.isnan(permutation_test([1.0, math.nan], generator()))


def test_the_permutation_test_rejects_a_true_hypothesis_as_often_as_it_says():
    samples = generator(4).normal(size=(300, 8))
    rejected = [permutation_test(row, generator()) <= 0.05 for row in samples.tolist()]
    assert 0.01 < np.mean(rejected) < 0.09


def test_many_pairs_are_flipped_at_random_from_the_generator():
    differences = generator(5).normal(0.3, 1.0, size=40).tolist()
    first, second = (permutation_test(differences, generator(6), draws=500) for _ in range(2))
    assert first == second
    assert 0 < first < 1


def test_holm_multiplies_by_the_tests_still_open():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_an_undefined_test_is_a_member_of_the_family():
    first, second = holm([0.01, math.nan])
    assert first == pytest.approx(0.02)
    assert math.isnan(second)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values):
    adjusted = holm(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, adjusted, strict=True))
    by_value = sorted(zip(p_values, adjusted, strict=True))
    assert [after for _, after in by_value] == sorted(adjusted)
