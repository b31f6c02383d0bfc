"""The fewest elements of a ranking with which a target loss is reached."""

import math
from collections.abc import Callable, Sequence


def fewest_nodes(loss: Callable[[int], float], most: int, target: float, factor: float = 1.6) -> int | None:
    """The fewest nodes at a target loss, without trusting that more nodes are better.

    Sizes are tried upwards on a geometric grid until one reaches the target, then the gap below it is bisected, and
    one grid size beyond is tried so that the curve does not end there. A curve that rises again does not matter; a dip
    between two grid sizes may be missed.

    Args:
        loss: Loss at a number of nodes.
        most: Number of all nodes.
        target: The loss to reach.
        factor: Ratio of neighbouring grid sizes.

    Returns:
        The fewest nodes, or `None` if no size reached the target.
    """
    below, sizes = -1, iter([0, *geometric_sizes(most, factor)])
    for size in sizes:
        if loss(size) <= target:
            fewest = _bisect(loss, below, size, target)
            loss(next(sizes, most))
            return fewest
        below = size
    return None


def _bisect(loss: Callable[[int], float], below: int, at: int, target: float) -> int:
    """A size in (below, at] that meets the target while the one before it does not."""
    while at - below > 1:
        middle = (below + at) // 2
        if loss(middle) <= target:
            at = middle
        else:
            below = middle
    return at


def geometric_sizes(most: int, factor: float) -> Sequence[int]:
    """Ascending whole numbers from 1 to `most`, each about `factor` times the last."""
    count = max(1, math.ceil(math.log(most) / math.log(factor))) if most > 1 else 0
    return sorted({round(most ** (step / count)) for step in range(count + 1)} if count else {most})
