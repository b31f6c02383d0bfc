"""AbsTopK on activations, and the projection of weight matrices onto few nonzeros.

Both select by magnitude with an exact search over the bits of |x| (the binary search of Gao et al. 2025, whose kernels
are not released): read as integers, the bits of non-negative floats have the order of the floats, so counting the
entries that reach a threshold finds the right one. The search starts from the threshold of the row before and goes on
between the last two counts, which takes about five counts where halving takes thirteen; what it does not find in a few
it halves, 41 counts at most. Of equal magnitudes those of lowest index are kept. For anything but float32 on a CPU
`torch.topk` does the same, except that its order of ties is arbitrary.
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

FIRST_GUESS = np.int64(0x3F800000)
"""The threshold from which the search in a first row starts: 1."""

ENTRY_SPACING = np.int64(2**25)
"""The distance between the bits of a row's entries, times their number: a guess, a quarter of them in each octave."""

GUESSES = 10
"""How many thresholds are guessed before the rest is bisected."""

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
        result, kept = with_largest_of_rows(values.reshape(-1, values.shape[-1]), count)
        context.save_for_backward(kept.view(values.shape))
        return result.view(values.shape)

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


def with_largest_of_rows(
    values: Float[Tensor, "row node"], count: int
) -> tuple[Float[Tensor, "row node"], Bool[Tensor, "row node"]]:
    """The values with all but the `count` largest magnitudes of each row set to zero, and which are kept."""
    if values.device.type == "cpu" and values.dtype == torch.float32:
        result, kept = torch.empty(values.shape), torch.empty(values.shape, dtype=torch.bool)
        _with_largest_of_rows(values.detach().contiguous().numpy(), count, kept.numpy(), result.numpy())
        return result, kept
    kept = largest_of_rows(values, count)
    return masked(values, kept), kept


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
def _with_largest_of_rows(values: np.ndarray, count: int, kept: np.ndarray, result: np.ndarray) -> None:
    """Mark the `count` entries of largest magnitude in each row of a float32 matrix, and copy them."""
    rows, size = values.shape
    bits = np.empty(size, np.int32)
    threshold = FIRST_GUESS
    for row in range(rows):
        threshold = _mark(values[row], bits, count, threshold, kept[row])
        for node in range(size):
            result[row, node] = values[row, node] if kept[row, node] else np.float32(0)


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _largest_of_rows(values: np.ndarray, count: int, kept: np.ndarray) -> None:
    """Mark the `count` entries of largest magnitude in each row of a float32 matrix."""
    bits = np.empty(values.shape[1], np.int32)
    threshold = FIRST_GUESS
    for row in range(len(values)):
        threshold = _mark(values[row], bits, count, threshold, kept[row])


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _mark(values: np.ndarray, bits: np.ndarray, count: int, guess: np.int64, kept: np.ndarray) -> np.int64:
    """Mark the `count` entries of largest magnitude in a row, and return the threshold that they reach.

    `guess` is a threshold from which to search; `bits` is overwritten.
    """
    row_bits = values.view(np.int32)
    largest = np.int32(0)
    for node in range(bits.size):
        bits[node] = row_bits[node] & MAGNITUDE
        largest = max(largest, bits[node])
    threshold, ties = _threshold(bits, count, np.int64(largest), guess)
    lowest = np.int32(threshold)
    for node in range(bits.size):
        kept[node] = bits[node] >= lowest
    node = bits.size - 1
    while ties > 0:  # of the entries at the threshold, the last ones are too many
        if bits[node] == lowest:
            kept[node] = False
            ties -= 1
        node -= 1
    return threshold


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _threshold(bits: np.ndarray, count: int, largest: np.int64, guess: np.int64) -> tuple[np.int64, np.int64]:
    """A threshold that at least `count` entries reach, and how many too many reach it.

    If any are too many, it is the largest such threshold.
    """
    low, reach_low = np.int64(0), np.int64(bits.size)
    high, reach_high = largest + 1, np.int64(0)  # fewer than `count` entries reach it
    spacing = ENTRY_SPACING // bits.size
    guesses = 0
    while reach_low > count and high - low > 1:
        if guesses >= GUESSES:
            guess = (low + high) // 2
        middle = min(max(guess, low + 1), high - 1)
        reach = np.int64(_reach(bits, np.int32(middle)))
        if reach >= count:
            low, reach_low = middle, reach
        else:
            high, reach_high = middle, reach
        guesses += 1
        if low == 0:
            guess = high - (count - reach_high + 1) * spacing
        elif reach_high == 0:
            guess = low + (reach_low - count + 1) * spacing
        else:
            guess = low + (high - low) * (reach_low - count) // (reach_low - reach_high)
    return low, reach_low - count


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _reach(bits: np.ndarray, threshold: np.int32) -> np.int32:
    """How many entries reach a threshold."""
    found = np.int32(0)
    for node in range(bits.size):
        found += np.int32(bits[node] >= threshold)
    return found
