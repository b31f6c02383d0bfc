"""Finds the fewest elements of a ranking that reach a target loss."""

import math
from collections.abc import Callable, Sequence

COARSE = 0.15
"""Share of its size by which a cut may be too large if elements are removed from it afterwards anyway."""


def fewest_nodes(
    loss: Callable[[int], float], most: int, target: float, factor: float = 1.6, slack: float = 0.0
) -> int | None:
    """The fewest nodes, from 0 to `most`, that reach a target loss, or `None`; more nodes need not be better.

    Sizes are tried upwards on a geometric grid until one reaches the target, then the gap below it is bisected, and the
    next grid size is tried so that the curve does not end there. The loss may rise again at larger sizes; a dip between
    two grid sizes may be missed. Bisection ends once the size exceeds one that misses the target by at most `slack` of
    itself, or by one node.
    """
    below, sizes = -1, iter([0, *geometric_sizes(most, factor)])
    for size in sizes:
        if loss(size) <= target:
            break
        below = size
    else:
        return None
    while size - below > max(1, slack * size):
        middle = (below + size) // 2
        if loss(middle) <= target:
            size = middle
        else:
            below = middle
    loss(next(sizes, most))
    return size


def geometric_sizes(most: int, factor: float) -> Sequence[int]:
    """Ascending integers from 1 to `most`, each about `factor` times the previous one."""
    count = max(1, math.ceil(math.log(most) / math.log(factor))) if most > 1 else 0
    return sorted({round(most ** (step / count)) for step in range(count + 1)} if count else {most})
