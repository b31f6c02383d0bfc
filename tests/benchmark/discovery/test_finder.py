import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.discovery.bisection import fewest_nodes, geometric_sizes
from benchmark.discovery.calibration import calibrated_loss


@given(st.integers(1, 5000), st.data())
def test_bisection_finds_the_threshold_of_a_monotone_curve(most, data):
    threshold = data.draw(st.integers(0, most))
    assert fewest_nodes(lambda size: 1.0 if size < threshold else 0.0, most, 0.5) == threshold


@given(st.integers(1, 500), st.integers(0, 10_000))
def test_bisection_of_any_curve_returns_a_size_that_meets_the_target_while_the_size_below_does_not(most, seed):
    losses = torch.rand(most + 1, generator=torch.Generator().manual_seed(seed)).tolist()
    found = fewest_nodes(lambda size: losses[size], most, 0.2)
    if found is None:
        assert all(losses[size] > 0.2 for size in [0, *geometric_sizes(most, 1.6)])
    else:
        assert losses[found] <= 0.2
        assert found == 0 or losses[found - 1] > 0.2


@given(st.integers(1, 5000), st.floats(0, 1), st.data())
def test_a_coarse_bisection_exceeds_the_threshold_by_at_most_the_slack(most, slack, data):
    threshold = data.draw(st.integers(0, most))
    found = fewest_nodes(lambda size: 1.0 if size < threshold else 0.0, most, 0.5, slack=slack)
    assert threshold <= found <= max(threshold + slack * found, threshold)


def test_bisection_does_not_mind_a_curve_that_rises_again_when_everything_is_kept():
    assert fewest_nodes(lambda size: 0.0 if 40 <= size <= 400 else 1.0, 1000, 0.5) == 40


def test_no_size_at_the_target_is_none_and_tries_the_whole_model():
    tried = []
    assert fewest_nodes(lambda size: tried.append(size) or 1.0, 100, 0.5) is None
    assert {0, 1, 100} <= set(tried)


@given(st.integers(1, 10_000), st.floats(1.1, 4))
def test_geometric_sizes_ascend_from_one_to_the_most(most, factor):
    sizes = geometric_sizes(most, factor)
    assert sizes[0] == 1
    assert sizes[-1] == most
    assert sizes == sorted(set(sizes))


def test_calibration_at_scale_one_and_shift_zero_is_the_task_loss():
    difference = torch.tensor([0.0, 2.0, -1.0, 3.0])
    expected = sum(math.log(1 + math.exp(-value)) for value in difference.tolist()) / 4
    assert float(calibrated_loss(difference, torch.tensor(1.0), torch.tensor(0.0))) == pytest.approx(expected)


def test_calibration_shift_moves_the_two_prompts_of_a_pair_apart():
    difference = torch.tensor([3.0, -1.0])  # the first answer has 2 too much
    shifted = calibrated_loss(difference, torch.tensor(1.0), torch.tensor(-2.0))
    assert float(shifted) == pytest.approx(math.log(1 + math.exp(-1)))
