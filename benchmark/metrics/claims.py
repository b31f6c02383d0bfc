"""Metrics of what is said of sparse circuits: compounding errors, unequal firing, shared losses, dilution."""

import math

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.arrays import ABOVE_0, AT_LEAST_0, FINITE, SHARE, Array, Number, Wanted, arrays
from benchmark.metrics.shares import ONE_NAT, share, varies


def error_compounding(together: Number, alone: Array) -> float:
    """How much more is lost when all layers are replaced than the layers lose one at a time.

    Args:
        together: Divergence from the explained model with all layers replaced, nats.
        alone: `[layer]`, divergence with one layer replaced, each in turn, nats.

    Returns:
        together / sum of alone, from 0, lower is better: 1 where errors add up, above 1 where they compound, below 1
        where later layers make up for them; `nan` where replacing single layers does no harm.
    """
    whole, parts = arrays(together=(together, "", AT_LEAST_0), alone=(alone, "layer", AT_LEAST_0))
    return share(float(whole), float(parts.sum()), ONE_NAT)


def firing_rate_spread(rates: Array) -> float:
    """How unequally often features fire: ln of the 90th over the 10th percentile of their rates.

    Args:
        rates: `[feature]`, share of positions at which each feature fires; those that never do are left out.

    Returns:
        Nats, from 0 where all fire equally often; neither end is better; `nan` if none fires.
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
        second: Those of the other on the same tokens.

    Returns:
        -1 to 1; 1 for a model and itself; `nan` if the losses of one do not differ.
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
        elements: `[length]`, elements of each list, ascending.
        nested: `[length]`, probability of the right one of two answers after a nested list of that length.

    Returns:
        The first length at which the probability is below a half; `nan` if it never is, or already at the first.
    """
    lengths, right = _by_length(elements, nested=(nested, SHARE))
    below = right < 0.5
    if not below.any() or below[0]:
        return math.nan
    return float(lengths[below.argmax()])


def dilution_slope(elements: Array, separation: Array) -> float:
    """How fast what a model knows of bracket depth fades with length: the slope in log-log coordinates.

    Averaging attention alone gives -1, as a sum over the list becomes a mean; nothing lost gives 0.

    Args:
        elements: `[length]`, elements of each list, ascending.
        separation: `[length]`, how far the logit difference moves from flat to nested lists of that length, nats.

    Returns:
        Least-squares slope of ln separation over ln elements; nearer to 0 is better; `nan` below two lengths or where
        a separation is not positive.
    """
    lengths, moved = _by_length(elements, separation=(separation, FINITE))
    if lengths.size < 2 or not (moved > 0).all():
        return math.nan
    return float(np.polyfit(np.log(lengths), np.log(moved), 1)[0])


def _by_length(elements: Array, **measured: tuple[Array, Wanted]) -> tuple[NDArray[np.float64], ...]:
    """Lengths of lists, which have to ascend, and what was measured at each."""
    rest = {name: (values, "length", wanted) for name, (values, wanted) in measured.items()}
    lengths, *values = arrays(elements=(elements, "length", ABOVE_0), **rest)
    if not (np.diff(lengths) > 0).all():
        raise ValueError(f"elements must ascend, got {lengths.tolist()}")
    return lengths, *values
