"""Metrics of interventions on single nodes of a circuit: redundant nodes, and predicted effects of edits."""

import math

import numpy as np

from benchmark.metrics.arrays import Array, arrays, mean
from benchmark.metrics.shares import varies
from benchmark.statistics.intervals import spearman

NEGLIGIBLE = 0.01
"""A node is redundant if ablating it raises the task loss by less than this; smaller effects of edits are 0, nats."""


def idle_share(rises: Array) -> float:
    """Share of a circuit's nodes that are redundant, each ablated alone.

    Minimality after Wang et al. 2022 (arXiv 2211.00593) section 4, for single nodes. If either of two copies suffices,
    both are redundant, although only one of them can be removed.

    Args:
        rises: `[node]`, rise in the circuit's task loss with each node ablated, nats; negative if it falls.

    Returns:
        Share of the rises below `NEGLIGIBLE`, from 0 to 1, lower is better; `nan` without nodes.
    """
    (risen,) = arrays(rises=(rises, "node"))
    return mean(risen < NEGLIGIBLE)


def rank_correlation(reference: Array, predicted: Array) -> float:
    """Spearman's correlation of the effects of edits in the whole model and in the circuit, ties at their mean rank.

    Effects below `NEGLIGIBLE` count as 0, since the order of negligible effects is meaningless.

    Args:
        reference: `[edit]`, effect of each edit in the whole model, nats.
        predicted: `[edit]`, effect of the same edit in the circuit, nats.

    Returns:
        -1 to 1, higher is better; 1 if the circuit orders the edits correctly; `nan` if all edits have the same effect
        in either.
    """
    effects = arrays(reference=(reference, "edit"), predicted=(predicted, "edit"))
    known, found = (np.where(np.abs(each) < NEGLIGIBLE, 0.0, each) for each in effects)
    return spearman(known, found) if varies(known) and varies(found) else math.nan
