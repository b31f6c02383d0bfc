"""Metrics of what interventions on single nodes of a circuit do: nodes that idle, effects that it predicts."""

import math

import numpy as np

from benchmark.metrics.arrays import Array, arrays, mean
from benchmark.metrics.shares import varies
from benchmark.statistics.intervals import spearman

IDLE = 0.01
"""A node idles if the task loss rises by less than this without it, and an edit does nothing below it, nats."""


def idle_share(rises: Array) -> float:
    """Share of a circuit's nodes that it could do without, each alone.

    Minimality after Wang et al. 2022 (arXiv 2211.00593) section 4, of single nodes. Copies of which either suffices all
    idle, although not all of them can go.

    Args:
        rises: `[node]`, how much the circuit's task loss rises without each node, nats; negative where it falls.

    Returns:
        Share of the rises below `IDLE`, from 0 to 1, lower is better; `nan` without nodes.
    """
    (risen,) = arrays(rises=(rises, "node"))
    return mean(risen < IDLE)


def rank_correlation(reference: Array, predicted: Array) -> float:
    """Spearman's correlation of what edits do in the whole model and in the circuit, ties at their mean rank.

    Effects below `IDLE` count as none: which of two nodes that do nothing does less is no question.

    Args:
        reference: `[edit]`, effect of each edit in the whole model, nats.
        predicted: Effect of the same edit in the circuit.

    Returns:
        -1 to 1, higher is better; 1 where the circuit puts the edits into the right order; `nan` if all edits do the
        same in either.
    """
    effects = arrays(reference=(reference, "edit"), predicted=(predicted, "edit"))
    known, found = (np.where(np.abs(each) < IDLE, 0.0, each) for each in effects)
    return spearman(known, found) if varies(known) and varies(found) else math.nan
