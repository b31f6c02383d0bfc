"""Metrics of a dictionary: how well its features reconstruct, how many fire, how they are joined and divided."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from benchmark.metrics.arrays import ABOVE_0, Array, Number, arrays, checked, mean, numbers, rows
from benchmark.metrics.shares import share, unexplained
from benchmark.metrics.size import edges_for_mass


def fvu(target: Array, prediction: Array) -> float:
    """Fraction of variance unexplained: squared error over squares about the target's mean, summed over channels.

    Sums are taken over all positions before the ratio, unlike per-position averages, in which positions of small norm
    dominate.

    Args:
        target: `[*position, channel]`, what the dictionary should give; any number of leading axes.
        prediction: What it gives.

    Returns:
        0 for a perfect dictionary, 1 for one that gives the mean, no upper limit, lower is better; `nan` if the target
        is the same everywhere.
    """
    both = arrays(target=(target, "*position channel"), prediction=(prediction, "*position channel"))
    return unexplained(*map(rows, both))


def l0(features: Array) -> float:
    """Mean number of features that are not zero at a position; lower is sparser; `nan` without positions.

    Args:
        features: `[*position, feature]`, activations; any number of leading axes.
    """
    (fired,) = checked(features=(features, "*position feature"))
    return mean(np.count_nonzero(fired, axis=-1))


def dead_fraction(features: Array) -> float:
    """Share of features that are zero at every given position.

    Args:
        features: `[*position, feature]`, activations; any number of leading axes. Take enough positions that a rare
            feature can fire.

    Returns:
        0 to 1, lower is better; `nan` without positions or features.
    """
    (values,) = checked(features=(features, "*position feature"))
    fired = rows(values) != 0
    return mean(~fired.any(axis=0)) if len(fired) else math.nan


def loss_increase(replaced: Number, original: Number) -> float:
    """Next-token loss that a dictionary costs: with every place replaced, less without; nats, lower is better."""
    with_dictionary, without = numbers(replaced=replaced, original=original)
    return with_dictionary - without


def loss_recovered(replaced: Number, original: Number, ablated: Number) -> float:
    """Share of the next-token loss that a dictionary wins back, SAEBench's `ce_loss_score` (arXiv 2503.09532).

    Args:
        replaced: Loss with every place replaced by the dictionary, nats.
        original: Loss of the model that it explains.
        ablated: Loss with the same places ablated.

    Returns:
        (ablated - replaced) / (ablated - original), not clipped: 1 as good as the original, 0 as bad as ablation;
        higher is better; `nan` unless ablation hurts.
    """
    with_dictionary, best, worst = numbers(replaced=replaced, original=original, ablated=ablated)
    return share(worst - with_dictionary, worst - best, worst, best)


def connection_density(attributions: Iterable[Array], mass: Number = 0.95) -> float:
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
    return share(*edges_for_mass(attributions, mass))


def split_count(
    features: Array, labels: Array, held_features: Array, held_labels: Array, least_gain: Number = 0.03
) -> float:
    """Among how many features a label is divided, mean over labels: feature splitting.

    Chanin et al. 2024 (arXiv 2409.14507), section on splitting: one more feature counts as long as it raises the F1 of
    detecting the label by 0.03. There a sparse logistic probe joins features; here a label is detected where any of the
    chosen features fires, and the next one is that with which F1 is highest. Features are chosen on one sample and F1
    counted on another, as among more features the best always looks better on what it was chosen on.

    Args:
        features: `[position, feature]`, activations, on which features are chosen; a feature fires where it is not 0.
        labels: `[position, label]`, not 0 where a label holds: concepts, or the features of another dictionary.
        held_features: `[held position, feature]`, the same features at other positions.
        held_labels: `[held position, label]`, the same labels there.
        least_gain: F1 that one more feature has to add.

    Returns:
        At least 1, as the first feature counts whatever it detects; `nan` without features, or without a label that
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
    chosen_on, counted_on = _Sample.of(*given[:2]), _Sample.of(*given[2:])
    known = np.flatnonzero(chosen_on.labels.any(axis=0) & counted_on.labels.any(axis=0))
    if not chosen_on.fires.shape[1]:
        return math.nan
    return mean(np.array([_split_count(chosen_on, counted_on, label, gain) for label in known.tolist()]))


class _Sample(NamedTuple):
    """Where features fire, as numbers too and in all, and where labels hold."""

    fires: Bool[NDArray[Any], "position feature"]
    numbers: Float[NDArray[Any], "position feature"]
    totals: Float[NDArray[Any], " feature"]
    labels: Bool[NDArray[Any], "position label"]

    @classmethod
    def of(cls, features: NDArray[Any], labels: NDArray[Any]) -> "_Sample":
        fires = features != 0
        numbers = fires.astype(np.float32)  # counts of positions are exact in single precision up to 16 million
        return cls(fires, numbers, numbers.sum(axis=0), labels != 0)


def _split_count(chosen_on: _Sample, counted_on: _Sample, label: int, least_gain: float) -> int:
    """For one label. Sums are taken over the positions that are detected or hold alone: they are few."""
    holds, held_holds = chosen_on.labels[:, label], counted_on.labels[:, label]
    detected, held_detected = np.zeros_like(holds), np.zeros_like(held_holds)
    reached = 0.0
    features = len(chosen_on.totals)
    for count in range(features):
        found = (detected & holds).sum() + chosen_on.numbers[holds & ~detected].sum(axis=0)
        active = detected.sum() + chosen_on.totals - chosen_on.numbers[detected].sum(axis=0)
        best = int(np.argmax(found / (active + holds.sum())))
        detected, held_detected = detected | chosen_on.fires[:, best], held_detected | counted_on.fires[:, best]
        score = 2 * float((held_detected & held_holds).sum()) / float(held_detected.sum() + held_holds.sum())
        if count and score - reached < least_gain:
            return count
        reached = score
    return features
