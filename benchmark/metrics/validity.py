"""Metrics of a node's meaning: how its activations relate to a concept, and the effect of replacing them by labels.

The field uses "precision" and "recall" with opposite referents, so the two conditional probabilities are named by what
they are.
"""

import math

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.arrays import ABOVE_0, COUNT, DEFINED, LABEL, Array, Number, arrays, mean, numbers
from benchmark.metrics.shares import ROUNDING, share


def p_concept_given_active(activation: Array, label: Array, threshold: Number) -> float:
    """Probability that the concept holds given that the node is active.

    Args:
        activation: `[position]`, the node's values, oriented so that high means present.
        label: `[position]`, true or a positive integer where the concept holds.
        threshold: A node is active above it.

    Returns:
        0 to 1, higher is better; `nan` if the node is never active.
    """
    active, holds = _active(activation, label, threshold)
    return share(float((active & holds).sum()), float(active.sum()))


def p_active_given_concept(activation: Array, label: Array, threshold: Number) -> float:
    """Probability that the node is active given that the concept holds, which top-activating examples never show.

    Args:
        activation: `[position]`, the node's values, oriented so that high means present.
        label: `[position]`, true or a positive integer where the concept holds.
        threshold: A node is active above it.

    Returns:
        0 to 1, higher is better; `nan` if the concept never holds.
    """
    active, holds = _active(activation, label, threshold)
    return share(float((active & holds).sum()), float(holds.sum()))


def band_purity(activation: Array, label: Array, low: Number, high: Number) -> float:
    """Probability that the concept holds given that the node's value lies in (low, high].

    Args:
        activation: `[position]`, the node's values, oriented so that high means present.
        label: `[position]`, true or a positive integer where the concept holds.
        low: Lower end of the band, excluded; `-inf` for none.
        high: Upper end, included; `inf` for none.

    Returns:
        0 to 1, higher is purer; `nan` if no value lies in the band.
    """
    values, holds = _labelled(activation, label)
    outside, inside = numbers(DEFINED, low=low, high=high)
    return mean(holds[(values > outside) & (values <= inside)])


def top_k_precision(activation: Array, label: Array, k: Number) -> float:
    """Share of the k positions of highest activation at which the concept holds: what a person naming a feature sees.

    Among equal activations the earlier position counts as higher.

    Args:
        activation: `[position]`, the node's values, oriented so that high means present.
        label: `[position]`, true or a positive integer where the concept holds.
        k: Number of positions; all of them if there are fewer.

    Returns:
        0 to 1, higher is better; `nan` without positions.

    Raises:
        ValueError: For a k below 1.
    """
    values, holds = _labelled(activation, label)
    (most,) = numbers(COUNT, k=k)
    return mean(holds[np.argsort(-values, kind="stable")[: int(most)]])


def average_precision(activation: Array, label: Array) -> float:
    """Mean precision over thresholds, weighted by the recall that each adds: sum of (R_n - R_{n-1}) P_n.

    The step-wise area under the precision-recall curve (as scikit-learn's `average_precision_score`), in which equal
    activations share a threshold. An uninformative node scores the concept's base rate.

    Args:
        activation: `[position]`, the node's values, oriented so that high means present.
        label: `[position]`, true or a positive integer where the concept holds.

    Returns:
        Above 0, at most 1, higher is better; `nan` if the concept never holds.
    """
    values, holds = _labelled(activation, label)
    if not holds.any():
        return math.nan
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)  # last position of each threshold
    found = np.cumsum(holds[order])[ends]
    added = np.diff(found, prepend=0)
    return float((added * found / (ends + 1)).sum() / found[-1])


def label_replacement_score(label: Number, true: Number, mean: Number) -> float:
    """Share of a node's effect on the loss that is preserved when labels of a concept replace its activations.

    1 - (L(label) - L(true)) / (L(mean) - L(true)), not clipped: the node's value is replaced everywhere by its mean
    given the concept's label. Replacing a latent by its explanation follows Paulo and Belrose (2025, arXiv
    2501.18838), with exact labels instead of a simulator.

    Args:
        label: Loss with labels instead of the node's activations, nats.
        true: Loss of the unmodified model, nats.
        mean: Loss with the node at its mean everywhere, nats.

    Returns:
        1 if as good as the true activations, 0 if as bad as mean ablation, above 1 if the labels are better than the
        activations, below 0 if worse than mean ablation; higher is better; `nan` unless mean ablation hurts.
    """
    with_label, best, worst = numbers(label=label, true=true, mean=mean)
    return 1 - share(with_label - best, worst - best, worst, best)


