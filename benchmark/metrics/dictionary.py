"""Metrics of a dictionary: how well its features reconstruct, how many fire, how they are joined and divided."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped
from numpy.typing import NDArray

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


def split_count(
    features: Shaped[Array, "position feature"],
    labels: Shaped[Array, "position label"],
    held_features: Shaped[Array, "held_position feature"],
    held_labels: Shaped[Array, "held_position label"],
    least_gain: float = 0.03,
) -> float:
    """Among how many features a label is divided, mean over labels: feature splitting.

    Chanin et al. 2024 (arXiv 2409.14507), section on splitting: one more feature counts as long as it raises the F1 of
    detecting the label by 0.03. There a sparse logistic probe joins features; here a label is detected where any of the
    chosen features fires, and the next one is that with which F1 is highest. Features are chosen on one sample and F1
    counted on another, as among more features the best always looks better on what it was chosen on.

    Args:
        features: Activations, on which features are chosen; a feature fires where it is not zero.
        labels: Not 0 where a label holds: concepts, or the features of another dictionary.
        held_features: The same features at other positions.
        held_labels: The same labels there.
        least_gain: F1 that one more feature has to add.

    Returns:
        At least 1, as the first feature counts whatever it detects; `nan` without features, or without a label that
        holds somewhere in both samples.

    Raises:
        ValueError: For a gain that is not above 0.
    """
    if least_gain <= 0:
        raise ValueError(f"least_gain must be above 0, got {least_gain}")
    chosen_on, counted_on = _Sample.of(features, labels), _Sample.of(held_features, held_labels)
    known = np.flatnonzero(chosen_on.labels.any(axis=0) & counted_on.labels.any(axis=0))
    if not chosen_on.fires.shape[1]:
        return float("nan")
    return mean(
        np.array([_split_count(chosen_on, counted_on, label, least_gain) for label in known.tolist()], dtype=np.float64)
    )


class _Sample(NamedTuple):
    """Where features fire, as numbers too and in all, and where labels hold."""

    fires: Bool[NDArray[Any], "position feature"]
    numbers: Float[NDArray[Any], "position feature"]
    totals: Float[NDArray[Any], " feature"]
    labels: Bool[NDArray[Any], "position label"]

    @classmethod
    def of(cls, features: Array, labels: Array) -> "_Sample":
        fires = exact(features) != 0
        numbers = fires.astype(np.float32)  # counts of positions are exact in single precision up to 16 million
        return cls(fires, numbers, numbers.sum(axis=0), exact(labels) != 0)


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
