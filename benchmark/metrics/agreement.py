"""Metrics of how well a circuit stands in for the whole model: faithfulness, agreement, areas over log size."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Num
from numpy.typing import NDArray

from benchmark.metrics.arrays import Array, double, mean, share


def faithfulness(circuit_kl: float, empty_kl: float) -> float:
    """Share of the way from full ablation to the whole model: 1 - KL(whole||circuit) / KL(whole||empty).

    Both divergences are `pair_kl`s on the same prompts with the logits of the model that is explained as reference.
    Unlike normalised logit differences (Marks et al. 2024, arXiv 2403.19647) it cannot exceed 1, and errors on
    different prompts do not cancel. Of a circuit's complement it is `completeness`, where lower is better.

    Args:
        circuit_kl: Of the circuit, nats.
        empty_kl: With every node ablated, nats.

    Returns:
        1 for the whole model, 0 for the empty circuit, below 0 if worse than that; higher is better; `nan` where the
        empty circuit already agrees with the whole model.
    """
    return 1 - share(circuit_kl, empty_kl)


def recovered_task_loss(circuit: float, whole: float, empty: float) -> float:
    """Share of the task loss that a circuit wins back: (empty - circuit) / (empty - whole), not clipped.

    Args:
        circuit: Task loss of the circuit, nats.
        whole: Of the whole model.
        empty: With every node ablated.

    Returns:
        1 as good as the whole model, above 1 if better, 0 as bad as the empty circuit; higher is better; `nan` unless
        the whole model is better than the empty circuit.
    """
    return share(empty - circuit, empty - whole)


def answer_agreement(reference_difference: Float[Array, " prompt"], difference: Float[Array, " prompt"]) -> float:
    """Share of prompts on which a circuit prefers the same of the two answers as the whole model, right or wrong.

    Args:
        reference_difference: Logit of the answer less that of the alternative, in the model that is explained.
        difference: The same in the circuit.

    Returns:
        0 to 1, higher is better; by chance one half where the whole model prefers each answer as often; `nan` without
        prompts.
    """
    known, found = double(reference_difference), double(difference)
    return float(((known > 0) == (found > 0)).mean()) if known.size else math.nan


def logit_difference_r2(reference_difference: Float[Array, " prompt"], difference: Float[Array, " prompt"]) -> float:
    """Coefficient of determination of the circuit's logit difference for the whole model's, not clipped.

    Args:
        reference_difference: Logit of the answer less that of the alternative, in the model that is explained.
        difference: The same in the circuit.

    Returns:
        1 - sum of squared differences / sum of squares about the reference's mean; 1 if equal, 0 as good as that mean,
        higher is better; `nan` if the reference is the same on all prompts.
    """
    known, found = double(reference_difference), double(difference)
    if known.size == 0 or np.ptp(known) == 0:
        return math.nan
    return 1 - float(((known - found) ** 2).sum()) / float(((known - known.mean()) ** 2).sum())


def kl_divergence(logits: Float[Array, "*position vocab"], reference: Float[Array, "*position vocab"]) -> float:
    """Mean divergence of a model's next-token distributions from those of the model it explains.

    Args:
        logits: Of the circuit or of the replaced model; any number of leading axes.
        reference: Of the model that is explained.

    Returns:
        Mean over positions of KL(softmax reference || softmax logits) in nats, from 0, lower is closer; `nan` without
        positions.
    """
    known, found = _log_softmax(double(reference)), _log_softmax(double(logits))
    return max(mean((np.exp(known) * (known - found)).sum(-1)), 0.0) if known.size else math.nan


def cpr(
    sizes: Sequence[float | int] | Num[Array, " size"],
    faithfulness: Sequence[float | int] | Float[Array, " size"],
    largest: float | int,
) -> float:
    """Circuit performance ratio: the area under faithfulness over the logarithm of size.

    After MIB (Mueller et al. 2025, arXiv 2504.13151), but over absolute counts on a log axis from 1 to a constant, so
    that the small circuits count and dead nodes do not, and with faithfulness clipped to [0, 1]. Between measured sizes
    the curve is linear in log size; below the smallest it is 0, as nothing was shown to work there; beyond the largest
    it holds its last value. Sizes below 1 stand at 1.

    Args:
        sizes: Nodes or edges of each circuit, ascending.
        faithfulness: Of each circuit.
        largest: The size at which the axis ends, above 1; the same for all that is compared.

    Returns:
        Area, from 0 to 1, higher is better; `nan` without sizes or if a faithfulness is.

    Raises:
        ValueError: If the sizes do not ascend, differ in number from the scores, or `largest` is not above 1.
    """
    counts, scores = _row(sizes), _row(faithfulness)
    _check_curve(counts, scores, largest)
    if counts.size == 0 or not np.isfinite(scores).all():
        return math.nan
    places = np.log(np.maximum(counts, 1)) / math.log(largest)
    return _area_to_one(places, np.clip(scores, 0, 1))


def cmd(
    sizes: Sequence[float | int] | Num[Array, " size"],
    faithfulness: Sequence[float | int] | Float[Array, " size"],
    largest: float | int,
) -> float:
    """Circuit-model distance: the area between faithfulness and 1 over the logarithm of size.

    As faithfulness is clipped to [0, 1], this is `1 - cpr`; it stands here under the name that MIB gives it.

    Args:
        sizes: Nodes or edges of each circuit, ascending.
        faithfulness: Of each circuit.
        largest: The size at which the axis ends, above 1.

    Returns:
        Area, from 0 to 1, lower is better; `nan` without sizes or if a faithfulness is.

    Raises:
        ValueError: As `cpr`.
    """
    return 1 - cpr(sizes, faithfulness, largest)


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    normalised: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return normalised


def _row(values: Sequence[float | int] | Array) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64) if isinstance(values, Sequence) else double(values)


def _check_curve(sizes: NDArray[np.float64], scores: NDArray[np.float64], largest: float | int) -> None:
    if sizes.shape != scores.shape:
        raise ValueError(f"{sizes.size} sizes but {scores.size} faithfulness scores")
    if not (np.diff(sizes) >= 0).all():
        raise ValueError(f"sizes must ascend, got {sizes.tolist()}")
    if not largest > 1:
        raise ValueError(f"the largest size must be above 1, got {largest}")


def _area_to_one(places: NDArray[np.float64], heights: NDArray[np.float64]) -> float:
    """Area from 0 to 1 under points joined by lines, 0 before the first and flat after the last."""
    inside = places <= 1
    end = np.interp(1.0, places, heights, left=0.0)
    return float(np.trapezoid(np.append(heights[inside], end), np.append(places[inside], 1.0)))
