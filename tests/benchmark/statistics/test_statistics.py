"""Intervals over seeds and prompts, ratios of sizes, paired tests, parts of a variance; their promises, simulated."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.statistics.intervals import (
    Interval,
    cluster_bootstrap,
    detectable_difference,
    geometric_mean,
    holm,
    least_p,
    median_interval,
    none_for_nan,
    paired_difference,
    permutation_test,
    prompt_ratio_interval,
    proportion_interval,
    size_ratio,
    spearman,
    student_interval,
)
from benchmark.statistics.variance_components import variance_split


def generator(seed=0):
    return np.random.default_rng(seed)


def test_the_interval_over_seeds_is_students():
    low, high = student_interval([1.0, 2.0, 3.0])
    half = 4.302652729911275 * 1.0 / math.sqrt(3)  # t quantile at two degrees of freedom, standard deviation 1
    assert (low, high) == pytest.approx((2 - half, 2 + half))


def test_the_interval_of_a_median_is_about_it_and_wider():
    low, high = median_interval([1.0, 2.0, 6.0])
    half = math.sqrt(math.pi / 2) * 4.302652729911275 * math.sqrt(7) / math.sqrt(3)
    assert (low, high) == pytest.approx((2 - half, 2 + half))


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_interval_of_a_median_covers_at_least_what_it_says(seeds):
    samples = generator().normal(size=(2000, seeds)).tolist()
    covered = np.mean([low <= 0 <= high for low, high in map(median_interval, samples)])
    assert 0.94 < covered < 0.99


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [1.0, 2.0, math.nan]])
def test_fewer_than_three_seeds_have_no_interval(values):
    assert all(math.isnan(limit) for limit in (*student_interval(values), *median_interval(values)))


def test_limits_are_moved_into_a_range_and_unknown_ones_stay_unknown():
    assert Interval(-0.2, 1.13).within(0.0, 1.0) == (0, 1)
    assert Interval(0.2, 0.9).within(0.0, 1.0) == (0.2, 0.9)
    assert all(map(math.isnan, Interval(math.nan, math.nan).within(0.0, 1.0)))


def test_no_difference_is_larger_than_what_is_possible():
    found = paired_difference([0.9, -0.9, 0.8], most=1.0)
    assert (found.low, found.high) == (-1, 1)


def test_the_interval_of_a_share_is_exact():
    assert proportion_interval(5, 5) == pytest.approx((0.025**0.2, 1.0))  # five of five have a chance of share ** 5
    assert proportion_interval(0, 5) == pytest.approx((0.0, 1 - 0.025**0.2))
    assert proportion_interval(1, 4) == pytest.approx((0.00631, 0.80588), abs=1e-5)
    assert all(map(math.isnan, proportion_interval(0, 0)))


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


def test_the_bootstrap_is_the_percentiles_of_the_draws_that_the_generator_gives():
    values = generator(1).normal(size=20)
    drawn = generator(3).integers(20, size=(1000, 20))
    by_hand = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    assert cluster_bootstrap(lambda each: float(values[each].mean()), 20, generator(3)) == pytest.approx(tuple(by_hand))


def test_the_bootstrap_says_when_it_cannot_tell():
    assert math.isnan(cluster_bootstrap(lambda drawn: 1.0, 1, generator()).low)
    assert math.isnan(cluster_bootstrap(lambda drawn: math.nan if drawn.all() else 1.0, 5, generator()).low)


def test_the_geometric_mean_counts_an_empty_circuit_as_one_edge():
    assert geometric_mean([0.0, 100.0]) == pytest.approx(10)
    assert geometric_mean([4]) == pytest.approx(4)
    assert math.isnan(geometric_mean([]))


def sizes(**tasks):
    """Sizes by task and seed, from a list over seeds for each task."""
    return pd.Series({(task, seed): size for task, row in tasks.items() for seed, size in enumerate(row)})


def test_the_ratio_is_taken_over_shared_tasks_only():
    first, second = sizes(a=[20.0], b=[80.0], easy=[1.0]), sizes(a=[10.0], b=[10.0], hard=[1000.0])
    ratio = size_ratio(first, second)
    assert (ratio.value, ratio.tasks) == (pytest.approx(4), 2)


def test_the_interval_of_a_ratio_is_students_of_the_log_ratios_from_three_tasks_on():
    ones = sizes(a=[1.0], b=[1.0], c=[1.0])
    factor = 4 ** (4.302653 / math.sqrt(3))  # logs of 2, 8 and 32 have a standard deviation of ln 4
    assert size_ratio(sizes(a=[2.0], b=[8.0], c=[32.0]), ones) == pytest.approx((8, 8 / factor, 8 * factor, 3))
    two = size_ratio(sizes(a=[9.0], b=[16.0]), ones)
    assert (two.value, two.tasks, math.isnan(two.low)) == (pytest.approx(12), 2, True)


def test_a_task_counts_once_however_many_seeds_it_has_and_only_with_those_that_both_have():
    first, second = sizes(a=[4.0, 4.0, 99.0], b=[1.0]), sizes(a=[1.0, 1.0], b=[0.0])
    assert size_ratio(first, second).value == pytest.approx(2)


def test_the_ratio_of_nothing_is_undefined():
    ratio = size_ratio(sizes(a=[1.0]), sizes(b=[1.0]))
    assert math.isnan(ratio.value)
    assert ratio.tasks == 0
    alone = size_ratio(sizes(a=[6.0]), sizes(a=[2.0]))
    assert alone.value == pytest.approx(3)
    assert math.isnan(alone.low)


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
    assert permutation_test([3.0], generator()) == 1
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
@settings(max_examples=30)
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values):
    adjusted = holm(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, adjusted, strict=True))
    by_value = sorted(zip(p_values, adjusted, strict=True))
    assert [after for _, after in by_value] == sorted(adjusted)


def test_spearman_is_the_correlation_of_ranks():
    first, second = generator(16).integers(0, 6, size=(2, 40)).astype(float)  # with ties
    ranks = [[np.mean([other < one for other in row]) + np.mean([other == one for other in row]) / 2 for one in row]
             for row in (first, second)]  # fmt: skip
    assert spearman(first, second) == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert spearman(first, first) == 1
    assert spearman(first, -first) == -1


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [2.0]), ([1.0, 1.0], [1.0, 2.0])])
def test_ranks_of_nothing_or_of_what_does_not_differ_are_not_correlated(first, second):
    assert math.isnan(spearman(first, second))


def test_what_is_not_finite_becomes_nothing_wherever_it_stands():
    found = none_for_nan({"a": math.nan, "b": (1.0, math.inf), "c": {"d": [2, "nan", None, True]}})
    assert found == {"a": None, "b": [1.0, None], "c": {"d": [2, "nan", None, True]}}


# Paired differences


def test_a_paired_difference_has_students_interval():
    found = paired_difference([1.0, 2.0, 3.0])
    assert (found.mean, found.deviation, found.pairs) == (2, 1, 3)
    assert (found.low, found.high) == student_interval([1.0, 2.0, 3.0])


def test_a_paired_difference_says_what_it_cannot_tell():
    two, one, none = paired_difference([1.0, 3.0]), paired_difference([4.0]), paired_difference([])
    assert (two.mean, two.deviation) == (2, pytest.approx(math.sqrt(2)))
    assert math.isnan(two.low)
    assert (one.mean, one.pairs, math.isnan(one.deviation)) == (4, 1, True)
    assert (none.pairs, math.isnan(none.mean)) == (0, True)
    assert math.isnan(paired_difference([1.0, math.inf, 2.0]).mean)


def test_the_least_p_is_that_of_differences_which_all_agree():
    for pairs in (1, 2, 5, 8):
        assert permutation_test([1.0] * pairs, generator()) == pytest.approx(least_p(pairs))
    assert least_p(0) == 1


def test_the_detectable_difference_of_many_pairs_is_2_8_standard_errors():
    assert detectable_difference(3.0, 10_000) == pytest.approx((1.959964 + 0.841621) * 3 / 100, rel=1e-3)


def test_the_detectable_difference_shrinks_with_pairs_and_grows_with_the_deviation_and_with_strictness():
    assert detectable_difference(1.0, 8) < detectable_difference(1.0, 7)
    assert detectable_difference(2.0, 8) == pytest.approx(2 * detectable_difference(1.0, 8))
    assert detectable_difference(1.0, 8, alpha=0.001) > detectable_difference(1.0, 8)
    assert detectable_difference(1.0, 8, power=0.9) > detectable_difference(1.0, 8)
    assert detectable_difference(0.0, 8) == 0


@pytest.mark.parametrize(("deviation", "pairs"), [(1.0, 0), (1.0, 1), (math.nan, 5)])
def test_a_detectable_difference_needs_two_pairs(deviation, pairs):
    assert math.isnan(detectable_difference(deviation, pairs))


@pytest.mark.parametrize("pairs", [3, 8, 20])
def test_the_detectable_difference_is_found_in_four_of_five_repetitions(pairs):
    count = 4000
    samples = generator(7).normal(detectable_difference(1.0, pairs), 1.0, size=(count, pairs))
    found = [not low <= 0 <= high for low, high in map(student_interval, samples.tolist())]
    assert np.mean(found) == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / count))


# Parts of a variance

SCORES = np.array([[1.0, 3.0], [5.0, 7.0]])  # means 2 and 6, so between 8; within 2
NOISE = np.full((2, 2), 0.5)


def test_the_parts_of_a_variance_solve_the_mean_squares():
    parts = variance_split(SCORES, NOISE)
    assert [part.variance for part in parts] == pytest.approx([8 - 2 / 2 - 0.5, 2, 0.5])
    assert not any(part.reason for part in parts)


def test_a_part_that_comes_out_negative_is_zero_and_says_so():
    training, finder, _ = variance_split(np.array([[1.0, 3.0], [3.0, 1.0]]), NOISE * 10)
    assert (training.variance, finder.variance) == (0, 2)
    assert "the estimate is -6" in training.reason


def test_a_part_that_cannot_be_known_says_why():
    one_training = variance_split(SCORES[:1], NOISE[:1])
    assert math.isnan(one_training.training.variance)
    assert one_training.training.reason == "one training seed"
    assert one_training.finder.variance == 2
    one_finder = variance_split(SCORES[:, :1], NOISE[:, :1])
    assert "cannot be told from the training seed's" in one_finder.training.reason
    assert (math.isnan(one_finder.finder.variance), one_finder.finder.reason) == (True, "one finder seed")
    no_prompts = variance_split(SCORES, np.full((2, 2), math.nan))
    assert math.isnan(no_prompts.training.variance)
    assert no_prompts.finder.variance == 2
    assert no_prompts.training.reason == no_prompts.prompts.reason == "the variance over prompts is not known"
    missing = variance_split(np.array([[1.0, math.nan], [1.0, 2.0]]), NOISE)
    assert {part.reason for part in missing[:2]} == {"a score is missing"}
    assert all(math.isnan(part.variance) and part.reason for part in variance_split(*[np.empty((0, 0))] * 2))


def test_a_negative_variance_over_prompts_is_refused():
    with pytest.raises(ValueError, match=r"negative: -0\.5"):
        variance_split(SCORES, -NOISE)


def test_planted_parts_of_a_variance_are_found():
    random, seeds, finders = generator(8), 4000, 3
    training = random.normal(0, 2.0, size=(seeds, 1))
    finder = random.normal(0, 1.0, size=(seeds, finders))
    prompts = random.normal(0, 0.5, size=(seeds, 1))
    found = variance_split(training + finder + prompts, np.full((seeds, finders), 0.25))
    assert [part.variance for part in found] == pytest.approx([4, 1, 0.25], rel=0.1)


# What intervals and tests promise, simulated. A share over n simulations has the standard error sqrt(p (1 - p) / n);
# three of them are allowed for.


def allowance(simulations):
    return 3 * math.sqrt(0.95 * 0.05 / simulations)


def assert_covers(covered):
    beyond = allowance(len(covered))
    assert 0.93 - beyond <= np.mean(covered) <= 0.97 + beyond


def covered_by_seeds(seeds, simulations, random):
    """Whether the interval over seeds holds the true mean, of scores that differ by seed and by prompt."""
    prompts = random.normal(0, 3.0, size=(simulations, seeds, 60)).mean(2)
    scores = random.normal(0, 1.0, size=(simulations, seeds)) + prompts
    return [low <= 0 <= high for low, high in map(student_interval, scores.tolist())]


def covered_by_clusters(clusters, simulations, random):
    """Whether the interval over pairs of prompts holds the true mean, of prompts that are alike within a pair."""
    covered = []
    for _ in range(simulations):
        pairs = random.normal(0, 1.0, size=(clusters, 1)) + random.normal(0, 0.5, size=(clusters, 2))
        means = pairs.mean(1)
        low, high = cluster_bootstrap(lambda drawn, means=means: float(means[drawn].mean()), clusters, random)
        covered.append(low <= 0 <= high)
    return covered


def wrongly_claimed(simulations, random, methods=5, tasks=10):
    """Whether any difference is claimed in a family of pairs of methods that are all alike."""
    claimed = []
    for _ in range(simulations):
        logs = random.normal(0, 2.0, size=(1, tasks)) + random.normal(0, 1.0, size=(methods, tasks))
        pairs = combinations(logs, 2)
        claimed.append(min(holm([permutation_test((one - other).tolist(), random) for one, other in pairs])) <= 0.05)
    return claimed


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_over_seeds_cover_what_they_say(seeds):
    assert_covers(covered_by_seeds(seeds, 2000, generator(9)))


def test_intervals_over_fifty_pairs_of_prompts_cover_what_they_say():
    assert_covers(covered_by_clusters(50, 400, generator(10)))


def test_intervals_of_size_ratios_over_eight_tasks_cover_what_they_say():
    random, none, covered = generator(15), sizes(**{name: [1e6] for name in "abcdefgh"}), []
    for _ in range(600):
        ratio = size_ratio(none * np.exp(random.normal(0, 0.7, size=8)), none)
        covered.append(ratio.low <= 1 <= ratio.high)
    assert_covers(covered)


def test_a_bootstrap_over_three_seeds_would_not_cover_what_it_says():
    assert np.mean(covered_by_clusters(3, 100, generator(11))) < 0.9


def test_a_family_of_true_hypotheses_is_rejected_in_no_more_than_one_of_twenty():
    claimed = wrongly_claimed(40, generator(12))
    assert np.mean(claimed) <= 0.05 + allowance(len(claimed))


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_over_seeds_cover_93_to_97_percent(seeds):
    assert 0.93 <= np.mean(covered_by_seeds(seeds, 20_000, generator(13))) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [50, 200])
def test_intervals_over_prompts_cover_93_to_97_percent(clusters):
    assert 0.93 <= np.mean(covered_by_clusters(clusters, 4000, generator(14))) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [10, 12])
def test_corrected_comparisons_claim_what_does_not_exist_in_at_most_five_percent(tasks):
    claimed = wrongly_claimed(1000, generator(15), tasks=tasks)
    assert np.mean(claimed) <= 0.05 + allowance(len(claimed))
