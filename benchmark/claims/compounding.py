"""Do the errors of a dictionary compound over layers? Layer after layer is replaced, and each layer alone."""

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
"""Predictions are compared at each position of this many: neighbours know little that is new."""


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """What is lost when the errors of some layers are ablated to their means, window by window, nats.

    Attributes:
        consecutive_kl: Divergence from the model with all errors available; row n has the first n layers replaced.
        consecutive_loss: Increase of the next-token loss, the same rows.
        alone_kl: Divergence where one layer is replaced, one row a layer; the sum is what independent errors add up to.
        alone_loss: Increase of the next-token loss, the same rows.
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
    """Replace the layers of a dictionary whose errors are available, the first n of them or one alone.

    The error of a replaced layer is ablated to its mean; with none replaced, the model is the reference model. The
    errors of later layers are taken in the current run, as always.
    """
    errors = error_sites(model)
    runs = [errors[:replaced] for replaced in range(len(errors) + 1)] + [[site] for site in errors]
    batches = zip(tokens.split(batch), targets.split(batch), strict=True)
    parts = [_scores(model, means, *rows, runs) for rows in batches]
    kl, loss = (np.concatenate([part[which] for part in parts], axis=1) for which in (0, 1))
    increase = loss - loss[:1]
    consecutive = len(errors) + 1
    return ErrorCurve(kl[:consecutive], increase[:consecutive], kl[consecutive:], increase[consecutive:])


def _scores(
    model: CircuitModel,
    means: Means,
    tokens: Int[Tensor, "window position"],
    targets: Int[Tensor, "window position"],
    runs: Sequence[Sequence[Site]],
) -> tuple[Float[np.ndarray, "run window"], Float[np.ndarray, "run window"]]:
    """Divergences from the first run, and next-token losses, of the windows of one batch."""
    positions = torch.arange(tokens.shape[1])[EVERY - 1 :: EVERY].expand(len(tokens), -1)
    asked = targets.gather(1, positions)
    kls, losses = [], []
    reference: Tensor | None = None
    for replaced in runs:
        logits = forward(model, tokens, keep_only(Circuit.empty(replaced), means), positions)
        reference = logits if reference is None else reference
        kls.append([metrics.kl_divergence(*pair) for pair in zip(logits, reference, strict=True)])
        losses.append(next_token_losses(logits, asked).double().mean(1).numpy())
    return np.array(kls), np.stack(losses)
