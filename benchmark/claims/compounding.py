"""Do the errors of a dictionary compound over layers? Layers are replaced cumulatively, and one at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark import metrics
from benchmark.interventions.ablation import Means, keep_only
from benchmark.model.circuit import Circuit
from benchmark.model.interface import CircuitModel, Site, forward, next_token_losses

EVERY = 4
"""Predictions are compared at every fourth position, since neighbouring ones add little information."""


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """The cost of ablating the errors of some layers to their means, per window, nats.

    Attributes:
        consecutive_kl: KL from the model with all errors available; row n has the first n layers replaced.
        consecutive_loss: Increase in next-token loss, the same rows.
        alone_kl: KL with one layer replaced, one row per layer; the sum is the total of independent errors.
        alone_loss: Increase in next-token loss, the same rows.
    """

    consecutive_kl: Float[np.ndarray, "replaced window"]
    consecutive_loss: Float[np.ndarray, "replaced window"]
    alone_kl: Float[np.ndarray, "layer window"]
    alone_loss: Float[np.ndarray, "layer window"]


def error_sites(model: CircuitModel) -> list[Site]:
    """The error sites of a model, in the order of its layers."""
    return sorted((site for site in model.sites if site.kind == "error"), key=lambda site: site.stage)


@torch.no_grad()
def error_curve(
    model: CircuitModel,
    means: Means,
    tokens: Int[Tensor, "window position"],
    targets: Int[Tensor, "window position"],
    batch: int = 16,
) -> ErrorCurve:
    """Replace the first n layers, for each n, and each layer alone, in a model whose errors are available.

    The error of a replaced layer is ablated to its mean; with none replaced, the model is the reference model. The
    errors of later layers are computed in the current run, as always.
    """
    errors = error_sites(model)
    runs = [errors[:replaced] for replaced in range(len(errors) + 1)] + [[site] for site in errors]
    batches = zip(tokens.split(batch), targets.split(batch), strict=True)
    parts = [_kls_and_losses(model, means, *rows, runs) for rows in batches]
    kl, loss = (np.concatenate([part[which] for part in parts], axis=1) for which in (0, 1))
    increase = loss - loss[:1]
    consecutive = len(errors) + 1
    return ErrorCurve(kl[:consecutive], increase[:consecutive], kl[consecutive:], increase[consecutive:])


def _kls_and_losses(
    model: CircuitModel,
    means: Means,
    tokens: Int[Tensor, "window position"],
    targets: Int[Tensor, "window position"],
    runs: Sequence[Sequence[Site]],
) -> tuple[Float[np.ndarray, "run window"], Float[np.ndarray, "run window"]]:
    """KL from the first run, and next-token losses, of the windows of one batch."""
    positions = torch.arange(tokens.shape[1])[EVERY - 1 :: EVERY].expand(len(tokens), -1)
    logits = [forward(model, tokens, keep_only(Circuit.empty(replaced), means), positions) for replaced in runs]
    kls = [[metrics.kl_divergence(*pair) for pair in zip(each, logits[0], strict=True)] for each in logits]
    losses = [next_token_losses(each, targets.gather(1, positions)).double().mean(1).numpy() for each in logits]
    return np.array(kls), np.stack(losses)
