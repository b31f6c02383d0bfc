"""Directions of the residual stream along which a concept may be represented, whether or not any node lies along them.

Each is a rank-one part of the stream (`Direction`), and is replaced by its mean given the label as a node is: does the
model use the concept linearly at all?
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmark.interventions.window_run import Direction

RANDOM = 256
"""Random directions of which the one of the most similar variance is taken."""

RIDGE = 1e-4
"""Added to the covariance before it is inverted, as a share of its mean diagonal."""

PENALTY = 1e-3
"""Weight decay of the logistic probe, on standardised channels."""

Stream = Float[Tensor, "token channel"]
Vector = Float[Tensor, " channel"]


def directions(
    stream: Stream, holds: Bool[np.ndarray, " token"], stage: int, generator: np.random.Generator
) -> Mapping[str, Direction]:
    """Directions of a concept at one depth, by name.

    - `direction`: the difference of the means with and without the concept.
    - `leace`: the same difference, read off along the covariance's inverse; with its value at the mean no linear probe
      finds the concept (Belrose et al. 2023, arXiv 2306.03819, for one binary concept).
    - `probe`: the weights of a logistic regression.
    - `random`: a random direction along which the stream varies about as much as along the first.

    Args:
        stream: The stream on the choice split.
        holds: Where the concept holds there; at some positions but not at all.
        stage: The stage before which the stream was read.
        generator: Source of the random direction.
    """
    where = torch.from_numpy(holds)
    centred = stream - stream.mean(0)
    covariance = centred.T @ centred / len(centred)
    difference = stream[where].mean(0) - stream[~where].mean(0)
    plain = difference / difference.norm()
    whitened = torch.linalg.solve(_with_ridge(covariance), difference)
    return {
        "direction": Direction("difference of means", stage, plain, plain),
        "leace": Direction("LEACE", stage, whitened / (whitened @ difference), difference),
        "probe": _along("logistic probe", stage, _logistic(centred, where)),
        "random": _along("random direction", stage, _random(covariance, plain, generator)),
    }


def _along(name: str, stage: int, vector: Vector) -> Direction:
    unit = vector / vector.norm()
    return Direction(name, stage, unit, unit)


def _with_ridge(covariance: Float[Tensor, "channel channel"]) -> Float[Tensor, "channel channel"]:
    return covariance + RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance))


def _random(covariance: Float[Tensor, "channel channel"], like: Vector, generator: np.random.Generator) -> Vector:
    """Of some random directions the one whose variance is closest to that of another direction."""
    drawn = torch.from_numpy(generator.normal(size=(RANDOM, len(like)))).to(like.dtype)
    drawn = drawn / drawn.norm(dim=1, keepdim=True)
    variances = (drawn @ covariance * drawn).sum(1)
    closest: Vector = drawn[(variances.log() - (like @ covariance @ like).log()).abs().argmin()]
    return closest


@torch.enable_grad()
def _logistic(centred: Stream, holds: Bool[Tensor, " token"]) -> Vector:
    """Weights of a logistic regression of the concept on the stream, by L-BFGS."""
    scale = centred.std(0).clamp(min=1e-6)
    weights = torch.zeros(centred.shape[1] + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")
    known = holds.to(centred.dtype)

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = centred / scale @ weights[1:] + weights[0]
        found = torch.nn.functional.binary_cross_entropy_with_logits(logits, known)
        found = found + PENALTY * weights[1:].square().sum()
        found.backward()
        return found

    optimizer.step(loss)
    return weights.detach()[1:] / scale
