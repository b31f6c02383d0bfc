"""What a dictionary is made of: an encoder whose features are sparse, and the ways to make them so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baselines.config import DictionaryConfig
from benchmark.methods import DivergedError

REPORT_EVERY = 20
"""Training steps between two reports of progress."""

REVIVED_REACH = 0.5
"""A revived feature fires where a row reaches further in its direction than this share of the row it was put on."""

REVIVED_SHARE = 0.5
"""Share of what is missed at that row that it makes good; the rest is left to others that are put beside it."""


def kth_largest(values: Float[Tensor, "row entry"], k: int) -> Float[Tensor, "row 1"]:
    """The k-th largest entry of each row, without gradient.

    On a CPU numpy's selection is 7 (rows of 512) to 17 times (rows of two million) as fast as `torch.topk`.
    """
    values = values.detach()
    if values.device.type != "cpu":
        return values.topk(k, dim=-1).values[:, -1:]
    rank = values.shape[-1] - k
    return torch.from_numpy(np.partition(values.numpy(), rank, axis=-1)[:, rank : rank + 1])


def top_k(before: Float[Tensor, "*row feature"], k: int) -> Float[Tensor, "*row feature"]:
    """The k largest of each row if positive, else zero (Gao et al. 2024, arXiv 2406.04093, equation 2)."""
    threshold = kth_largest(before.reshape(-1, before.shape[-1]), k).view(*before.shape[:-1], 1)
    return F.relu(before) * (before >= threshold)


def jump_relu(
    before: Float[Tensor, "*row feature"], threshold: Float[Tensor, " feature"]
) -> Float[Tensor, "*row feature"]:
    """What is above its threshold, else zero (Rajamanoharan et al. 2024, arXiv 2407.14435, equation 4)."""
    return F.relu(before) * (before > threshold)


def auxiliary_loss(
    before: Float[Tensor, "row dead"], decoder: Float[Tensor, "dead channel"], missed: Float[Tensor, "row channel"]
) -> Float[Tensor, ""]:
    """AuxK: the strongest dead features predict what the living ones miss (Gao et al. 2024, arXiv 2406.04093, A.2).

    Half as many of them as there are channels, and a smaller loss if fewer are dead, as in sae-lens; touching the dead
    features alone makes it cheap. They predict by positive activations, as in Gao et al.; sae-lens lets negative
    ones through, and then dead features learn to use what they will never give when they live.

    Args:
        before: Pre-activations of the dead features; the strongest are those of the largest product with the norm of
            their decoder.
        decoder: Their decoder rows.
        missed: Target minus prediction, without gradient.
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
    """Encoder, bias and decoder for dead features, each of which makes good a share of what is missed at one row.

    Resampling, Bricken et al. 2023 (https://transformer-circuits.pub/2023/monosemantic-features), neuron resampling:
    rows are drawn by their squared error. There a small encoder keeps a new feature quiet; under TopK a quiet feature
    does not fire at all, so here it is the bias that lets it fire on rows like its own and on few others. (With a bias
    of zero it fires on every tenth row, makes the error several times as large, and is driven to death again.)
    """
    norms = source.norm(dim=1, keepdim=True)
    long_enough = norms >= norms.mean() / 2  # a short row would ask for a decoder without bound
    chance = (missed.square().sum(1) + torch.finfo(missed.dtype).tiny) * long_enough[:, 0]
    drawn = torch.multinomial(chance, max(count, 1), replacement=True, generator=generator)[:count]
    decoder = REVIVED_SHARE * missed[drawn] / ((1 - REVIVED_REACH) * norms[drawn])
    return source[drawn] / norms[drawn], -REVIVED_REACH * norms[drawn, 0], decoder


def forget_moments(optimizer: torch.optim.Optimizer, parts: Iterable[tuple[Tensor, Any]]) -> None:
    """Set Adam's moments to zero where dead features were revived: pairs of a parameter and an index into it."""
    for parameter, index in parts:
        for moment in ("exp_avg", "exp_avg_sq"):
            optimizer.state[parameter][moment][index] = 0.0


def check_weights(modules: Iterable[nn.Module], config: DictionaryConfig) -> None:
    """`DivergedError` unless every weight is finite; the loss of the last step was taken before that step."""
    if not all(weight.isfinite().all() for module in modules for weight in module.parameters()):
        raise DivergedError(f"weights that are not finite after step {config.steps}", config)


class Encoder(nn.Module):
    """Features of a row: a linear map, then TopK or a threshold a feature, one position at a time.

    Attributes:
        weight: `[feature, d_in]`.
        bias: `[feature]`.
        threshold: `[feature]`, for JumpReLU; not used with TopK.
        k: Features that fire, for TopK; `None` for JumpReLU.
    """

    def __init__(
        self,
        weight: Float[Tensor, "feature d_in"],
        bias: Float[Tensor, " feature"],
        *,
        k: int | None = None,
        threshold: Float[Tensor, " feature"] | None = None,
    ) -> None:
        super().__init__()
        assert (k is None) != (threshold is None), "either k or a threshold"
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)
        self.threshold = nn.Parameter(torch.zeros_like(bias) if threshold is None else threshold)
        self.k = k

    def forward(self, values: Float[Tensor, "*row d_in"]) -> Float[Tensor, "*row feature"]:
        """The features."""
        return self.fire(self.before(values))

    def before(self, values: Float[Tensor, "*row d_in"]) -> Float[Tensor, "*row feature"]:
        """Pre-activations."""
        return F.linear(values, self.weight, self.bias)

    def fire(self, before: Float[Tensor, "*row feature"]) -> Float[Tensor, "*row feature"]:
        """The features of pre-activations."""
        return jump_relu(before, self.threshold) if self.k is None else top_k(before, self.k)


@dataclass(frozen=True, eq=False)
class Dictionary:
    """A trained dictionary for raw activations, layer by layer: SAEs, transcoders or a cross-layer transcoder.

    Attributes:
        encoders: From what each layer's encoder reads to features.
        decoders: By source layer, `[channel, feature]` to that layer and, cross-layer, to each later one.
        biases: `[channel]`, of each layer's prediction.
    """

    encoders: Sequence[Encoder]
    decoders: Sequence[Sequence[Float[Tensor, "channel feature"]]]
    biases: Sequence[Float[Tensor, " channel"]]
