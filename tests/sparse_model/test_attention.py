import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sparse_model.attention import attend_with_sink
from sparse_model.speed import with_whole_pattern


def drawn(batch, heads, positions, channels):
    """Queries, keys, values and sinks that require gradients."""
    generator = torch.Generator().manual_seed(positions)
    made = [torch.randn(batch, heads, positions, channels, generator=generator) for _ in range(3)]
    return [each.requires_grad_() for each in (*made, 2 * torch.randn(heads, generator=generator))]


def test_attention_with_a_sink_and_its_gradients_equal_those_of_the_pattern_written_out():
    for positions in (1, 2, 17, 64):
        inputs = drawn(2, 3, positions, 16)
        outputs = attend_with_sink(*inputs), with_whole_pattern(*inputs)
        torch.testing.assert_close(*outputs)
        weight = torch.randn(outputs[0].shape, generator=torch.Generator().manual_seed(0))
        gradients = [torch.autograd.grad((weight * output).sum(), inputs) for output in outputs]
        torch.testing.assert_close(*gradients)


def test_a_sink_of_minus_infinity_is_no_sink_and_a_large_one_takes_everything():
    q, k, v, _ = drawn(1, 2, 8, 16)
    without = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(attend_with_sink(q, k, v, torch.full((2,), -1e4)), without)
    assert attend_with_sink(q, k, v, torch.full((2,), 100.0)).abs().max() < 1e-6


def test_no_tensor_holds_an_entry_for_every_pair_of_positions():
    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
            made = function(*arguments, **(keywords or {}))
            sizes = [each.numel() for each in tree_leaves(made) if isinstance(each, torch.Tensor)]
            self.numbers = max([self.numbers, *sizes])
            return made

    positions, channels = 512, 16
    inputs = drawn(1, 1, positions, channels)
    with Largest() as seen:
        attend_with_sink(*inputs).sum().backward()
    assert seen.numbers <= 2 * positions * channels
    with Largest() as seen:
        with_whole_pattern(*inputs)
    assert seen.numbers >= positions**2
