import pytest
import torch
import torch.nn.functional as F

import sparse_model.linear as module
from sparse_model.linear import linear


def gradients(function, *inputs):
    leaves = [each.clone().requires_grad_() for each in inputs]
    result = function(*leaves)
    weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view(result.shape)
    return result, *torch.autograd.grad(result, leaves, weights)


@pytest.mark.parametrize("kernel", [module.KERNEL, None])
@pytest.mark.parametrize(("source", "target"), [(8, 8), (5, 70), (70, 5), (1, 1)])
def test_values_and_gradients_are_those_of_torch(monkeypatch, kernel, source, target):
    monkeypatch.setattr(module, "KERNEL", kernel)
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 7, source), (target, source), (target,)]
    inputs = [torch.randn(shape, generator=generator) for shape in shapes]
    for ours, theirs in zip(gradients(linear, *inputs), gradients(F.linear, *inputs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_other_number_types_go_the_usual_way():
    values, weight = torch.randn(2, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    assert torch.equal(linear(values, weight), F.linear(values, weight))


def test_gradients_that_are_not_asked_for_are_not_made():
    values, weight = torch.randn(2, 3, requires_grad=True), torch.randn(4, 3)
    linear(values, weight).sum().backward()
    assert weight.grad is None
    torch.testing.assert_close(values.grad, weight.sum(0).expand(2, -1))


def test_rows_that_are_no_neighbours_in_memory_are_read_right():
    values, weight = torch.randn(6, 5, 4).transpose(0, 2), torch.randn(6, 3).T
    torch.testing.assert_close(linear(values, weight), F.linear(values, weight))
