import pytest
import torch
import torch.nn.functional as F

import sparse_model.linear as module
from sparse_model.linear import LIBRARY, ONEDNN, available, linear, product, use, using, weight_gradient


def gradients(function, *inputs):
    leaves = [each.clone().requires_grad_() for each in inputs]
    result = function(*leaves)
    weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view(result.shape)
    return result, *torch.autograd.grad(result, leaves, weights)


@pytest.fixture(params=available())
def way(request):
    with using(request.param):
        yield request.param


@pytest.mark.parametrize(("source", "target"), [(8, 8), (5, 70), (70, 5), (1, 1)])
def test_values_and_gradients_are_those_of_torch(way, source, target):
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 7, source), (target, source), (target,)]
    inputs = [torch.randn(shape, generator=generator) for shape in shapes]
    for ours, theirs in zip(gradients(linear, *inputs), gradients(F.linear, *inputs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_products_without_gradients_are_those_of_torch(way):
    generator = torch.Generator().manual_seed(0)
    gradient, values = torch.randn(7, 30, generator=generator), torch.randn(7, 5, generator=generator)
    torch.testing.assert_close(product(gradient.T, values.T), gradient.T @ values, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(weight_gradient(gradient, values), gradient.T @ values, rtol=1e-4, atol=1e-4)


def test_only_the_way_in_use_computes(monkeypatch):
    called = []
    monkeypatch.setattr(module, "KERNEL", lambda *arguments: called.append(1) or F.linear(*arguments[:3]))
    values, weight = torch.randn(2, 3), torch.randn(4, 3)
    linear(values, weight)
    assert not called
    with using(ONEDNN):
        linear(values, weight)
    assert len(called) == 1
    linear(values, weight)
    assert len(called) == 1


def test_a_build_without_the_kernel_has_the_library_alone(monkeypatch):
    monkeypatch.setattr(module, "KERNEL", None)
    assert available() == (LIBRARY,)
    use(LIBRARY)
    with pytest.raises(ValueError, match="no way 'onednn' of linear maps; choose from library"):
        use(ONEDNN)


def test_other_number_types_go_the_usual_way(way):
    values, weight = torch.randn(2, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    assert torch.equal(linear(values, weight), F.linear(values, weight))


def test_gradients_that_are_not_asked_for_are_not_made(way):
    values, weight = torch.randn(2, 3, requires_grad=True), torch.randn(4, 3)
    linear(values, weight).sum().backward()
    assert weight.grad is None
    torch.testing.assert_close(values.grad, weight.sum(0).expand(2, -1))


def test_rows_that_are_no_neighbours_in_memory_are_read_right(way):
    values, weight = torch.randn(6, 5, 4).transpose(0, 2), torch.randn(6, 3).T
    torch.testing.assert_close(linear(values, weight), F.linear(values, weight))
