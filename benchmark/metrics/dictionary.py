"""Metrics of a dictionary: how well its features reconstruct, how many fire, and how densely they are joined."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from benchmark.metrics.arrays import Array, double, exact, mean, rows, share
from benchmark.metrics.size import mass_edge_count


def fvu(target: Float[Array, "*position channel"], prediction: Float[Array, "*position channel"]) -> float:
    """Fraction of variance unexplained: squared error over squares about the target's mean, summed over channels.

    Sums are taken over all positions before the ratio, unlike per-position averages, in which positions of small norm
    dominate.

    Args:
        target: What the dictionary should give; any number of leading axes.
        prediction: What it gives.

    Returns:
        0 for a perfect dictionary, 1 for one that gives the mean, no upper limit, lower is better; `nan` if the target
        is the same everywhere.
    """
    true, given = rows(double(target)), rows(double(prediction))
    if true.size == 0:
        return float("nan")
    return share(float(((true - given) ** 2).sum()), float(((true - true.mean(axis=0)) ** 2).sum()))


def l0(features: Float[Array, "*position feature"]) -> float:
    """Mean number of features that are not zero at a position; lower is sparser; `nan` without positions."""
    return mean(np.count_nonzero(exact(features), axis=-1).astype(np.float64))


def dead_fraction(features: Float[Array, "*position feature"]) -> float:
    """Share of features that are zero at every given position.

    Args:
        features: Activations; any number of leading axes. Take enough positions that a rare feature can fire.

    Returns:
        0 to 1, lower is better; `nan` without positions or features.
    """
    fired = rows(exact(features)) != 0
    return mean((~fired.any(axis=0)).astype(np.float64)) if len(fired) else float("nan")


def loss_increase(replaced: float, original: float) -> float:
    """Next-token loss that a dictionary costs: with every place replaced, less without; nats, lower is better."""
    return replaced - original


def loss_recovered(replaced: float, original: float, ablated: float) -> float:
    """Share of the next-token loss that a dictionary wins back, SAEBench's `ce_loss_score` (arXiv 2503.09532).

    Args:
        replaced: Loss with every place replaced by the dictionary, nats.
        original: Loss of the model that it explains.
        ablated: Loss with the same places ablated.

    Returns:
        (ablated - replaced) / (ablated - original), not clipped: 1 as good as the original, 0 as bad as ablation;
        higher is better; `nan` unless ablation hurts.
    """
    return share(ablated - replaced, ablated - original)


def connection_density(attributions: Sequence[Float[Array, "_target _source"]], mass: float = 0.95) -> float:
    """Share of all pairs of nodes that it takes to carry a share of every target's attribution.

    `mass_edge_count` over the number of pairs. Dead nodes are pairs like any other and make it look sparser: leave
    their rows and columns out, or give one `[1, source]` row per target with the sources that fire together with it.

    Args:
        attributions: `[target, source]` for each connection, in any unit.
        mass: Share to carry, above 0 and at most 1.

    Returns:
        0 to 1, lower is sparser; `nan` without pairs.

    Raises:
        ValueError: For a mass outside (0, 1].
    """
    pairs = sum(matrix.shape[0] * matrix.shape[1] for matrix in attributions)
    return share(mass_edge_count(attributions, mass), pairs)
