"""Metrics of a dictionary: reconstruction, number of features that fire, density of connections, feature splitting."""

import math
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from benchmark.metrics.arrays import ABOVE_0, Array, Arrays, Number, arrays, checked, mean, numbers, rows
from benchmark.metrics.shares import share, unexplained
from benchmark.metrics.size import edges_for_mass


def fvu(target: Array, prediction: Array) -> float:
    """Fraction of variance unexplained: squared error over squares about the target's mean, summed over channels.

    Both sums are over all positions before the ratio is taken, unlike per-position averages, in which positions of
    small norm dominate.

    Args:
        target: `[*position, channel]`, what the dictionary should output; any number of leading axes.
        prediction: `[*position, channel]`, what it outputs.

    Returns:
        0 for a perfect dictionary, 1 for one that outputs the mean, no upper limit, lower is better; `nan` if the
        target is the same everywhere.
    """
    both = arrays(target=(target, "*position channel"), prediction=(prediction, "*position channel"))
    return unexplained(*map(rows, both))


def l0(features: Array) -> float:
    """Mean number of nonzero features per position; lower is sparser; `nan` without positions.

    Args:
        features: `[*position, feature]`, activations; any number of leading axes.
    """
    (fired,) = checked(features=(features, "*position feature"))
    return mean(np.count_nonzero(fired, axis=-1))


def dead_fraction(features: Array) -> float:
    """Share of features that are zero at every given position.

    Args:
        features: `[*position, feature]`, activations; any number of leading axes. Pass enough positions for a rare
            feature to fire.

    Returns:
        0 to 1, lower is better; `nan` without positions or features.
    """
    (values,) = checked(features=(features, "*position feature"))
    fired = rows(values) != 0
    return mean(~fired.any(axis=0)) if len(fired) else math.nan


def loss_increase(replaced: Number, original: Number) -> float:
    """Next-token loss with all layers replaced minus the reference model's; nats, lower is better."""
    with_dictionary, without = numbers(replaced=replaced, original=original)
    return with_dictionary - without


def loss_recovered(replaced: Number, original: Number, ablated: Number) -> float:
    """Share of the next-token loss that a dictionary recovers, SAEBench's `ce_loss_score` (arXiv 2503.09532).

    Args:
        replaced: Loss with all layers replaced by the dictionary, nats.
        original: Loss of the reference model, nats.
        ablated: Loss with the same layers ablated, nats.

    Returns:
        (ablated - replaced) / (ablated - original), not clipped: 1 if as good as the original, 0 if as bad as ablation;
        higher is better; `nan` unless ablation hurts.
    """
    with_dictionary, best, worst = numbers(replaced=replaced, original=original, ablated=ablated)
    return share(worst - with_dictionary, worst - best, worst, best)


def connection_density(attributions: Arrays, mass: Number = 0.95) -> float:
    """Share of all node pairs needed to carry a given share of every target's attribution.

    `mass_edge_count` over the number of pairs. Pairs with dead nodes count like any other and make the result look
    sparser: leave their rows and columns out, or pass one `[1, source]` row per target with the sources that fire
    together with it.

    Args:
        attributions: `[target, source]` for each connection, in any unit.
        mass: Share to carry, above 0 and at most 1.

    Returns:
        0 to 1, lower is sparser; `nan` without pairs.

    Raises:
        ValueError: For a mass outside (0, 1].
    """
    return share(*edges_for_mass(attributions, mass))


def split_count(
    features: Array, labels: Array, held_features: Array, held_labels: Array, least_gain: Number = 0.03
) -> float:
    """Number of features that a label is divided among, mean over labels: feature splitting.

    Chanin et al. 2024 (arXiv 2409.14507), section on splitting: one more feature counts as long as it raises the F1 of
    detecting the label by 0.03. They combine features with a sparse logistic probe; here a label is detected where any
    of the chosen features fires, and the next feature is the one that maximizes F1. Features are chosen on one sample
    and F1 is measured on another, since the best of more features always looks better on the sample it was chosen on.

    Args:
        features: `[position, feature]`, activations on which features are chosen; a feature fires where it is not 0.
        labels: `[position, label]`, not 0 where a label holds: concepts, or the features of another dictionary.
        held_features: `[held position, feature]`, the same features at other positions.
        held_labels: `[held position, label]`, the same labels there.
        least_gain: F1 that one more feature has to add.

    Returns:
        At least 1, since the first feature counts whatever it detects; `nan` without features, or without a label that
        holds somewhere in both samples.

    Raises:
        ValueError: For a gain that is not above 0.
    """
    (gain,) = numbers(ABOVE_0, least_gain=least_gain)
    given = checked(
        features=(features, "position feature"),
        labels=(labels, "position label"),
        held_features=(held_features, "held_position feature"),
        held_labels=(held_labels, "held_position label"),
    )
    fires, holds, held_fires, held_holds = (values != 0 for values in given)
    if not fires.shape[1]:
        return math.nan
    counts = fires.astype(np.float32)  # numbers of positions are exact in single precision up to 16 million
    totals = counts.sum(axis=0)
    known = np.flatnonzero(holds.any(axis=0) & held_holds.any(axis=0)).tolist()
    return mean(
        np.array([_split_count(counts, totals, holds[:, at], held_fires, held_holds[:, at], gain) for at in known])
    )


def _split_count(
    fires: Float[NDArray[Any], "position feature"],
    totals: Float[NDArray[Any], " feature"],
    holds: Bool[NDArray[Any], " position"],
    held_fires: Bool[NDArray[Any], "held_position feature"],
    held_holds: Bool[NDArray[Any], " held_position"],
    least_gain: float,
) -> int:
    """For one label. Sums are over the few positions that are detected or where the label holds."""
    detected, held_detected = np.zeros_like(holds), np.zeros_like(held_holds)
    reached = 0.0
    for count in range(len(totals)):
        found = (detected & holds).sum() + fires[holds & ~detected].sum(axis=0)
        active = detected.sum() + totals - fires[detected].sum(axis=0)
        best = int(np.argmax(found / (active + holds.sum())))
        detected, held_detected = detected | (fires[:, best] != 0), held_detected | held_fires[:, best]
        score = 2 * float((held_detected & held_holds).sum()) / float(held_detected.sum() + held_holds.sum())
        if count and score - reached < least_gain:
            return count
        reached = score
    return len(totals)
