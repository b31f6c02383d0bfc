"""Products through the entries that fired against dense ones, and when they are dense."""

import pytest
import torch
import torch.nn.functional as F
from emulated_device import emulated_device
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from baselines import sparse_features
from baselines.sparse_features import Fired, decode, fire, which_fired

ROWS, D_IN, FEATURES = 9, 5, 40


def numbers(seed, channels=7):
    """Rows, an encoder with its bias, and a decoder."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(ROWS, D_IN), (FEATURES, D_IN), (FEATURES,), (FEATURES, channels)]
    return [torch.randn(shape, generator=generator) for shape in shapes]


def fired(least, source, weight, bias, decoder):
    return fire(F.linear(source, weight, bias), decoder.norm(dim=1), least, source, weight, bias)


def dense(least, source, weight, bias, decoder):
    before = F.linear(source, weight, bias)
    return before.relu() * (before.detach() * decoder.detach().norm(dim=1) >= least)


def prediction_and_gradients(encode, least, source, *learned):
    leaves = [each.clone().requires_grad_() for each in learned]
    features = encode(least, source, *leaves)
    prediction = decode(features, leaves[-1])
    weights = torch.linspace(-1, 1, prediction.numel()).view(prediction.shape).to(prediction)
    return features, prediction.detach(), torch.autograd.grad(prediction, leaves, weights)


@given(
    seed=st.integers(0, 10**6),
    channels=st.integers(1, 40),
    quantiles=st.lists(st.sampled_from([0.0, 0.5, 0.9, 0.99, 2.0]), min_size=ROWS, max_size=ROWS),
)
def test_predictions_and_all_gradients_are_those_of_dense_features_however_many_of_a_row_fire(
    seed, channels, quantiles
):
    given_numbers = numbers(seed, channels)
    least = torch.tensor(quantiles)[:, None] * 6 - 3  # from all that are positive to none
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_features, "DENSEST", 1.0)
        sparse, *ours = prediction_and_gradients(fired, least, *given_numbers)
    whole, *theirs = prediction_and_gradients(dense, least, *given_numbers)
    assert isinstance(sparse, Fired)
    assert_close(decode(sparse, torch.eye(FEATURES)), whole)
    assert torch.equal(which_fired(sparse), which_fired(whole))
    assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_one_bound_may_serve_all_rows_and_a_row_or_a_whole_batch_may_be_empty(monkeypatch):
    monkeypatch.setattr(sparse_features, "DENSEST", 1.0)
    for bound in (1.0, 1e9):
        least = torch.full((1, 1), bound)
        sparse, *ours = prediction_and_gradients(fired, least, *numbers(0))
        _, *theirs = prediction_and_gradients(dense, least, *numbers(0))
        assert isinstance(sparse, Fired)
        assert_close(ours, theirs)
    assert len(sparse.values) == 0
    assert not which_fired(sparse).any()


def test_a_matrix_may_be_transposed(monkeypatch):
    monkeypatch.setattr(sparse_features, "DENSEST", 1.0)
    source, weight, bias, decoder = numbers(1)
    least, odd = torch.ones(1, 1), (source.T.contiguous().T, weight.T.contiguous().T, bias, decoder.T.contiguous().T)
    _, *ours = prediction_and_gradients(fired, least, *odd)
    _, *theirs = prediction_and_gradients(dense, least, source, weight, bias, decoder)
    assert_close(ours, theirs)


def test_what_is_not_a_number_is_not_lost(monkeypatch):
    monkeypatch.setattr(sparse_features, "DENSEST", 1.0)
    source, weight, bias, decoder = numbers(2)
    source[3, 0] = torch.nan
    prediction = decode(fired(torch.full((1, 1), 2.0), source, weight, bias, decoder), decoder)
    assert prediction[3].isnan().all()
    assert prediction[[0, 1, 2, 4]].isfinite().all()


def test_features_are_dense_once_more_than_a_tenth_fires():
    given_numbers = numbers(3)
    strength = F.linear(*given_numbers[:3]) * given_numbers[3].norm(dim=1)
    for count, kind in ((ROWS * FEATURES // 10, Fired), (ROWS * FEATURES // 10 + 1, torch.Tensor)):
        least = strength.flatten().topk(count).values[-1].view(1, 1)
        assert isinstance(fired(least, *given_numbers), kind)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_another_number_type_takes_dense_features(dtype):
    given_numbers = [each.to(dtype) for each in numbers(4)]
    least = torch.full((1, 1), 5.0, dtype=dtype)
    features, *ours = prediction_and_gradients(fired, least, *given_numbers)
    _, *theirs = prediction_and_gradients(dense, least, *given_numbers)
    assert isinstance(features, torch.Tensor)
    assert features.dtype == dtype
    assert_close(ours, theirs)


def test_another_device_takes_dense_features_with_the_same_results(monkeypatch):
    monkeypatch.setattr(sparse_features, "DENSEST", 1.0)
    least = torch.full((1, 1), 5.0)
    sparse, *known = prediction_and_gradients(fired, least, *numbers(5))
    assert isinstance(sparse, Fired)
    with emulated_device() as device:
        features, prediction, gradients = prediction_and_gradients(
            fired, *(each.to(device) for each in (least, *numbers(5)))
        )
        assert isinstance(features, torch.Tensor)
        assert which_fired(features).tolist() == which_fired(sparse).tolist()
        found = [prediction.cpu(), tuple(each.cpu() for each in gradients)]
    assert_close(found, known, atol=1e-5, rtol=1e-5)


def test_what_is_encoded_gets_its_gradient_too_if_it_needs_one():
    source, *others = numbers(6)
    source.requires_grad_()
    features = fired(torch.full((1, 1), 5.0), source, *others)
    decode(features, others[-1]).sum().backward()
    assert source.grad.any()
