"""Metrics of a found circuit against a known one: precision and recall of its nodes and of its edges."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.shares import share
from benchmark.metrics.size import masks_of
from benchmark.model.circuit import Circuit

Edge = tuple[str, int, str, int]
"""Source site, source node, target site, target node."""


@dataclass(frozen=True)
class Recovery:
    """How much of a known circuit was found, and how much else.

    Attributes:
        precision: Share of what was found that is true, 0 to 1, higher is better; `nan` if nothing was found.
        recall: Share of what is true that was found, 0 to 1, higher is better; `nan` if there is nothing to find.
    """

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean, 0 if nothing true was found, `nan` if there is nothing to find; higher is better."""
        if math.isnan(self.recall) or self.recall == 0:
            return self.recall
        return 2 * self.precision * self.recall / (self.precision + self.recall)


def node_recovery(found: Circuit, true: Circuit) -> Recovery:
    """Precision and recall of the nodes that a circuit keeps, for models whose circuit is known.

    Hand-set or compiled transformers give such models: Tracr (Lindner et al. 2023, arXiv 2301.05062), InterpBench
    (Gupta et al. 2024, arXiv 2407.14494). Only kept nodes count, so idle nodes that both leave out change nothing; a
    site that one circuit has no mask for keeps no node there.

    Args:
        found: What a finder kept.
        true: The known circuit of the same model, in the same graph. It should hold needed nodes only: one whose mean
            serves as well as its value cannot be found and would cost recall.

    Returns:
        Over all sites together, each node counting once.

    Raises:
        ValueError: If a site has another number of nodes in one circuit than in the other.
    """
    kept, needed = masks_of(found), masks_of(true)
    for name in kept.keys() & needed.keys():
        if len(kept[name]) != len(needed[name]):
            sizes = f"{len(kept[name])} nodes in one circuit and {len(needed[name])} in the other"
            raise ValueError(f"site {name!r} has {sizes}")
    return _recovery(_nodes(kept), _nodes(needed))


def edge_recovery(found_edges: Iterable[Edge], true_edges: Iterable[Edge]) -> Recovery:
    """Precision and recall of edges, each a source site and node and a target site and node.

    Args:
        found_edges: What a finder kept; an edge named twice counts once.
        true_edges: Those of the known circuit, in the same graph.

    Returns:
        Over all connections together, each edge counting once, whatever its weight.
    """
    return _recovery(frozenset(found_edges), frozenset(true_edges))


def _nodes(masks: Mapping[str, NDArray[np.bool_]]) -> frozenset[tuple[str, int]]:
    return frozenset((name, node) for name, mask in masks.items() for node in mask.nonzero()[0].tolist())


def _recovery(found: frozenset[tuple[object, ...]], true: frozenset[tuple[object, ...]]) -> Recovery:
    hits = float(len(found & true))
    return Recovery(precision=share(hits, len(found)), recall=share(hits, len(true)))
