"""Metrics of what is said of sparse circuits: compounding errors, unequal firing, shared losses, dilution."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Num

from benchmark.metrics.arrays import Array, double

NO_HARM = 1e-6
"""Divergences that add up to less, in nats, are rounding: nothing was lost that could compound."""


def error_compounding(together: float, alone: Sequence[float] | Float[Array, " layer"]) -> float:
    """How much more is lost when all layers are replaced than the layers lose one at a time.

    Args:
        together: Divergence from the explained model with all layers replaced, nats.
        alone: Divergence with one layer replaced, each in turn, nats.

    Returns:
        together / sum of alone, from 0, lower is better: 1 where errors add up, above 1 where they compound, below 1
        where later layers make up for them; `nan` where replacing single layers does no harm.
    """
    expected = float(double(np.asarray(alone)).sum())
    return together / expected if expected > NO_HARM else math.nan


def firing_rate_spread(rates: Float[Array, " feature"]) -> float:
    """How unequally often features fire: ln of the 90th over the 10th percentile of their rates.

    Args:
        rates: Share of positions at which each feature fires; those that never do are left out.

    Returns:
        Nats, from 0 where all fire equally often; neither end is better; `nan` if none fires.
    """
    row = double(rates)
    alive = row[row > 0]
    if not alive.size:
        return math.nan
    tenth, ninetieth = np.percentile(alive, (10, 90))
    return float(np.log(ninetieth) - np.log(tenth))


def token_loss_correlation(first: Float[Array, "*position"], second: Float[Array, "*position"]) -> float:
    """Whether two models find the same tokens hard: Pearson's correlation of their losses, token by token.

    Gao et al. 2025 (arXiv 2511.13653), figure 33.

    Args:
        first: Next-token losses of one model; any number of axes.
        second: Those of the other on the same tokens.

    Returns:
        -1 to 1; 1 for a model and itself; `nan` if the losses of one do not differ.
    """
    known, found = double(first).reshape(-1), double(second).reshape(-1)
    if known.size == 0 or np.ptp(known) == 0 or np.ptp(found) == 0:
        return math.nan
    known, found = known - known.mean(), found - found.mean()
    return float(np.clip((known @ found) / math.sqrt((known @ known) * (found @ found)), -1, 1))


def context_dilution(
    elements: Sequence[float | int] | Num[Array, " length"], nested: Sequence[float] | Float[Array, " length"]
) -> float:
    """Length of list at which a model forgets that it is nested.

    Gao et al. 2025 (arXiv 2511.13653), section 3.2: a head averages over the open brackets, so depth dilutes as one
    over the length of the context.

    Args:
        elements: Elements of each list, ascending.
        nested: Probability of the right one of two answers after a nested list of that length.

    Returns:
        The first length at which the probability is below a half; `nan` if it never is, or already at the first.
    """
    lengths, below = double(np.asarray(elements)), double(np.asarray(nested)) < 0.5
    if not below.any() or below[0]:
        return math.nan
    return float(lengths[below.argmax()])


def dilution_slope(
    elements: Sequence[float | int] | Num[Array, " length"], separation: Sequence[float] | Float[Array, " length"]
) -> float:
    """How fast what a model knows of bracket depth fades with length: the slope in log-log coordinates.

    Averaging attention alone gives -1, as a sum over the list becomes a mean; nothing lost gives 0.

    Args:
        elements: Elements of each list.
        separation: How far the logit difference moves from flat to nested lists of that length, nats.

    Returns:
        Least-squares slope of ln separation over ln elements; nearer to 0 is better; `nan` below two lengths or where
        a separation is not positive.
    """
    lengths, moved = double(np.asarray(elements)), double(np.asarray(separation))
    if lengths.size < 2 or not (moved > 0).all():
        return math.nan
    return float(np.polyfit(np.log(lengths), np.log(moved), 1)[0])
