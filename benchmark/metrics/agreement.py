"""Metrics of how well a circuit matches the whole model: faithfulness, agreement, areas over log size."""

import math

import numpy as np

from benchmark.metrics.arrays import ABOVE_1, AT_LEAST_0, NOT_INFINITE, Array, Number, arrays, mean, numbers
from benchmark.metrics.shares import ONE_NAT, share, unexplained


def faithfulness(circuit_kl: Number, empty_kl: Number) -> float:
    """Share of the way from full ablation to the whole model: 1 - KL(whole||circuit) / KL(whole||empty).

    Both divergences are `pair_kl`s on the same prompts, relative to the logits of the reference model. Unlike
    normalised logit differences (Marks et al. 2024, arXiv 2403.19647) it cannot exceed 1, and errors on different
    prompts do not cancel. For a circuit's complement it is called `completeness`, and lower is better.

    Args:
        circuit_kl: KL of the circuit, nats.
        empty_kl: KL with every node ablated, nats.

    Returns:
        1 for the whole model, 0 for the empty circuit, below 0 if worse than that; higher is better; `nan` where the
        empty circuit already agrees with the whole model.
    """
    of_circuit, of_empty = numbers(AT_LEAST_0, circuit_kl=circuit_kl, empty_kl=empty_kl)
    return 1 - share(of_circuit, of_empty, ONE_NAT)


def recovered_task_loss(circuit: Number, whole: Number, empty: Number) -> float:
    """Share of the task loss that a circuit recovers: (empty - circuit) / (empty - whole), not clipped.

    Args:
        circuit: Task loss of the circuit, nats.
        whole: Task loss of the whole model that is explained, nats: for a dictionary that of the dense model.
        empty: Task loss with every node ablated, nats.

    Returns:
        1 if as good as the whole model, above 1 if better, 0 if as bad as the empty circuit; higher is better; `nan`
        unless the whole model is better than the empty circuit.
    """
    of_circuit, best, worst = numbers(circuit=circuit, whole=whole, empty=empty)
    return share(worst - of_circuit, worst - best, worst, best)


def answer_agreement(reference_difference: Array, difference: Array) -> float:
    """Share of prompts on which a circuit prefers the same one of the two answers as the whole model, right or wrong.

    Args:
        reference_difference: `[prompt]`, logit of the answer minus that of the alternative in the reference model.
        difference: `[prompt]`, the same in the circuit.

    Returns:
        0 to 1, higher is better; chance is one half if the whole model prefers each answer equally often; `nan` without
        prompts.
    """
    known, found = arrays(reference_difference=(reference_difference, "prompt"), difference=(difference, "prompt"))
    return mean((known > 0) == (found > 0))


def logit_difference_r2(reference_difference: Array, difference: Array) -> float:
    """Coefficient of determination of the circuit's logit difference for the whole model's, not clipped.

    The difference has to be signed: the logit of the first answer of a pair of prompts minus that of the second, for
    both prompts of the pair. Its variance is then between the two answers, which is what the task is about. The right
    answer's logit minus the wrong one's varies only with the model's confidence.

    Args:
        reference_difference: `[prompt]`, the signed difference in the reference model.
        difference: `[prompt]`, the same in the circuit.

    Returns:
        1 - sum of squared differences / sum of squares about the reference's mean; 1 if equal, 0 if as good as that
        mean; higher is better; `nan` if the reference is the same on all prompts.
    """
    both = arrays(reference_difference=(reference_difference, "prompt"), difference=(difference, "prompt"))
    return 1 - unexplained(*both)


def kl_divergence(logits: Array, reference: Array) -> float:
    """Mean KL divergence of a model's next-token distributions from those of the reference model.

    Args:
        logits: `[*position, vocab]`, of the circuit or of the replaced model; any number of leading axes.
        reference: `[*position, vocab]`, of the reference model.

    Returns:
        Mean over positions of KL(softmax reference || softmax logits) in nats, from 0, lower is closer; `nan` without
        positions.
    """
    from scipy.special import log_softmax

    found, known = arrays(logits=(logits, "*position vocab"), reference=(reference, "*position vocab"))
    if not known.size:
        return math.nan
    found, known = log_softmax(found, axis=-1), log_softmax(known, axis=-1)
    return max(mean((np.exp(known) * (known - found)).sum(-1)), 0.0)


def cpr(sizes: Array, faithfulness: Array, largest: Number) -> float:
    """Circuit performance ratio: the area under faithfulness over the logarithm of size.

    After MIB (Mueller et al. 2025, arXiv 2504.13151), but over absolute counts on a log axis from 1 to a constant, so
    that small circuits count and dead nodes do not, and with faithfulness clipped to [0, 1]. Between measured sizes the
    curve is linear in log size; below the smallest it is 0, since nothing was shown to work there; beyond the largest
    it keeps its last value. Sizes below 1 count as 1.

    Args:
        sizes: `[size]`, nodes or edges of each circuit, ascending.
        faithfulness: `[size]`, of each circuit; `nan` if undefined.
        largest: The size at which the axis ends, above 1; the same for everything that is compared.

    Returns:
        Area, from 0 to 1, higher is better; `nan` without sizes or if a faithfulness is `nan`.

    Raises:
        ValueError: If the sizes do not ascend, differ in number from the scores, or `largest` is not above 1.
    """
    counts, scores = arrays(sizes=(sizes, "size", AT_LEAST_0), faithfulness=(faithfulness, "size", NOT_INFINITE))
    (end,) = numbers(ABOVE_1, largest=largest)
    if not (np.diff(counts) >= 0).all():
        raise ValueError(f"sizes must ascend, got {counts.tolist()}")
    if counts.size == 0 or np.isnan(scores).any():
        return math.nan
    log_sizes, heights = np.log(np.maximum(counts, 1)) / math.log(end), np.clip(scores, 0, 1)
    inside = log_sizes <= 1
    at_end = np.interp(1.0, log_sizes, heights, left=0.0)
    return float(np.trapezoid(np.append(heights[inside], at_end), np.append(log_sizes[inside], 1.0)))


def cmd(sizes: Array, faithfulness: Array, largest: Number) -> float:
    """Circuit-model distance: the area between faithfulness and 1 over the logarithm of size, named after MIB.

    As faithfulness is clipped to [0, 1], this is `1 - cpr`, with the same arguments and errors.

    Returns:
        Area, from 0 to 1, lower is better; `nan` without sizes or if a faithfulness is `nan`.
    """
    return 1 - cpr(sizes, faithfulness, largest)
