"""Shares: one number over another, undefined where the denominator cannot be told from zero. Imports no torch."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = float | int | NDArray[Any]

ROUNDING = 1e-6
"""Relative size of what rounding leaves of a difference: eight units of single precision, in which models compute."""

ONE_NAT = 1.0
"""What a divergence is a difference of: log probabilities, which are about a nat each."""


def share(part: float | int, whole: float | int, *terms: float | int) -> float:
    """`part / whole`; `nan` unless the whole is above zero by more than rounding.

    Args:
        part: Numerator.
        whole: Denominator; a share of nothing, and of less than nothing, is undefined.
        terms: The numbers that were subtracted to give the whole. The whole has to exceed `ROUNDING` times the largest
            of them; a whole that is no difference, such as a count, has none and has to exceed 0.
    """
    return float(shares(part, whole, *terms))


def shares(part: Values, whole: Values, *terms: Values) -> NDArray[np.float64]:
    """`share` of each element."""
    upper, lower, *known = np.broadcast_arrays(*(np.asarray(each, dtype=np.float64) for each in (part, whole, *terms)))
    defined = lower > ROUNDING * np.max(np.abs(known), axis=0) if known else lower > 0
    result: NDArray[np.float64] = np.divide(upper, lower, out=np.full(upper.shape, math.nan), where=defined)
    return result


def unexplained(known: NDArray[np.float64], given: NDArray[np.float64]) -> float:
    """Squared error over squares about the mean of what is known, `[position, channel]`, summed over both."""
    if not known.size:
        return math.nan
    about_mean = float(((known - known.mean(axis=0)) ** 2).sum())
    return share(float(((known - given) ** 2).sum()), about_mean, ROUNDING * float((known**2).sum()))


def varies(values: NDArray[Any]) -> bool:
    """Whether values differ by more than rounding."""
    return values.size > 0 and bool(np.ptp(values) > ROUNDING * np.abs(values).max())
