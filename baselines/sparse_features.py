"""Features as the entries that fired: encoders learn from these and decoders go through these, if there are few.

TopK features are zero almost everywhere, and so is their gradient: ReLU times a mask passes it to what fired only. Of
the dense products of a training step the one that finds the strongest features remains; the decoder's product and the
gradients of values, decoder, encoder and bias take `channels x entries` operations each, not `channels x rows x
features`. Straight-through gradients, as JumpReLU's, reach features that did not fire: they need dense features.
"""

from dataclasses import dataclass
from typing import Any, no_type_check

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from benchmark.compiled import compiled

DENSEST = 0.1
"""The largest share of entries that fire for which they alone are computed with: encoding, decoding and all gradients
then take between two thirds and four fifths of the time of dense ones, at 0.01 a third to a half, and as long at 0.15
to 0.2 (64 to 512 channels, one thread of an AMD EPYC with AVX2)."""


@dataclass(frozen=True, eq=False)
class Fired:
    """The features of a batch that fired, row by row, on a CPU.

    Attributes:
        starts: Where the entries of each row begin, then their number.
        columns: The feature of each entry, in ascending order within a row.
        values: Their activations, with gradient.
        features: Number of features that there are.
    """

    starts: Int64[Tensor, " row_and_end"]
    columns: Int64[Tensor, " entry"]
    values: Float[Tensor, " entry"]
    features: int


Features = Fired | Float[Tensor, "row feature"]
"""The features of a batch: the entries that fired, or all of them."""


def fire(
    before: Float[Tensor, "row feature"],
    norms: Float[Tensor, " feature"],
    least: Float[Tensor, "#row 1"],
    source: Float[Tensor, "row d_in"],
    weight: Float[Tensor, "feature d_in"],
    bias: Float[Tensor, " feature"],
) -> Features:
    """Positive pre-activations that times their norm reach what is at least needed in their row; the others are zero.

    Args:
        before: Pre-activations, `F.linear(source, weight, bias)`.
        norms: The norm of each feature's decoder, which decides without a gradient.
        least: The least that a feature needs in each row, or in any row.
        source: What is encoded, without gradient where only entries are returned.
        weight: The encoder; it learns from what fired.
        bias: The encoder's bias; it too.

    Returns:
        The entries for few features in float32 on a CPU, otherwise all features.
    """
    known = before.detach()
    usable = before.device.type == "cpu" and before.dtype == source.dtype == weight.dtype == torch.float32
    if usable and not source.requires_grad:
        starts = torch.zeros(len(known) + 1, dtype=torch.int64)
        columns = torch.empty(int(DENSEST * known.numel()), dtype=torch.int64)
        found = torch.empty(len(columns))
        needed = least.detach().expand(len(known), 1)[:, 0]
        if _strongest(*_arrays(known, norms, needed, starts, columns, found)):
            columns = columns[: starts[-1]].clone()
            values = Encode.apply(found[: starts[-1]], starts, columns, source, weight, bias)  # type: ignore[no-untyped-call]
            return Fired(starts, columns, values, known.shape[1])
    return F.relu(before) * (known * norms.detach() >= least)


def decode(features: Features, decoder: Float[Tensor, "feature channel"]) -> Float[Tensor, "row channel"]:
    """The product of features and decoder."""
    if isinstance(features, Tensor):
        return features @ decoder
    product: Tensor = Decode.apply(features.values, features.starts, features.columns, decoder)  # type: ignore[no-untyped-call]
    return product


def dense(features: Features) -> Float[Tensor, "row feature"]:
    """Features of which it is known that they are dense."""
    assert isinstance(features, Tensor), "entries that fired"
    return features


def which_fired(features: Features) -> Bool[Tensor, " feature"]:
    """Which features fired in any row."""
    if isinstance(features, Tensor):
        return (features.detach() > 0).any(0)
    return torch.zeros(features.features, dtype=torch.bool).index_fill_(0, features.columns, True)


