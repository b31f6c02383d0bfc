"""When a name that a node got by its examples misleads, from scores alone. Imports no torch."""

import math
from typing import Literal

NameVerdict = Literal["meant", "illusion", "graded", "undecided", "undefined"]
"""What a name is worth: `illusion` if labels cannot replace the node although its own quantised value can."""

HALF = 0.5
"""Score below which a replacement has failed."""

NAMED = 0.95
"""Minimum top-k precision for a person to give the name."""


def name_verdict(label: float, low: float, high: float, quantised: float) -> NameVerdict:
    """What a name is worth, from the scores of its labels and of the node's own quantised value.

    `meant` if the labels' score is at least a half, by its interval; below that `illusion`, or `graded` if the node's
    own value at as many levels fails as well, so that its magnitude matters. Otherwise `undecided`.

    Args:
        label: Score of the labels; `nan` if undefined.
        low: Lower limit of its 95 % interval.
        high: Upper limit.
        quantised: Score of the node's own value at as many levels; `nan` if undefined.
    """
    if math.isnan(label) or math.isnan(quantised):
        return "undefined"
    if low >= HALF:
        return "meant"
    if high >= HALF:
        return "undecided"
    return "illusion" if quantised >= HALF else "graded"
