"""Shares: one number over another, undefined if the denominator is zero to within rounding. Imports no torch."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = float | int | NDArray[Any]

ROUNDING = 1e-6
"""Relative rounding error of a difference: eight units of single precision, in which models compute."""

ONE_NAT = 1.0
"""Scale of the terms of a divergence: log probabilities, of about a nat each."""


def share(part: float | int, whole: float | int, *terms: float | int) -> float:
    """`part / whole`; `nan` unless the whole is above zero by more than rounding.

    Args:
        part: Numerator.
        whole: Denominator; a share of zero or of a negative number is undefined.
        terms: The numbers whose difference is the whole, which has to exceed `ROUNDING` times the largest of them. A
            whole that is not a difference, such as a count, has none and has to exceed 0.
    """
    return float(shares(part, whole, *terms))


def shares(part: Values, whole: Values, *terms: Values) -> NDArray[np.float64]:
    """`share`, element by element."""
    upper, lower, *known = np.broadcast_arrays(*(np.asarray(each, dtype=np.float64) for each in (part, whole, *terms)))
    defined = lower > ROUNDING * np.max(np.abs(known), axis=0) if known else lower > 0
    result: NDArray[np.float64] = np.divide(upper, lower, out=np.full(upper.shape, math.nan), where=defined)
    return result


def unexplained(known: NDArray[np.float64], given: NDArray[np.float64]) -> float:
    """Squared error over the known values' squares about their mean, `[position, channel]`, each summed over both."""
    if not known.size:
        return math.nan
    about_mean = float(((known - known.mean(axis=0)) ** 2).sum())
    return share(float(((known - given) ** 2).sum()), about_mean, ROUNDING * float((known**2).sum()))


def varies(values: NDArray[Any]) -> bool:
    """Whether values differ by more than rounding error."""
    return values.size > 0 and bool(np.ptp(values) > ROUNDING * np.abs(values).max())
