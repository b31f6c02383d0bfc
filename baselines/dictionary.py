"""The parts of a dictionary: sparse encoders, AuxK and the revival of dead features."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from baselines.config import DictionaryConfig
from baselines.row_scale import RowScale, row_factor
from benchmark.methods import DivergedError

REVIVED_REACH = 0.5
"""A revived feature fires on rows that project onto its direction by more than this share of its own row's norm."""

REVIVED_SHARE = 0.5
"""Share of the error at its own row that a revived feature corrects; the rest is left to others revived near it."""


def kth_largest(values: Float[Tensor, "row entry"], k: int, *, reorder: bool = False) -> Float[Tensor, "row 1"]:
    """The k-th largest entry of each row, without gradient.

    On a CPU numpy's selection is 7 (rows of 512) to 17 times (rows of two million) as fast as `torch.topk`.

    Args:
        values: The entries.
        k: Which of them, counted from 1.
        reorder: Whether the entries of a row may change places, which saves a copy.
    """
    values = values.detach()
    if values.device.type != "cpu" or values.dtype == torch.bfloat16:  # which numpy does not have
        return values.topk(k, dim=-1).values[:, -1:]
    rank, found = values.shape[-1] - k, values.numpy() if reorder else values.numpy().copy()
    found.partition(rank, axis=-1)
    return torch.from_numpy(found[:, rank : rank + 1].copy())


def top_k(before: Float[Tensor, "*row feature"], k: int) -> Float[Tensor, "*row feature"]:
    """The k largest entries of each row if positive, else zero (Gao et al. 2024, arXiv 2406.04093, equation 2)."""
    return F.relu(before) * among_largest(before, k)


def among_largest(values: Float[Tensor, "*row entry"], k: int) -> Bool[Tensor, "*row entry"]:
    """Whether an entry is among the k largest of its row; entries that equal the k-th largest are."""
    return values >= kth_largest(values.reshape(-1, values.shape[-1]), k).view(*values.shape[:-1], 1)


def auxiliary_loss(
    before: Float[Tensor, "row dead"], decoder: Float[Tensor, "dead channel"], missed: Float[Tensor, "row channel"]
) -> Float[Tensor, ""]:
    """AuxK: the strongest dead features predict the error of the live ones (Gao et al. 2024, arXiv 2406.04093, A.2).

    As in sae-lens, half as many dead features as there are channels are used, and the loss is smaller if fewer are
    dead; computing only the dead features makes it cheap. Only positive activations count, as in Gao et al.: sae-lens
    lets negative ones through, and dead features then learn to rely on values that they cannot take once alive.

    The strongest features have the largest pre-activation times decoder norm; `missed` is target minus prediction.
    """
    rows, dead = before.shape
    wanted = missed.shape[1] // 2
    strength = before.detach() * decoder.detach().norm(dim=1)
    kept = F.relu(before)
    if dead > wanted:
        kept = kept * (strength >= kth_largest(strength, wanted))
    return min(dead / wanted, 1.0) * (kept @ decoder - missed).square().sum() / rows


def revived(
    source: Float[Tensor, "row d_in"], missed: Float[Tensor, "row d_out"], count: int, generator: torch.Generator
) -> tuple[Float[Tensor, "feature d_in"], Float[Tensor, " feature"], Float[Tensor, "feature d_out"]]:
    """Encoder, bias and decoder for dead features, each of which corrects a share of the error at one row.

    Neuron resampling of Bricken et al. 2023 (https://transformer-circuits.pub/2023/monosemantic-features): rows are
    drawn in proportion to their squared error. There a small encoder keeps a new feature quiet; under TopK a quiet
    feature does not fire at all, so here the bias makes it fire on rows like its own and on few others. (With a bias
    of zero it fires on every tenth row, multiplies the error several times, and soon dies again.)
    """
    norms = source.norm(dim=1, keepdim=True)
    long_enough = norms >= norms.mean() / 2  # a short row would need an arbitrarily large decoder
    chance = (missed.square().sum(1) + torch.finfo(missed.dtype).tiny) * long_enough[:, 0]
    drawn = torch.multinomial(chance.cpu(), max(count, 1), replacement=True, generator=generator)[:count]
    decoder = REVIVED_SHARE * missed[drawn] / ((1 - REVIVED_REACH) * norms[drawn])
    return source[drawn] / norms[drawn], -REVIVED_REACH * norms[drawn, 0], decoder


