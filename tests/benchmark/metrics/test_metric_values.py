"""Metrics against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch

from benchmark import metrics
from benchmark.model.circuit import Circuit
from benchmark.model.graph import EMBEDDING, LOGITS
from benchmark.model.interface import Connection, OpaqueBlock

KEPT = Circuit({"a": torch.tensor([True, True, False]), "b": torch.tensor([True, False])})
WEIGHT = torch.tensor([[1.0, 0.0, 2.0], [3.0, 4.0, 0.0]])  # of b from a
DRAWN = Connection("a", "b", WEIGHT)
OPAQUE = Connection("a", "b", None, OpaqueBlock("attention", 10))


def test_an_edge_is_a_nonzero_weight_with_both_ends_kept():
    assert metrics.node_count(KEPT) == 3
    assert metrics.edge_count(KEPT, [DRAWN]) == 1  # b0 <- a0; b0 <- a1 is zero, a2 and b1 are ablated


def test_a_touched_edge_needs_one_end():
    assert metrics.touched_edge_count(KEPT, [DRAWN]) == 4  # all four nonzero weights, as a2 -> b0 has a kept target
    alone = Circuit({"a": torch.tensor([True, False, False]), "b": torch.tensor([False, False])})
    assert metrics.touched_edge_count(alone, [DRAWN]) == 2
    assert metrics.edge_count(alone, [DRAWN]) == 0


def test_an_opaque_connection_counts_every_kept_pair_and_its_block_once():
    assert metrics.edge_count(KEPT, [OPAQUE]) == 2
    assert metrics.touched_edge_count(KEPT, [OPAQUE]) == 5  # all six pairs but the one whose ends are both ablated
    assert metrics.opaque_weight_count(KEPT, [OPAQUE, OPAQUE]) == 10
    assert metrics.opaque_weight_count(KEPT, [OPAQUE, Connection("a", "b", None, OpaqueBlock("other", 5))]) == 15
    assert metrics.opaque_weight_count(KEPT, [DRAWN]) == 0


def test_a_block_that_joins_no_two_kept_nodes_hides_nothing():
    sources_only = Circuit({"a": torch.tensor([True, True, True]), "b": torch.tensor([False, False])})
    assert metrics.opaque_weight_count(sources_only, [OPAQUE]) == 0


def test_description_bits_are_those_of_choosing_nodes_then_edges():
    # 3 of 5 nodes: 10 ways. Kept pairs: b0 with a0, a1; one edge of two: 2 ways, and 8 bits for its weight.
    assert metrics.description_bits(KEPT, [DRAWN]) == pytest.approx(math.log2(10) + 1 + 8)
    assert metrics.description_bits(KEPT, [OPAQUE]) == pytest.approx(math.log2(10) + 0 + 2 * 8)
    assert metrics.description_bits(Circuit({"a": torch.zeros(4, dtype=torch.bool)}), []) == 0


ENDS = [Connection(EMBEDDING, "a", torch.ones(3, 1)), Connection(EMBEDDING, "b", torch.tensor([[1.0], [0.0]]))]


def test_path_length_weighs_each_path_by_its_shares():
    # b0 takes 3/4 of its inflow from a0 (a1's weight is zero, a2 is ablated), 1/4 from the embeddings; the logits take
    # 2/3 of theirs from b0 and 1/3 from a1.
    drawn = Connection("a", "b", torch.tensor([[-3.0, 0.0, 9.0], [9.0, 9.0, 9.0]]))
    logits = [Connection("b", LOGITS, torch.tensor([[2.0, 5.0]])), Connection("a", LOGITS, torch.tensor([[0, 1.0, 8]]))]
    expected = 2 / 3 * (3 / 4 * 2 + 1 / 4 * 1) + 1 / 3 * 1
    assert metrics.path_length(KEPT, [*ENDS, drawn, *logits]) == pytest.approx(expected)
    assert metrics.longest_path(KEPT, [*ENDS, drawn, *logits]) == 2


def test_a_unit_that_nothing_enters_is_on_no_path():
    logits = [Connection("b", LOGITS, torch.ones(1, 2)), Connection("a", LOGITS, torch.ones(1, 3))]
    assert (
        metrics.path_length(KEPT, [ENDS[0], *logits]) == 1
    )  # b0 takes half of what enters the logits, and is left out
    for function in (metrics.path_length, metrics.longest_path):
        assert math.isnan(function(KEPT, logits))
        assert math.isnan(function(KEPT, ENDS))


def test_how_much_flows_through_an_opaque_block_cannot_be_told_but_how_long_its_paths_are_can():
    logits = Connection("b", LOGITS, torch.ones(1, 2))
    assert math.isnan(metrics.path_length(KEPT, [*ENDS, OPAQUE, logits]))
    assert metrics.longest_path(KEPT, [*ENDS, OPAQUE, logits]) == 2


def test_mass_edge_count_takes_the_fewest_sources_of_each_row():
    rows = np.array([[0.5, -0.3, 0.2], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert metrics.mass_edge_count([rows], mass=0.5) == 2  # 0.5 is half of the first row; 1.0 all of the second
    assert metrics.mass_edge_count([rows], mass=0.8) == 3
    assert metrics.mass_edge_count([rows], mass=1.0) == 4
    assert metrics.mass_edge_count([rows, rows], mass=0.8) == 6
    assert metrics.mass_edge_count([np.full((1, 20), 0.1)]) == 19
    assert metrics.mass_edge_count([]) == 0


def test_connection_density_is_over_all_pairs():
    assert metrics.connection_density([np.eye(4)]) == 0.25
    assert metrics.connection_density([np.ones((3, 20)), np.ones((2, 20))]) == pytest.approx(0.95)


@pytest.mark.parametrize("mass", [0.0, -1.0, 1.1])
def test_a_mass_that_is_no_share_is_named(mass):
    with pytest.raises(ValueError, match=f"mass must be above 0 and at most 1, got {mass}"):
        metrics.mass_edge_count([np.eye(2)], mass)


def test_task_loss_is_ln_2_by_chance_and_softplus_of_the_difference():
    logits, answer, other = np.zeros((2, 3)), np.array([0, 1]), np.array([1, 2])
    assert metrics.task_loss(logits, answer, other) == pytest.approx(math.log(2))
    logits = np.array([[math.log(3), 0.0, 99.0], [0.0, 0.0, 0.0]])  # 3/4 and 1/2 for the answer; token 2 is not asked
    expected = (math.log(4 / 3) + math.log(2)) / 2
    assert metrics.task_loss(logits, answer, np.array([1, 0])) == pytest.approx(expected)


def test_pair_kl_is_that_of_two_coins():
    answer, other = np.array([0]), np.array([1])
    reference, logits = np.array([[math.log(3), 0.0]]), np.array([[0.0, 0.0]])
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert metrics.pair_kl(reference, logits, answer, other) == pytest.approx(expected)


def test_pair_kl_stays_finite_where_a_probability_rounds_to_zero():
    answer, other = np.array([0]), np.array([1])
    assert metrics.pair_kl(np.array([[2000.0, 0.0]]), np.array([[0.0, 0.0]]), answer, other) == pytest.approx(
        math.log(2)
    )
    assert metrics.pair_kl(np.array([[0.0, 0.0]]), np.array([[2000.0, 0.0]]), answer, other) == pytest.approx(
        1000 - math.log(2)
    )


def test_kl_divergence_is_of_the_reference_and_averages_over_positions():
    reference = np.log(np.array([[[0.5, 0.5], [0.25, 0.75]]]))
    logits = np.log(np.array([[[0.25, 0.75], [0.25, 0.75]]])) + 7.0
    expected = (0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)) / 2
    assert metrics.kl_divergence(logits, reference) == pytest.approx(expected)


def test_faithfulness_is_linear_in_the_divergence_and_may_be_negative():
    assert metrics.faithfulness(0.25, 1.0) == 0.75
    assert metrics.faithfulness(2.0, 1.0) == -1.0


def test_a_share_of_what_rounding_leaves_is_undefined():
    assert math.isnan(metrics.faithfulness(1e-16, 1e-17))
    assert math.isnan(metrics.label_replacement_score(2.6, 2.5, 2.5 + 1e-12))
    assert math.isnan(metrics.recovered_task_loss(0.5, 0.5, 0.5 + 1e-9))
    assert math.isnan(metrics.loss_recovered(4.0, 4.0, np.float32(4.0000005)))
    assert math.isnan(metrics.error_compounding(1e-9, [1e-10, 1e-10]))
    assert metrics.label_replacement_score(2.6, 2.5, 2.6) == 0
    assert metrics.faithfulness(1e-4, 2e-4) == 0.5


def test_variance_that_rounding_leaves_explains_nothing():
    constant = np.full(30, 1000.1, dtype=np.float32)
    nearly = np.nextafter(constant, 2000, where=np.arange(30) % 2 == 0, out=constant.copy())
    assert math.isnan(metrics.logit_difference_r2(nearly, constant))
    assert math.isnan(metrics.fvu(nearly[:, None], constant[:, None]))
    assert math.isnan(metrics.token_loss_correlation(nearly, np.arange(30)))
    assert math.isnan(metrics.rank_correlation(nearly, np.arange(30)))
    assert math.isnan(metrics.basis_privilege(nearly[:, None], nearly[:, None]))


def test_recovered_losses_are_not_clipped():
    assert metrics.recovered_task_loss(circuit=0.3, whole=0.1, empty=0.7) == pytest.approx(2 / 3)
    assert metrics.recovered_task_loss(circuit=0.0, whole=0.1, empty=0.7) > 1
    assert metrics.loss_recovered(replaced=2.5, original=2.0, ablated=4.0) == 0.75
    assert metrics.loss_increase(replaced=2.5, original=2.0) == 0.5


def test_logit_difference_r2_is_about_the_whole_models_mean():
    reference = np.array([1.0, -1.0, 3.0, 1.0])
    assert metrics.logit_difference_r2(reference, np.array([1.0, 1.0, 1.0, 1.0])) == 0
    assert metrics.logit_difference_r2(reference, np.array([1.0, -1.0, 3.0, 3.0])) == pytest.approx(1 - 4 / 8)
    assert metrics.logit_difference_r2(reference, -reference) == pytest.approx(1 - 48 / 8)


def test_agreement_asks_which_answer_is_preferred_not_which_is_right():
    reference = np.array([2.0, 2.0, -2.0, -2.0])
    assert metrics.answer_agreement(reference, np.array([0.1, -0.1, -9.0, 9.0])) == 0.5
    assert metrics.answer_agreement(reference, reference / 10) == 1


def test_cpr_is_the_area_over_log_size():
    assert metrics.cpr([1, 10, 100], [0.0, 1.0, 1.0], largest=100) == pytest.approx(0.75)
    assert metrics.cmd([1, 10, 100], [0.0, 1.0, 1.0], largest=100) == pytest.approx(0.25)


def test_cpr_counts_nothing_below_the_smallest_size_and_holds_beyond_the_largest():
    assert metrics.cpr([10], [1.0], largest=100) == pytest.approx(0.5)
    assert metrics.cpr([1, 10], [0.5, 0.5], largest=1000) == pytest.approx(0.5)
    assert metrics.cpr([1000], [1.0], largest=100) == 0


def test_cpr_ends_inside_a_segment_at_the_largest_size():
    assert metrics.cpr([1, 100], [0.0, 1.0], largest=10) == pytest.approx(0.25)


def test_cpr_clips_faithfulness_and_puts_sizes_below_one_at_one():
    assert metrics.cpr([0, 10], [-3.0, 2.0], largest=10) == pytest.approx(0.5)
    assert metrics.cpr([0, 1, 1, 10], [0.0, 0.0, 1.0, 1.0], largest=10) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("sizes", "scores", "largest", "message"),
    [
        ([2, 1], [0.0, 1.0], 10, "sizes must ascend"),
        ([1, 2], [0.0], 10, r"faithfulness must have shape \[size\] with size 2 as in sizes, got shape \[1\]"),
        ([1, 2], [0.0, 1.0], 1, "largest must be finite and above 1, got 1"),
    ],
)
def test_a_curve_that_is_none_is_named(sizes, scores, largest, message):
    with pytest.raises(ValueError, match=message):
        metrics.cpr(sizes, scores, largest)


def test_fvu_is_the_unexplained_share_over_all_channels():
    target = np.array([[0.0, 0.0], [2.0, 4.0]])  # squares about the mean: 2 + 8
    assert metrics.fvu(target, target) == 0
    assert metrics.fvu(target, np.tile(target.mean(0), (2, 1))) == 1
    assert metrics.fvu(target, np.array([[0.0, 0.0], [2.0, 3.0]])) == pytest.approx(0.1)


def test_l0_and_dead_fraction_count_zeros():
    features = np.array([[[0.0, 1.0, 0.0, -1.0], [0.0, 2.0, 0.0, 0.0]]])
    assert metrics.l0(features) == 1.5
    assert metrics.dead_fraction(features) == 0.5


# Feature validity

ACTIVATION, LABEL = np.array([5.0, 4.0, 3.0, 2.0, 1.0]), np.array([1, 0, 2, 1, 0])


def test_a_label_is_divided_among_as_many_features_as_it_takes_to_detect_it():
    label = np.repeat([1, 0], 6)
    parts = np.stack([np.roll(np.repeat([1.0, 0.0], [2, 10]), 2 * part) for part in range(3)], axis=1)
    assert metrics.split_count(parts, label[:, None], parts, label[:, None]) == 3
    with_whole = np.hstack([parts, label[:, None] * 2.5])
    assert metrics.split_count(with_whole, label[:, None], with_whole, label[:, None]) == 1
    both = np.stack([label, parts[:, 0]], axis=1)  # the second label is the first part alone
    assert metrics.split_count(parts, both, parts, both) == 2


def test_what_helps_on_the_sample_that_it_was_chosen_on_alone_does_not_count():
    label = np.repeat([1, 0], 6)[:, None]
    parts = np.stack([np.repeat([1.0, 0.0], [4, 8]), np.repeat([0.0, 1.0, 0.0], [4, 2, 6])], axis=1)
    elsewhere = np.stack([parts[:, 0], np.repeat([0.0, 1.0], [10, 2])], axis=1)
    assert metrics.split_count(parts, label, parts, label) == 2
    assert metrics.split_count(parts, label, elsewhere, label) == 1


def test_a_gain_that_is_none_is_named():
    with pytest.raises(ValueError, match=r"least_gain must be finite and above 0, got 0\.0"):
        metrics.split_count(np.ones((2, 1)), np.ones((2, 1)), np.ones((2, 1)), np.ones((2, 1)), 0.0)


def test_the_two_conditional_probabilities_are_told_apart():
    assert metrics.p_concept_given_active(ACTIVATION, LABEL, threshold=3.0) == 1 / 2  # at 5 but not at 4
    assert metrics.p_active_given_concept(ACTIVATION, LABEL, threshold=3.0) == 1 / 3  # at 5, but not at 3 and 2


def test_a_band_is_open_below_and_closed_above():
    assert metrics.band_purity(ACTIVATION, LABEL, low=1.0, high=3.0) == 1  # 3 and 2
    assert metrics.band_purity(ACTIVATION, LABEL, low=2.0, high=4.0) == 1 / 2  # 4 and 3
    assert metrics.band_purity(ACTIVATION, LABEL, low=-math.inf, high=math.inf) == 3 / 5
    assert math.isnan(metrics.band_purity(ACTIVATION, LABEL, low=5.0, high=math.inf))


def test_top_k_precision_looks_at_the_top_alone_and_of_equals_at_the_earlier():
    assert metrics.top_k_precision(ACTIVATION, LABEL, k=1) == 1
    assert metrics.top_k_precision(ACTIVATION, LABEL, k=2) == 1 / 2
    assert metrics.top_k_precision(ACTIVATION, LABEL, k=99) == 3 / 5
    assert metrics.top_k_precision(np.zeros(5), LABEL, k=1) == 1
    assert metrics.top_k_precision(np.zeros(5), LABEL[::-1].copy(), k=1) == 0


@pytest.mark.parametrize("k", [0, -1])
def test_a_k_that_is_no_number_of_positions_is_named(k):
    with pytest.raises(ValueError, match=f"k must be a whole number from 1, got {k}"):
        metrics.top_k_precision(ACTIVATION, LABEL, k)


def test_average_precision_is_the_mean_precision_at_each_position_that_holds():
    assert metrics.average_precision(ACTIVATION, LABEL) == pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 3)
    assert metrics.average_precision(-ACTIVATION, LABEL) == pytest.approx((1 / 2 + 2 / 3 + 3 / 5) / 3)


def test_equal_activations_share_a_threshold():
    activation, label = np.array([2.0, 2.0, 1.0]), np.array([0, 1, 1])
    assert metrics.average_precision(activation, label) == pytest.approx(1 / 2 * 1 / 2 + 1 / 2 * 2 / 3)


def test_f1_threshold_lies_midway_between_values():
    assert metrics.f1_threshold(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 1])) == 1.5
    # Above 0.5: F1 = 2 * 2 / (3 + 2); above 1.5: 2 / (2 + 2); above 2.5: 2 / (1 + 2).
    assert metrics.f1_threshold(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0, 1, 0, 1])) == 0.5


def test_label_replacement_score_is_linear_in_the_loss_and_not_clipped():
    assert metrics.label_replacement_score(label=1.25, true=1.0, mean=2.0) == 0.75
    assert metrics.label_replacement_score(label=0.5, true=1.0, mean=2.0) == 1.5
    assert metrics.label_replacement_score(label=4.0, true=1.0, mean=2.0) == -2.0
    assert math.isnan(metrics.label_replacement_score(label=0.5, true=1.0, mean=0.9))


def test_basis_privilege_is_the_logarithm_of_a_ratio_of_kurtoses():
    native = np.array([[2.0, 7.0], [-2.0, 7.0], [0.0, 7.0], [0.0, 7.0]])  # variance 2, fourth moment 8; one is constant
    rotated = np.array([[1.0, 3.0], [-1.0, 5.0], [1.0, 3.0], [-1.0, 5.0]])
    assert metrics.basis_privilege(native, rotated) == pytest.approx(math.log(8 / 2**2) - math.log(1))


def test_top_examples_praise_a_feature_that_fires_on_a_fifth_of_its_concept_and_half_on_another():
    """The talk's criticism: precision at the top says nothing of recall, nor of the middle of the range."""
    random = np.random.default_rng(0)
    positions = 200_000
    label = random.random(positions) < 0.02
    activation = np.zeros(positions)
    other = random.random(positions) < 0.03
    activation[other] = random.uniform(0.3, 0.6, size=int(other.sum()))
    activation[label & (random.random(positions) < 0.2)] = 1.0
    assert metrics.top_k_precision(activation, label, k=100) == 1
    assert metrics.p_concept_given_active(activation, label, threshold=2 / 3) == 1
    assert metrics.p_active_given_concept(activation, label, threshold=2 / 3) == pytest.approx(0.2, abs=0.02)
    assert metrics.band_purity(activation, label, 1 / 3, 2 / 3) == pytest.approx(0.016, abs=0.005)
    assert metrics.average_precision(activation, label) == pytest.approx(0.22, abs=0.02)