def explained_harm(replaced: Array, null: Array, harm: Array, weight: Array) -> float:
    """Share of the total harm of ablating each node on its own that labels in its place explain beyond a null.

    sum of w (L(null) - L(label)) over sum of w (L(mean) - L(true)), over a sample of the nodes, each of which stands
    for w nodes: 1 over its probability of being drawn (Horvitz and Thompson 1952).

    Args:
        replaced: `[node]`, change of the loss with labels in place of each node, nats.
        null: `[node]`, change of the loss with what explains nothing in its place, such as its mean, nats.
        harm: `[node]`, change of the loss with each node at its mean, nats.
        weight: `[node]`, how many nodes each stands for.

    Returns:
        1 if the labels explain everything, 0 if they explain no more than the null; unbounded either way, higher is
        better; `nan` unless ablating the nodes does harm.
    """
    lost, given, whole, weights = arrays(
        replaced=(replaced, "node"), null=(null, "node"), harm=(harm, "node"), weight=(weight, "node", ABOVE_0)
    )
    return share(float((given - lost) @ weights), float(whole @ weights))


def middle_meaning(activation: Array, label: Array, name: Array, low: Number, high: Number) -> float:
    """How far a concept accounts for a node's middle activations where the node's own name does not hold.

    (p - q) / (1 - q), with p how often the concept holds at values in (low, high] without the name, and q how often it
    holds without the name at any value.

    Args:
        activation: `[position]`, the node's values, oriented so that high means present.
        label: `[position]`, true or a positive integer where the concept holds.
        name: `[position]`, the same for the concept that the node is named by.
        low: Lower end of the middle band, excluded.
        high: Upper end, included.

    Returns:
        1 if the concept always holds there, 0 if as often as elsewhere, negative if more rarely; `nan` if no value
        without the name lies in the band, or if the concept always holds without the name.
    """
    values, labels, named = arrays(
        activation=(activation, "position"), label=(label, "position", LABEL), name=(name, "position", LABEL)
    )
    outside, inside = numbers(DEFINED, low=low, high=high)
    without, holds = named == 0, labels != 0
    here, elsewhere = mean(holds[without & (values > outside) & (values <= inside)]), mean(holds[without])
    return share(here - elsewhere, 1 - elsewhere)


def f1_threshold(activation: Array, label: Array) -> float:
    """The activation threshold that maximizes a node's F1 against a concept.

    Args:
        activation: `[position]`, the node's values, oriented so that high means present.
        label: `[position]`, true or a positive integer where the concept holds.

    Returns:
        Midway between two neighbouring values; `nan` if the concept never holds or there is only one value.
    """
    values, holds = _labelled(activation, label)
    levels, where = np.unique(values, return_inverse=True)
    if not holds.any() or len(levels) < 2:
        return math.nan
    found = np.cumsum(np.bincount(where, weights=holds)[::-1])[::-1][1:]  # positives above each lower level
    active = np.cumsum(np.bincount(where)[::-1])[::-1][1:]
    best = int(np.argmax(2 * found / (active + holds.sum())))
    return float((levels[best] + levels[best + 1]) / 2)


def basis_privilege(native: Array, rotated: Array) -> float:
    """Excess heaviness of the tails of activations along a basis over those along a random rotation of it.

    Elhage et al. 2023 (https://transformer-circuits.pub/2023/privileged-basis): a rotation-invariant space has the same
    kurtosis in every basis.

    Args:
        native: `[position, node]`, activations in the model's own basis; constant nodes are left out.
        rotated: `[position, node]`, the same multiplied by a random rotation.

    Returns:
        ln(kurtosis native / kurtosis rotated), with log kurtosis averaged over nodes; 0 for no privilege, higher is
        more; `nan` if nothing varies.
    """
    own, random = arrays(native=(native, "position node"), rotated=(rotated, "position node"))
    return _log_kurtosis(own) - _log_kurtosis(random)


def _log_kurtosis(values: NDArray[np.float64]) -> float:
    if not values.size:
        return math.nan
    centred = values - values.mean(axis=0)
    variance = (centred**2).mean(axis=0)
    varies = variance > ROUNDING**2 * np.maximum((values**2).mean(axis=0), variance.max())
    return mean(np.log((centred[:, varies] ** 4).mean(axis=0) / variance[varies] ** 2))


def _labelled(activation: Array, label: Array) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The activations, and where the concept holds."""
    values, labels = arrays(activation=(activation, "position"), label=(label, "position", LABEL))
    return values, labels != 0


def _active(activation: Array, label: Array, threshold: Number) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where a node is active, and where the concept holds."""
    values, holds = _labelled(activation, label)
    (above,) = numbers(DEFINED, threshold=threshold)
    return values > above, holds
