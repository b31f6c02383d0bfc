"""Products with a weight matrix that is mostly zeros and does not change: only its nonzeros are multiplied.

The rows are transposed some at a time, so that each nonzero multiplies one run of neighbouring numbers. On one thread
(AVX2) and 1,024 rows, the faster of PyTorch's dense products takes this many times as long:

    density       0.2    0.15   0.1    0.05   0.02   0.01
    160 to 512    0.94   1.09   1.60   2.21   2.90   3.60
    512 to 128    0.87   1.03   1.67   2.31   2.95   3.44
    160 to 128    0.77   1.14   1.41   1.70   2.12   2.59

What is known of a weight is kept as long as PyTorch's own account of it, `Tensor._version`, says that it has not been
written to; writes through `weight.data` or a numpy array are not in that account.
"""

from dataclasses import dataclass
from typing import no_type_check
from weakref import ReferenceType, ref

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import Parameter

from benchmark.compiled import compiled

DENSITY = 0.1
"""The highest share of nonzeros at which they are multiplied one by one."""

LEAST_PRODUCTS = 2**22
"""The least number of products of a dense matrix, rows x targets x sources, from which zeros are skipped."""

ROWS = 128
"""How many rows are transposed at a time."""


@dataclass(frozen=True, eq=False)
class Nonzeros:
    """The nonzeros of a matrix `[target, source]`, by target.

    Attributes:
        starts: Where each target's begin, and the end of the last one's.
        sources: The source of each.
        weights: The weight of each.
        width: Number of sources of the matrix.
    """

    starts: np.ndarray
    sources: np.ndarray
    weights: np.ndarray
    width: int

    @classmethod
    def of(cls, matrix: Float[Tensor, "target source"]) -> "Nonzeros":
        """Those of a matrix of float32 on a CPU."""
        starts, sources, weights = _nonzeros(matrix.detach().contiguous().numpy())
        return cls(starts, sources, weights, matrix.shape[1])


@dataclass(frozen=True, eq=False)
class MostlyZeros:
    """A weight matrix that is mostly zeros, and its transpose for the gradient with respect to the rows."""

    matrix: Nonzeros
    transpose: Nonzeros


@dataclass(frozen=True, eq=False)
class Seen:
    """What was found in a weight.

    Attributes:
        weight: The weight; its place in the table goes to another tensor once it is gone.
        state: The version, the place in memory and the strides that it had.
        found: Its nonzeros, if they are few.
    """

    weight: ReferenceType[Tensor]
    state: tuple[int, int, tuple[int, ...]]
    found: MostlyZeros | None


_seen: dict[int, Seen] = {}
"""What was found in the parameters of this process, by their `id`."""


def mostly_zeros(weight: Tensor, values: Tensor) -> MostlyZeros | None:
    """The nonzeros of a weight, if a product with these values is faster with them alone; else `None`."""
    if (
        type(weight) is not Parameter  # only these are used again and again
        or values.dtype != torch.float32
        or not values.is_cpu
        or (weight.requires_grad and torch.is_grad_enabled())  # it is about to change
        or values.numel() * weight.shape[0] < LEAST_PRODUCTS
        or torch.get_num_threads() > 1  # they share a dense product
    ):
        return None
    try:
        state = (weight._version, weight.data_ptr(), weight.stride())
    except RuntimeError:  # a weight that was made in inference mode has no version
        return None
    seen = _seen.get(id(weight))
    if seen is None or seen.state != state or seen.weight() is not weight:
        seen = _seen[id(weight)] = Seen(_reference(weight), state, _nonzeros_if_few(weight))
    return seen.found


def _reference(weight: Tensor) -> ReferenceType[Tensor]:
    """A reference to a weight that forgets what was found in it when it is gone."""
    place = id(weight)
    return ref(weight, lambda _: _seen.pop(place, None))


def _nonzeros_if_few(weight: Tensor) -> MostlyZeros | None:
    """The nonzeros of a weight, if they are few."""
    if weight.dtype != torch.float32 or not weight.is_cpu or weight.count_nonzero() > DENSITY * weight.numel():
        return None
    return MostlyZeros(Nonzeros.of(weight), Nonzeros.of(weight.T))