def forget_moments(optimizer: torch.optim.Optimizer, parts: Iterable[tuple[Tensor, Any]]) -> None:
    """Reset Adam's moments at revived features, given as pairs of a parameter and an index into it."""
    for parameter, index in parts:
        for moment in ("exp_avg", "exp_avg_sq"):
            optimizer.state[parameter][moment][index] = 0.0


def check_weights(modules: Iterable[nn.Module], config: DictionaryConfig) -> None:
    """Raise `DivergedError` unless every weight is finite; the last reported loss predates the last step."""
    if not all(weight.isfinite().all() for module in modules for weight in module.parameters()):
        raise DivergedError(f"weights that are not finite after step {config.steps}", config)


Negative = Literal["zeroed", "kept", "by_size"]
"""Negative features are zeroed by a ReLU, or kept where they fire, or kept and chosen by their size (AbsTopK)."""


class Encoder(nn.Module):
    """Maps a row to features: a linear map, then TopK or JumpReLU, at each position separately.

    JumpReLU zeroes what is not above its threshold (Rajamanoharan et al. 2024, arXiv 2407.14435, equation 4).

    Attributes:
        weight: `[feature, d_in]`.
        bias: `[feature]`.
        threshold: `[feature - linear]`, for JumpReLU; not used with TopK.
        k: Number of features that fire, for TopK; `None` for JumpReLU.
        negative: What becomes of negative features.
        linear: How many features, the last ones, are linear: those of a skip connection.
        rows: How each row of the input is scaled first; linear features are not scaled.
    """

    def __init__(
        self,
        weight: Float[Tensor, "feature d_in"],
        bias: Float[Tensor, " feature"],
        *,
        k: int | None = None,
        threshold: Float[Tensor, " sparse"] | None = None,
        negative: Negative = "zeroed",
        linear: int = 0,
        rows: RowScale = "none",
    ) -> None:
        super().__init__()
        assert (k is None) != (threshold is None), "either k or a threshold"
        assert k is not None or negative != "by_size", "only TopK goes by size"
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)
        unused = torch.zeros_like(bias[: len(bias) - linear])
        self.threshold = nn.Parameter(unused if threshold is None else threshold)
        self.k, self.negative, self.linear, self.rows = k, negative, linear, rows

    def forward(self, values: Float[Tensor, "*row d_in"]) -> Float[Tensor, "*row feature"]:
        """The features."""
        return self.fire(self.before(values))

    def before(
        self, values: Float[Tensor, "*row d_in"], edges: Callable[[Tensor], Tensor] = lambda values: values
    ) -> Float[Tensor, "*row feature"]:
        """Pre-activations.

        Args:
            values: The rows.
            edges: Changes what is linear in the row, before that is scaled.
        """
        if self.rows == "none":
            return edges(F.linear(values, self.weight, self.bias))
        sparse = len(self.bias) - self.linear
        factor = row_factor(self.rows, values).expand(*values.shape[:-1], sparse)
        return edges(F.linear(values, self.weight)) * F.pad(factor, (0, self.linear), value=1.0) + self.bias

    def fire(self, before: Float[Tensor, "*row feature"]) -> Float[Tensor, "*row feature"]:
        """The features of pre-activations."""
        if not self.linear:
            return self._fire(before)
        sparse, linear = before.split([before.shape[-1] - self.linear, self.linear], dim=-1)
        return torch.cat([self._fire(sparse), linear], dim=-1)

    def _fire(self, before: Float[Tensor, "*row sparse"]) -> Float[Tensor, "*row sparse"]:
        values = F.relu(before) if self.negative == "zeroed" else before
        if self.k is None:
            return values * (before > self.threshold)
        return values * among_largest(before.abs() if self.negative == "by_size" else before, self.k)


@dataclass(frozen=True, eq=False)
class Dictionary:
    """A trained dictionary for raw activations, layer by layer: SAEs, transcoders or a cross-layer transcoder.

    Attributes:
        encoders: One per layer.
        decoders: By source layer, `[channel, feature]` to that layer and, for cross-layer ones, to each later layer.
        biases: `[channel]`, the bias of each layer's prediction.
    """

    encoders: Sequence[Encoder]
    decoders: Sequence[Sequence[Float[Tensor, "channel feature"]]]
    biases: Sequence[Float[Tensor, " channel"]]
