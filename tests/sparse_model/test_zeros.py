"""Products that skip zeros against dense ones: values, gradients, and weights that change."""

import gc

import pytest
import torch
import torch.nn.functional as F
from emulated_device import emulated_device
from torch.nn import Parameter

from sparse_model import zeros
from sparse_model.linear import linear
from sparse_model.zeros import DENSITY, Nonzeros, mostly_zeros, product_with


@pytest.fixture(autouse=True)
def _of_any_size(monkeypatch):
    monkeypatch.setattr(zeros, "LEAST_PRODUCTS", 0)


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def frozen(target, source, density=0.05, seed=0):
    generator = torch.Generator().manual_seed(seed)
    kept = torch.rand(target, source, generator=generator) < density
    return Parameter(torch.randn(target, source, generator=generator) * kept, requires_grad=False)


def skips(weight, values):
    return mostly_zeros(weight, values) is not None


def is_dense(weight, values, bias=None):
    torch.testing.assert_close(linear(values, weight, bias), F.linear(values, weight, bias), rtol=1e-4, atol=1e-4)
    return not skips(weight, values)


@pytest.mark.parametrize("density", [0.0, 0.01, 0.05, 0.3, 1.0])
@pytest.mark.parametrize(("rows", "source", "target"), [(1, 1, 1), (127, 8, 16), (128, 160, 24), (300, 13, 70)])
def test_the_product_is_the_dense_one_at_every_density_and_shape(rows, source, target, density):
    weight, values, bias = frozen(target, source, density), drawn(rows, source, seed=1), drawn(target, seed=2)
    nonzeros = Nonzeros.of(weight)
    assert len(nonzeros.weights) == weight.count_nonzero()
    for added in (bias, None):
        found = product_with(nonzeros, values, added)
        torch.testing.assert_close(found, F.linear(values, weight, added), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("shape", [(0, 32), (3, 32), (2, 140, 32), (5, 7, 9, 32)])
def test_values_and_gradients_are_those_of_torch(shape, with_bias):
    weight = frozen(40, 32)
    assert skips(weight, drawn(*shape))
    inputs = [drawn(*shape), *([drawn(40, seed=1)] if with_bias else [])]
    found = []
    for function in (linear, F.linear):
        leaves = [each.clone().requires_grad_() for each in inputs]
        result = function(leaves[0], weight, *leaves[1:])
        found.append([result, *torch.autograd.grad(result, leaves, drawn(*result.shape, seed=2))])
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


def test_the_gradient_of_a_sum_and_of_the_values_alone():
    weight, values = frozen(40, 32), drawn(130, 32).requires_grad_()
    linear(values, weight, drawn(40)).sum().backward()
    torch.testing.assert_close(values.grad, weight.sum(0).expand(130, -1))


def test_values_and_weights_that_are_no_neighbours_in_memory_are_read_right():
    values = drawn(32, 6, 30).transpose(0, 2)
    weight = Parameter(frozen(32, 40).T, requires_grad=False)
    bias = drawn(80)[::2]
    assert skips(weight, values)
    torch.testing.assert_close(linear(values, weight, bias), F.linear(values, weight, bias), rtol=1e-4, atol=1e-4)


def test_nan_and_infinity_stay_in_their_rows():
    weight, values = frozen(40, 32, density=0.09), drawn(130, 32)
    values[7], values[8] = torch.nan, torch.inf
    found = linear(values, weight)
    assert torch.equal(found[9:].isfinite(), torch.ones(121, 40, dtype=torch.bool))
    assert found[7, weight.any(1)].isnan().all()


def changed_in_place(weight):
    with torch.no_grad():
        weight.mul_(2)


def changed_at_one_place(weight):
    with torch.no_grad():
        weight[3, 5] = 7.0


def given_other_data(weight):
    weight.data = frozen(40, 40, seed=5).detach()


def transposed(weight):
    weight.data = weight.data.T


@pytest.mark.parametrize("change", [changed_in_place, changed_at_one_place, given_other_data, transposed])
def test_a_weight_that_changed_is_looked_at_again(change):
    weight, values = frozen(40, 40), drawn(130, 40)
    before = linear(values, weight)
    assert skips(weight, values)
    change(weight)
    after = linear(values, weight)
    assert skips(weight, values)
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, F.linear(values, weight), rtol=1e-4, atol=1e-4)


def test_a_weight_that_became_dense_or_sparse_goes_the_other_way():
    weight, values = frozen(40, 32), drawn(130, 32)
    assert skips(weight, values)
    with torch.no_grad():
        weight.add_(1.0)
    assert is_dense(weight, values)
    with torch.no_grad():
        weight.copy_(frozen(40, 32))
    assert skips(weight, values)


def test_a_change_after_the_forward_pass_does_not_reach_its_gradient():
    weight, values = frozen(40, 32), drawn(130, 32).requires_grad_()
    expected = weight.sum(0).expand(130, -1).clone()
    total = linear(values, weight).sum()
    changed_in_place(weight)
    total.backward()
    torch.testing.assert_close(values.grad, expected)


def test_a_weight_is_looked_at_once(monkeypatch):
    weight, values, looked = frozen(40, 32), drawn(130, 32), []
    made = Nonzeros.of
    monkeypatch.setattr(Nonzeros, "of", lambda matrix: looked.append(1) or made(matrix))
    for _ in range(3):
        linear(values, weight)
    assert len(looked) == 2  # the matrix and its transpose


def test_what_was_found_in_a_weight_is_forgotten_with_it():
    before = len(zeros._seen)
    weight = frozen(40, 32)
    linear(drawn(130, 32), weight)
    assert len(zeros._seen) == before + 1
    del weight
    gc.collect()
    assert len(zeros._seen) == before


def test_weights_that_get_gradients_are_dense_and_get_them():
    weight, values = frozen(40, 32).requires_grad_(), drawn(130, 32)
    assert is_dense(weight, values)
    linear(values, weight).sum().backward()
    torch.testing.assert_close(weight.grad, values.sum(0).expand(40, -1), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        assert skips(weight, values)


def test_what_does_not_pay_is_dense(monkeypatch):
    weight, values = frozen(40, 32), drawn(130, 32)
    assert is_dense(frozen(40, 32, density=2 * DENSITY), values)
    assert is_dense(weight.detach(), values)
    with monkeypatch.context() as patch:
        patch.setattr(zeros, "LEAST_PRODUCTS", 130 * 32 * 40 + 1)
        assert is_dense(weight, values)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert is_dense(weight, values)


def test_a_weight_made_in_inference_mode_has_no_version_and_is_dense():
    with torch.inference_mode():
        assert is_dense(frozen(40, 32), drawn(130, 32))


def test_other_number_types_and_devices_go_the_usual_way():
    weight, values = frozen(40, 32), drawn(130, 32)
    expected = linear(values, weight)
    double = Parameter(weight.double(), requires_grad=False)
    assert is_dense(double, values.double())
    with pytest.raises(RuntimeError, match="same dtype"):
        linear(values, double)
    with emulated_device() as device:
        there = Parameter(weight.to(device), requires_grad=False)
        assert not skips(there, values.to(device))
        torch.testing.assert_close(linear(values.to(device), there).cpu(), expected, rtol=1e-4, atol=1e-4)
        with pytest.raises(RuntimeError, match="same device"):
            linear(values, there)
