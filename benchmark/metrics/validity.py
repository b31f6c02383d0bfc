"""Metrics of a node's meaning: what its activations say of a concept, and what labels in their place do to the model.

The field uses "precision" and "recall" with opposite referents, so the two conditional probabilities are named by what
they are.
"""

import numpy as np
from jaxtyping import Float, Shaped
from numpy.typing import NDArray

from benchmark.metrics.arrays import Array, double, exact, mean, share


def p_concept_given_active(
    activation: Float[Array, " position"], label: Shaped[Array, " position"], threshold: float
) -> float:
    """How often the concept holds where the node is active.

    Args:
        activation: The node's values, oriented so that high means present.
        label: Not 0 where the concept holds.
        threshold: A node is active above it.

    Returns:
        0 to 1, higher is better; `nan` if the node is nowhere active.
    """
    active, holds = double(activation) > threshold, _holds(label)
    return share(float((active & holds).sum()), int(active.sum()))


def p_active_given_concept(
    activation: Float[Array, " position"], label: Shaped[Array, " position"], threshold: float
) -> float:
    """How often the node is active where the concept holds: what top-activating examples never show.

    Args:
        activation: The node's values, oriented so that high means present.
        label: Not 0 where the concept holds.
        threshold: A node is active above it.

    Returns:
        0 to 1, higher is better; `nan` if the concept nowhere holds.
    """
    active, holds = double(activation) > threshold, _holds(label)
    return share(float((active & holds).sum()), int(holds.sum()))


def band_purity(
    activation: Float[Array, " position"], label: Shaped[Array, " position"], low: float, high: float
) -> float:
    """How often the concept holds where the node's value lies in (low, high].

    Args:
        activation: The node's values, oriented so that high means present.
        label: Not 0 where the concept holds.
        low: Lower end of the band, outside it; `-inf` for none.
        high: Upper end, inside it; `inf` for none.

    Returns:
        0 to 1, higher is purer; `nan` if no value lies in the band.
    """
    values = double(activation)
    return mean(_holds(label)[(values > low) & (values <= high)].astype(np.float64))


def top_k_precision(activation: Float[Array, " position"], label: Shaped[Array, " position"], k: int) -> float:
    """How often the concept holds at the k positions of highest activation: all that a person sees who names a feature.

    Of equal activations the earlier position counts as higher.

    Args:
        activation: The node's values, oriented so that high means present.
        label: Not 0 where the concept holds.
        k: Number of positions; all of them if there are fewer.

    Returns:
        0 to 1, higher is better; `nan` without positions.

    Raises:
        ValueError: For a k below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    order = np.argsort(-double(activation), kind="stable")[:k]
    return mean(_holds(label)[order].astype(np.float64))


def average_precision(activation: Float[Array, " position"], label: Shaped[Array, " position"]) -> float:
    """Mean precision over thresholds, weighted by the recall that each adds: sum of (R_n - R_{n-1}) P_n.

    The step-wise area under the precision-recall curve (as scikit-learn's `average_precision_score`), in which equal
    activations share a threshold. A node that says nothing scores the concept's base rate.

    Args:
        activation: The node's values, oriented so that high means present.
        label: Not 0 where the concept holds.

    Returns:
        Above 0, at most 1, higher is better; `nan` if the concept nowhere holds.
    """
    values, holds = double(activation), _holds(label)
    if not holds.any():
        return float("nan")
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)  # last position of each threshold
    found = np.cumsum(holds[order])[ends]
    added = np.diff(found, prepend=0)
    return float((added * found / (ends + 1)).sum() / found[-1])


def label_replacement_score(label: float, true: float, mean: float) -> float:
    """How much of what a node's activations do for the model, labels of a concept in their place do as well.

    1 - (L(label) - L(true)) / (L(mean) - L(true)), not clipped: the node's value is replaced everywhere by its mean
    given the concept's label. The idea of replacing a latent by its explanation is Paulo and Belrose's (2025, arXiv
    2501.18838), with a simulator in the place of exact labels.

    Args:
        label: Loss with labels in the node's place, nats.
        true: Loss of the model as it is.
        mean: Loss with the node at its mean everywhere.

    Returns:
        1 as good as the true activations, 0 as bad as none, above 1 if the labels are better than the activations,
        below 0 if worse than none; higher is better; `nan` unless the mean hurts.
    """
    return 1 - share(label - true, mean - true)


def f1_threshold(activation: Float[Array, " position"], label: Shaped[Array, " position"]) -> float:
    """The threshold above which a node is to count as active so that F1 against the concept is highest.

    Args:
        activation: The node's values, oriented so that high means present.
        label: Not 0 where the concept holds.

    Returns:
        Midway between two neighbouring values; `nan` if the concept nowhere holds or there is but one value.
    """
    values, holds = double(activation), _holds(label)
    levels, where = np.unique(values, return_inverse=True)
    if not holds.any() or len(levels) < 2:
        return float("nan")
    found = np.cumsum(np.bincount(where, weights=holds)[::-1])[::-1][1:]  # positives above each lower level
    active = np.cumsum(np.bincount(where)[::-1])[::-1][1:]
    best = int(np.argmax(2 * found / (active + holds.sum())))
    return float((levels[best] + levels[best + 1]) / 2)


def basis_privilege(native: Float[Array, "position node"], rotated: Float[Array, "position node"]) -> float:
    """How much heavier the tails of activations are along a basis than along a random rotation of it.

    Elhage et al. 2023 (https://transformer-circuits.pub/2023/privileged-basis): a rotation-invariant space has the same
    kurtosis in every basis.

    Args:
        native: Activations in the model's own basis; nodes that never vary are left out.
        rotated: The same, multiplied by a random rotation.

    Returns:
        ln(kurtosis native / kurtosis rotated), each the mean over nodes of the logarithm; 0 for no privilege, higher is
        more; `nan` if nothing varies.
    """
    return _log_kurtosis(double(native)) - _log_kurtosis(double(rotated))


def _log_kurtosis(values: NDArray[np.float64]) -> float:
    centred = values - values.mean(axis=0)
    variance = (centred**2).mean(axis=0)
    varies = variance > 1e-12 * max(float(variance.max(initial=0.0)), 1e-300)
    return mean(np.log((centred[:, varies] ** 4).mean(axis=0) / variance[varies] ** 2))


def _holds(label: Shaped[Array, " position"]) -> NDArray[np.bool_]:
    holds: NDArray[np.bool_] = exact(label) != 0
    return holds
