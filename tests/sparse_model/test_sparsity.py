import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparse_model.sparsity import abs_top_k, keep_largest, largest_of_rows, masked


def stable_top_k(values, count):
    """The three naive lines: of equal magnitudes, those of lowest index."""
    kept = values.abs().sort(dim=-1, descending=True, stable=True).indices[..., :count]
    return torch.zeros_like(values).scatter(-1, kept, values.gather(-1, kept)), kept


ANY_FLOAT = st.floats(-(2.0**70), 2.0**70, width=32)


def some_values(elements):
    shape = st.tuples(st.integers(1, 4), st.integers(1, 40))
    return shape.flatmap(lambda sides: arrays("float32", sides, elements=elements)).map(torch.from_numpy)


@given(some_values(ANY_FLOAT), st.integers(1, 45))
def test_abs_top_k_keeps_what_a_stable_sort_keeps_and_passes_gradients_through_it(values, count):
    expected, kept = stable_top_k(values, count)
    inputs = values.clone().requires_grad_()
    found = abs_top_k(inputs, count)
    gradient = torch.arange(1.0, values.numel() + 1).view(values.shape)
    (passed,) = torch.autograd.grad(found, inputs, gradient)
    assert torch.equal(found, expected)
    assert torch.equal(passed, torch.zeros_like(values).scatter(-1, kept, gradient.gather(-1, kept)))


@given(some_values(st.sampled_from([-1.0, 0.0, 1.0, 2.0])), st.integers(1, 45))
def test_ties_are_broken_by_lowest_index_and_exactly_count_are_kept(values, count):
    kept = largest_of_rows(values, count)
    assert (kept.sum(-1) == min(count, values.shape[-1])).all()
    assert torch.equal(values * kept, stable_top_k(values, count)[0])


@pytest.mark.parametrize("count", [1, 7, 50, 199])
def test_rows_whose_thresholds_are_far_apart_are_each_searched_to_the_end(count):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(300, 200, generator=generator)
    values *= 10 ** torch.empty(300, 1).uniform_(-40, 37, generator=generator)  # denormal numbers among them
    values[::3] *= 10 ** torch.empty(100, 200).uniform_(-30, 0, generator=generator)  # and many octaves in a row
    values[1::7] *= torch.rand(43, 200, generator=generator) < 0.1
    values[2::7] = values[2::7, :1]
    assert torch.equal(abs_top_k(values, count), stable_top_k(values, count)[0])
    assert (largest_of_rows(values, count).sum(-1) == count).all()


def test_the_kernel_and_torch_topk_agree_on_other_number_types():
    values = torch.randn(50, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(abs_top_k(values, 16).double(), abs_top_k(values.double(), 16))


def test_infinities_and_nan_are_the_largest():
    values = torch.tensor([[1.0, -torch.inf, 3.0, torch.nan]])
    assert largest_of_rows(values, 2).tolist() == [[False, True, False, True]]


def test_rows_that_are_no_neighbours_in_memory_are_read_right():
    values = torch.randn(8, 6, 10, generator=torch.Generator().manual_seed(0)).transpose(0, 2)
    assert torch.equal(abs_top_k(values, 3), stable_top_k(values, 3)[0])


def test_masking_leaves_no_nan_behind():
    assert masked(torch.tensor([torch.nan, 1.0, 2.0]), torch.tensor([False, True, False])).tolist() == [0, 1, 0]


def naive_projection(weight, count, minimum, axis):
    """The released script's lines (apply_topk_): the minimum's weights first, then the largest of all."""
    score, dim = weight.abs(), 1 if axis == "rows" else 0
    if minimum:
        score.scatter_(dim, score.topk(minimum, dim=dim).indices, 1e10)
    kept = score.flatten().topk(count).indices
    return torch.zeros(weight.numel()).scatter(0, kept, weight.flatten()[kept]).view(weight.shape)


@pytest.mark.parametrize("axis", ["rows", "columns"])
@pytest.mark.parametrize("minimum", [0, 4])
@pytest.mark.parametrize("count", [160, 200, 500])
def test_projection_is_the_released_scripts_and_keeps_the_number_and_the_minimum(axis, minimum, count):
    weight = torch.randn(40, 24, generator=torch.Generator().manual_seed(0))
    weight[3], weight[:, 5] = weight[3] * 1e-3, weight[:, 5] * 1e-3  # a neuron that would lose everything
    expected = naive_projection(weight, count, minimum, axis)
    keep_largest(weight, count, minimum, axis)
    assert torch.equal(weight, expected)
    assert weight.count_nonzero() == count
    assert (weight != 0).sum(1 if axis == "rows" else 0).min() >= minimum


def test_projection_to_all_weights_changes_nothing():
    weight = torch.randn(5, 6)
    before = weight.clone()
    keep_largest(weight, 30, 4)
    assert torch.equal(weight, before)


def test_too_few_weights_for_the_minimum_is_an_error_that_says_what_to_do():
    with pytest.raises(
        ValueError, match=r"39 weights are fewer than 4 for each of 10 neurons; choose a higher density"
    ):
        keep_largest(torch.randn(10, 20), 39, 4)
