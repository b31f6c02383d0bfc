"""Average precision of every node as a detector of every concept, in both orientations."""

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float

from benchmark.compiled import compiled


def average_precisions(
    values: Float[np.ndarray, "token node"], labels: Bool[np.ndarray, "concept token"]
) -> Float[np.ndarray, "2 concept node"]:
    """`benchmark.metrics.average_precision` of all nodes for all concepts, of the values and of their negatives.

    `nan` where a concept never holds. Each node is sorted only once, without its zeros, which are many in sparse nodes.
    """
    columns = np.ascontiguousarray(values.T, dtype=np.float32)
    result = np.full((2, len(labels), len(columns)), np.nan)
    _fill(columns, np.ascontiguousarray(labels), result)
    return result


@compiled
@no_type_check  # numba compiles what it is given: no run-time checks around it
def _fill(columns: np.ndarray, labels: np.ndarray, result: np.ndarray) -> None:
    concepts = labels.shape[0]
    totals = labels.sum(axis=1)
    for node in range(len(columns)):
        column = columns[node]
        places = np.flatnonzero(column)
        order = places[np.argsort(-column[places])]
        zeros = len(column) - len(order)
        above = 0
        while above < len(order) and column[order[above]] > 0:
            above += 1
        for concept in range(concepts):
            holding = labels[concept]
            at_zero = totals[concept] - holding[places].sum()
            if totals[concept] > 0:
                for side, step in enumerate((1, -1)):
                    total = _precision(column, order, above, zeros, at_zero, holding, step)
                    result[side, concept, node] = total / totals[concept]


@compiled
@no_type_check
def _precision(column, order, above, zeros, at_zero, holding, step):
    """Sum over thresholds of new positives times precision, from the top (`step` 1) or from the bottom (-1)."""
    found, seen, total = 0, 0, 0.0
    count = len(order)
    index = 0 if step == 1 else count - 1
    border = above if step == 1 else above - 1
    added = 0
    for _ in range(count + 1):
        if index == border and zeros > 0:  # all zeros share one threshold
            found += at_zero
            seen += zeros
            total += at_zero * found / seen
        if index < 0 or index >= count:
            break
        added += holding[order[index]]
        found += holding[order[index]]
        seen += 1
        following = index + step
        last = following < 0 or following >= count or column[order[following]] != column[order[index]]
        if last:
            total += added * found / seen
            added = 0
        index = following
    return total
