"""Metrics of a discovered circuit against a known one: precision and recall of its nodes."""

import math
from dataclasses import dataclass

from benchmark.metrics.shares import share
from benchmark.metrics.size import masks_of
from benchmark.model.circuit import Circuit


@dataclass(frozen=True)
class Recovery:
    """How much of a known circuit was found, and how much else.

    Attributes:
        precision: Share of the found nodes that are true, 0 to 1, higher is better; `nan` if nothing was found.
        recall: Share of the true nodes that were found, 0 to 1, higher is better; `nan` if there is nothing to find.
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

    Hand-set or compiled transformers are such models: Tracr (Lindner et al. 2023, arXiv 2301.05062), InterpBench
    (Gupta et al. 2024, arXiv 2407.14494). Only kept nodes count, so redundant nodes that both leave out change nothing;
    a site for which a circuit has no mask keeps no node there.

    Args:
        found: The discovered circuit.
        true: The known circuit of the same model, in the same graph. It should contain only necessary nodes: one whose
            mean serves as well as its value cannot be found and would lower recall.

    Returns:
        Over all sites together, each node counting once.

    Raises:
        ValueError: If a site has different numbers of nodes in the two circuits.
    """
    kept, needed = masks_of(found), masks_of(true)
    for name in kept.keys() & needed.keys():
        if len(kept[name]) != len(needed[name]):
            sizes = f"{len(kept[name])} nodes in one circuit and {len(needed[name])} in the other"
            raise ValueError(f"site {name!r} has {sizes}")
    both = float(sum((kept[name] & needed[name]).sum() for name in kept.keys() & needed.keys()))
    counts = [float(sum(mask.sum() for mask in masks.values())) for masks in (kept, needed)]
    return Recovery(precision=share(both, counts[0]), recall=share(both, counts[1]))
