"""Metrics of the claims about sparse circuits: error compounding, firing rates, shared losses, context dilution."""

import math

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.arrays import ABOVE_0, AT_LEAST_0, FINITE, SHARE, Array, Number, Wanted, arrays
from benchmark.metrics.shares import ONE_NAT, share, varies


def error_compounding(together: Number, alone: Array) -> float:
    """Cost of replacing all layers simultaneously, relative to replacing them one at a time.

    Args:
        together: KL from the reference model with all layers replaced, nats.
        alone: `[layer]`, KL with only this layer replaced, nats.

    Returns:
        together / sum of alone, from 0, lower is better: 1 if errors add up, above 1 if they compound, below 1 if later
        layers compensate for them; `nan` if replacing single layers does no harm.
    """
    whole, parts = arrays(together=(together, "", AT_LEAST_0), alone=(alone, "layer", AT_LEAST_0))
    return share(float(whole), float(parts.sum()), ONE_NAT)


def firing_rate_spread(rates: Array) -> float:
    """Inequality of firing rates: ln of the 90th over the 10th percentile.

    Args:
        rates: `[feature]`, share of positions at which each feature fires; those that never fire are left out.

    Returns:
        Nats, from 0 if all fire equally often; neither direction is better; `nan` if none fires.
    """
    (row,) = arrays(rates=(rates, "feature", SHARE))
    alive = row[row > 0]
    if not alive.size:
        return math.nan
    tenth, ninetieth = np.percentile(alive, (10, 90))
    return float(np.log(ninetieth) - np.log(tenth))


def token_loss_correlation(first: Array, second: Array) -> float:
    """Whether two models find the same tokens hard: Pearson's correlation of their losses, token by token.

    Gao et al. 2025 (arXiv 2511.13653), figure 33.

    Args:
        first: `[*position]`, next-token losses of one model; any number of axes.
        second: `[*position]`, those of the other on the same tokens.

    Returns:
        -1 to 1; 1 for a model and itself; `nan` if the losses of either model are constant.
    """
    known, found = (each.reshape(-1) for each in arrays(first=(first, "*position"), second=(second, "*position")))
    if not (varies(known) and varies(found)):
        return math.nan
    known, found = known - known.mean(), found - found.mean()
    return float(np.clip((known @ found) / math.sqrt((known @ known) * (found @ found)), -1, 1))


def context_dilution(elements: Array, nested: Array) -> float:
    """Length of list at which a model forgets that it is nested.

    Gao et al. 2025 (arXiv 2511.13653), section 3.2: a head averages over the open brackets, so depth dilutes as one
    over the length of the context.

    Args:
        elements: `[length]`, number of elements of each list, ascending.
        nested: `[length]`, probability of the right one of two answers after a nested list of that length.

    Returns:
        The first length at which the probability is below a half; `nan` if there is none or it is the first of all.
    """
    lengths, right = _by_length(elements, nested=(nested, SHARE))
    below = right < 0.5
    if not below.any() or below[0]:
        return math.nan
    return float(lengths[below.argmax()])


def dilution_slope(elements: Array, separation: Array) -> float:
    """Decay of a model's knowledge of bracket depth with length: the slope in log-log coordinates.

    Averaging attention alone gives -1, as a sum over the list becomes a mean; no loss gives 0.

    Args:
        elements: `[length]`, number of elements of each list, ascending.
        separation: `[length]`, change in the logit difference from flat to nested lists of that length, nats.

    Returns:
        Least-squares slope of ln separation over ln elements; closer to 0 is better; `nan` below two lengths or if a
        separation is not positive.
    """
    lengths, moved = _by_length(elements, separation=(separation, FINITE))
    if lengths.size < 2 or not (moved > 0).all():
        return math.nan
    return float(np.polyfit(np.log(lengths), np.log(moved), 1)[0])


def _by_length(elements: Array, **measured: tuple[Array, Wanted]) -> tuple[NDArray[np.float64], ...]:
    """Lengths of lists, which have to ascend, and the measurements at each."""
    rest = {name: (values, "length", wanted) for name, (values, wanted) in measured.items()}
    lengths, *values = arrays(elements=(elements, "length", ABOVE_0), **rest)
    if not (np.diff(lengths) > 0).all():
        raise ValueError(f"elements must ascend, got {lengths.tolist()}")
    return lengths, *values