def product_with(
    nonzeros: Nonzeros, rows: Float[Tensor, "row source"], bias: Float[Tensor, " target"] | None = None
) -> Float[Tensor, "row target"]:
    """`rows @ matrix.T + bias`, without gradients."""
    targets = len(nonzeros.starts) - 1
    assert rows.shape[1] == nonzeros.width
    assert bias is None or bias.shape == (targets,)
    result = rows.new_empty(len(rows), targets)
    added = np.zeros(targets, np.float32) if bias is None else bias.detach().contiguous().numpy()
    arrays = (nonzeros.starts, nonzeros.sources, nonzeros.weights, added)
    _product(rows.detach().contiguous().numpy(), *arrays, result.numpy())
    return result


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _nonzeros(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The starts, the sources and the weights of `Nonzeros`."""
    targets, sources = matrix.shape
    starts = np.empty(targets + 1, np.int32)
    source_of = np.empty(matrix.size, np.int32)
    weights = np.empty(matrix.size, np.float32)
    found = 0
    for target in range(targets):
        starts[target] = found
        for source in range(sources):
            if matrix[target, source] != 0:
                source_of[found], weights[found] = source, matrix[target, source]
                found += 1
    starts[targets] = found
    return starts, source_of[:found].copy(), weights[:found].copy()


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _product(
    rows: np.ndarray,
    starts: np.ndarray,
    sources: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    result: np.ndarray,
) -> None:
    """Fill the result, some rows at a time."""
    read = np.zeros((rows.shape[1], ROWS), np.float32)
    written = np.empty((result.shape[1], ROWS), np.float32)
    for first in range(0, len(rows), ROWS):
        _transpose(rows[first : first + ROWS], read)
        for target in range(len(written)):
            written[target] = bias[target]
            end = starts[target + 1]
            eights = end - (end - starts[target]) % 8
            for at in range(starts[target], eights, 8):
                _add_eight(read, sources[at : at + 8], weights[at : at + 8], written[target])
            for at in range(eights, end):
                _add(read[sources[at]], weights[at], written[target])
        _transpose(written, result[first : first + ROWS])


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _add(values: np.ndarray, weight: np.float32, total: np.ndarray) -> None:
    """Add the values of a source times its weight."""
    for row in range(ROWS):
        total[row] += weight * values[row]


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _add_eight(read: np.ndarray, sources: np.ndarray, weights: np.ndarray, total: np.ndarray) -> None:
    """Add the values of eight sources times their weights: the total is read and written once, not eight times."""
    a, b, c, d = read[sources[0]], read[sources[1]], read[sources[2]], read[sources[3]]
    e, f, g, h = read[sources[4]], read[sources[5]], read[sources[6]], read[sources[7]]
    of_a, of_b, of_c, of_d = weights[0], weights[1], weights[2], weights[3]
    of_e, of_f, of_g, of_h = weights[4], weights[5], weights[6], weights[7]
    for row in range(ROWS):
        first = of_a * a[row] + of_b * b[row] + of_c * c[row] + of_d * d[row]
        total[row] += first + (of_e * e[row] + of_f * f[row] + of_g * g[row] + of_h * h[row])


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _transpose(matrix: np.ndarray, result: np.ndarray) -> None:
    """Copy a matrix, transposed, as far as it fits, in squares of eight: that is several times as fast as by rows."""
    rows, columns = min(matrix.shape[0], result.shape[1]), min(matrix.shape[1], result.shape[0])
    whole_rows, whole_columns = rows - rows % 8, columns - columns % 8
    for left in range(0, whole_columns, 8):
        for top in range(0, whole_rows, 8):
            for column in range(left, left + 8):
                for row in range(top, top + 8):
                    result[column, row] = matrix[row, column]
    for row in range(rows):
        for column in range(whole_columns if row < whole_rows else 0, columns):
            result[column, row] = matrix[row, column]
