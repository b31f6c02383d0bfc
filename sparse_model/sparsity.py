"""AbsTopK on activations, and the projection of weight matrices onto few nonzeros.

Both select by magnitude with an exact bisection over the bits of |x| (the binary search of Gao et al. 2025, whose
kernels are not released): read as integers, the bits of non-negative floats have the order of the floats, so counting
the entries that reach a threshold, at most 31 times, finds the right one. Of equal magnitudes those of lowest index are
kept. For anything but float32 on a CPU `torch.topk` does the same, except that its order of ties is arbitrary.
"""

from typing import Any, Literal, no_type_check

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from benchmark.compiled import compiled

MAGNITUDE = np.int32(0x7FFFFFFF)
"""All bits of a float32 except the sign."""

Axis = Literal["rows", "columns"]
"""Whether the neurons of a `[target, source]` matrix are its rows (their reads) or its columns (their writes)."""


def abs_top_k(values: Float[Tensor, "*row node"], count: int) -> Float[Tensor, "*row node"]:
    """Set all but the `count` entries of largest magnitude in each row to zero (paper A.1, AbsTopK).

    Rows are along the last dimension; the gradient passes only through the kept entries.
    """
    if count >= values.shape[-1]:
        return values
    result: Tensor = AbsTopK.apply(values, count)  # type: ignore[no-untyped-call]
    return result


class AbsTopK(torch.autograd.Function):
    """`abs_top_k` with its gradient."""

    @staticmethod
    def forward(context: Any, values: Tensor, count: int) -> Tensor:
        """The values with all but `count` entries in each row set to zero."""
        kept = largest_of_rows(values.reshape(-1, values.shape[-1]), count).view(values.shape)
        context.save_for_backward(kept)
        return masked(values, kept)

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The gradient at the kept entries, zero elsewhere."""
        (kept,) = context.saved_tensors
        return masked(gradients[0], kept), None


def keep_largest(weight: Float[Tensor, "target source"], count: int, minimum: int = 0, axis: Axis = "rows") -> None:
    """Set all but the largest weights of a matrix to zero, in place (paper A.2).

    Args:
        weight: The matrix, `[target, source]`.
        count: Number of weights kept.
        minimum: Weights that every neuron keeps, however small; they are part of `count`.
        axis: Whether neurons are rows or columns.

    Raises:
        ValueError: If `count` is too small for the minimum.
    """
    if count >= weight.numel():
        return
    neurons = weight.shape[0] if axis == "rows" else weight.shape[1]
    if minimum * neurons > count:
        needed = f"{minimum} for each of {neurons} neurons"
        raise ValueError(f"{count} weights are fewer than {needed}; choose a higher density")
    score = weight.detach().abs()
    if minimum > 0:
        by_neuron = score if axis == "rows" else score.T
        protected = largest_of_rows(by_neuron, minimum)
        score.masked_fill_(protected if axis == "rows" else protected.T, torch.inf)
    kept = largest_of_rows(score.view(1, -1), count).view(weight.shape)
    with torch.no_grad():
        weight.copy_(masked(weight, kept))


def largest_of_rows(values: Float[Tensor, "row node"], count: int) -> Bool[Tensor, "row node"]:
    """Which `count` entries of each row have the largest magnitude."""
    if values.device.type == "cpu" and values.dtype == torch.float32:
        kept = torch.empty(values.shape, dtype=torch.bool)
        _largest_of_rows(values.detach().contiguous().numpy(), min(count, values.shape[1]), kept.numpy())
        return kept
    indices = values.abs().topk(min(count, values.shape[1]), dim=1, sorted=False).indices
    return torch.zeros_like(values, dtype=torch.bool).scatter_(1, indices, True)


def masked(values: Float[Tensor, "*shape"], kept: Bool[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The values where they are kept, zero elsewhere; on a CPU a quarter of the time of `values * kept`."""
    if values.device.type == "cpu" and values.dtype == torch.float32:
        result = torch.empty(values.shape)
        _masked(*(each.detach().contiguous().view(-1).numpy() for each in (values, kept, result)))
        return result
    return torch.where(kept, values, 0)


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _masked(values: np.ndarray, kept: np.ndarray, result: np.ndarray) -> None:
    """Copy the kept entries of a flat array, and zeros for the others."""
    for index in range(values.size):
        result[index] = values[index] if kept[index] else np.float32(0)


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _largest_of_rows(values: np.ndarray, count: int, kept: np.ndarray) -> None:
    """Mark the `count` entries of largest magnitude in each row of a float32 matrix."""
    rows, size = values.shape
    bits = np.empty(size, np.int32)
    for row in range(rows):
        row_bits = values[row].view(np.int32)
        for node in range(size):
            bits[node] = row_bits[node] & MAGNITUDE
        threshold, ties = _threshold(bits, count)
        for node in range(size):
            kept[row, node] = bits[node] >= threshold
        node = size - 1
        while ties > 0:  # of the entries at the threshold, the last ones are too many
            if bits[node] == threshold:
                kept[row, node] = False
                ties -= 1
            node -= 1


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _threshold(bits: np.ndarray, count: int) -> tuple[np.int64, np.int64]:
    """The largest threshold that at least `count` entries reach, and how many too many reach it."""
    low, reached = np.int64(0), np.int64(bits.size)  # `reached` entries are >= low, fewer than `count` are >= high
    high = np.int64(bits.max()) + 1
    while reached > count and high - low > 1:
        middle = np.int32((low + high) // 2)
        found = np.int32(0)
        for node in range(bits.size):
            found += np.int32(bits[node] >= middle)
        if found >= count:
            low, reached = np.int64(middle), np.int64(found)
        else:
            high = np.int64(middle)
    return low, reached - count