def detector_and_label(random, positions=20_000, rate=0.1):
    label = random.random(positions) < rate
    return label * random.uniform(0.5, 1.0, size=positions), label


def test_missing_labels_lower_average_precision():
    """Oikarinen et al. 2025, section 4: a metric must tell a concept from half of it."""
    random = np.random.default_rng(0)
    activation, label = detector_and_label(random)
    missing = label & (random.random(len(label)) < 0.5)
    assert metrics.average_precision(activation, label) == 1
    assert metrics.average_precision(activation, missing) == pytest.approx(0.5, abs=0.03)


def test_extra_labels_lower_average_precision():
    """Oikarinen et al. 2025, section 4: a metric must tell a concept from twice as much."""
    random = np.random.default_rng(0)
    activation, label = detector_and_label(random)
    extra = label | (random.random(len(label)) < 0.1)
    assert metrics.average_precision(activation, extra) == pytest.approx(0.5 + 0.5 * 0.19, abs=0.05)


def test_flipping_half_of_the_labels_leaves_average_precision_no_better_than_chance():
    random = np.random.default_rng(0)
    activation, label = detector_and_label(random)
    flipped = label ^ (random.random(len(label)) < 0.5)
    assert metrics.average_precision(activation, flipped) == pytest.approx(flipped.mean(), abs=0.02)
