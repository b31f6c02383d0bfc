"""Metrics of what interventions on single nodes of a circuit do: nodes that idle, effects that it predicts."""

import numpy as np
from jaxtyping import Float

from benchmark.metrics.arrays import Array, double, mean
from benchmark.statistics.intervals import spearman

IDLE = 0.01
"""A node idles if the task loss rises by less than this without it, and an edit does nothing below it, nats."""


def idle_share(rises: Float[Array, " node"]) -> float:
    """Share of a circuit's nodes that it could do without, each alone.

    Minimality after Wang et al. 2022 (arXiv 2211.00593) section 4, of single nodes. Copies of which either suffices all
    idle, although not all of them can go.

    Args:
        rises: How much the circuit's task loss rises without each node, nats; negative where it falls.

    Returns:
        Share of the rises below `IDLE`, from 0 to 1, lower is better; `nan` without nodes.
    """
    return mean((double(rises) < IDLE).astype(np.float64))


def rank_correlation(reference: Float[Array, " edit"], predicted: Float[Array, " edit"]) -> float:
    """Spearman's correlation of what edits do in the whole model and in the circuit, ties at their mean rank.

    Effects below `IDLE` count as none: which of two nodes that do nothing does less is no question.

    Args:
        reference: Effect of each edit in the whole model, nats.
        predicted: Effect of the same edit in the circuit.

    Returns:
        -1 to 1, higher is better; 1 where the circuit puts the edits into the right order; `nan` if all edits do the
        same in either.
    """
    known, found = (np.where(np.abs(each) < IDLE, 0.0, each) for each in (double(reference), double(predicted)))
    return spearman(known, found)