class Encode(torch.autograd.Function):
    """The pre-activations of entries, with gradients to the encoder and its bias."""

    @staticmethod
    def forward(
        context: Any, values: Tensor, starts: Tensor, columns: Tensor, source: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        """The values as they are."""
        context.save_for_backward(starts, columns, source)
        context.shape = weight.shape
        return values.clone()

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[None, None, None, None, Tensor, Tensor]:
        """For each feature that fired, the sum of its gradients times the rows where it fired."""
        starts, columns, source = context.saved_tensors
        weight, bias = torch.zeros(context.shape), torch.zeros(context.shape[0])
        _add_rows(*_arrays(starts, columns, gradients[0], source, weight))
        return None, None, None, None, weight, bias.index_add_(0, columns, gradients[0])


class Decode(torch.autograd.Function):
    """`decode` of entries, with its gradients."""

    @staticmethod
    def forward(context: Any, values: Tensor, starts: Tensor, columns: Tensor, decoder: Tensor) -> Tensor:
        """The sum of the decoders of what fired in each row."""
        context.save_for_backward(values, starts, columns, decoder)
        product = torch.zeros(len(starts) - 1, decoder.shape[1])
        _decode(*_arrays(starts, columns, values, decoder, product))
        return product

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None, Tensor]:
        """The gradient of each entry's value, and of the decoders of what fired; zero for the other decoders."""
        values, starts, columns, decoder = context.saved_tensors
        to_values, to_decoder = torch.empty_like(values), torch.zeros(decoder.shape)
        _dots(*_arrays(starts, columns, gradients[0], decoder, to_values))
        _add_rows(*_arrays(starts, columns, values, gradients[0], to_decoder))
        return to_values, None, None, to_decoder


def _arrays(*tensors: Tensor) -> list[Any]:
    """What the compiled functions take; they write into tensors that are contiguous."""
    return [each.detach().contiguous().numpy() for each in tensors]


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _strongest(
    before: np.ndarray,
    norms: np.ndarray,
    least: np.ndarray,
    starts: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
) -> bool:
    """Find the entries of each row that fire, unless there is no place for them; nan fires, so that it is seen.

    Whether each feature fires is found without a branch, then the few that do: 10 times as fast as both at once.
    """
    count, fires = 0, np.empty(before.shape[1], np.bool_)
    for row in range(before.shape[0]):
        given, needed = before[row], least[row]
        for feature in range(given.size):
            fires[feature] = not ((given[feature] <= 0) | (given[feature] * norms[feature] < needed))
        for feature in range(given.size):
            if fires[feature]:
                if count == columns.size:
                    return False
                columns[count], values[count] = feature, given[feature]
                count += 1
        starts[row + 1] = count
    return True


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _decode(
    starts: np.ndarray, columns: np.ndarray, values: np.ndarray, decoder: np.ndarray, product: np.ndarray
) -> None:
    """Add value times decoder of every entry to its row of the product."""
    for row in range(product.shape[0]):
        written = product[row]
        for entry in range(starts[row], starts[row + 1]):
            value, write = values[entry], decoder[columns[entry]]
            for channel in range(written.size):
                written[channel] += value * write[channel]


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _add_rows(
    starts: np.ndarray, columns: np.ndarray, values: np.ndarray, rows: np.ndarray, result: np.ndarray
) -> None:
    """Add value times row of every entry to its feature's part of the result, `[feature, channel]`."""
    for row in range(rows.shape[0]):
        read = rows[row]
        for entry in range(starts[row], starts[row + 1]):
            value, total = values[entry], result[columns[entry]]
            for channel in range(read.size):
                total[channel] += value * read[channel]


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _dots(starts: np.ndarray, columns: np.ndarray, rows: np.ndarray, decoder: np.ndarray, result: np.ndarray) -> None:
    """The product of each entry's row and decoder."""
    for row in range(rows.shape[0]):
        for entry in range(starts[row], starts[row + 1]):
            result[entry] = np.dot(rows[row], decoder[columns[entry]])
