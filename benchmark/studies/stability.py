"""How alike the circuits are that different finder seeds find in the same model for the same task.

A circuit from which no node can be removed alone is one of several. How many there are, and how much they share, says
how much of a single circuit is an accident of the search.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, groupby
from typing import Any

import numpy as np
import pandas as pd

from benchmark import metrics
from benchmark.model.circuit import Circuit
from benchmark.model.interface import Connection
from benchmark.scoring.case import Setting
from benchmark.studies.best_known import ModelAndTask
from benchmark.studies.regret import Result, Rung, Searched
from benchmark.studies.regret_table import Case

STABILITY = "stability.csv"
"""The name of the table."""

STABILITY_KEY = (*Case._fields, "algorithm", "factor", "finder_seeds")
"""The columns that identify a row."""


def stability(
    found: Sequence[Searched], ended: Mapping[str, Result], settings: Mapping[ModelAndTask, Callable[[], Setting]]
) -> pd.DataFrame:
    """One row for each model, task and algorithm that reached the target with several finder seeds.

    `shared_nodes` and `shared_edges` are the shares of the nodes and edges of two circuits that are in both, averaged
    over pairs of seeds; `distinct` is the number of different circuits.

    Args:
        found: The searches.
        ended: What they found, by the key of their cell.
        settings: Loads the model of a case.
    """
    reached = [each for each in found if each.cell.key in ended and ended[each.cell.key].sizes]
    rows = []
    for case, of_case in groupby(sorted(reached, key=lambda each: each.case), key=lambda each: each.case):
        groups: dict[Rung, list[Searched]] = {}
        for each in of_case:
            groups.setdefault(each.rung, []).append(each)
        several = [group for group in groups.values() if len(group) > 1]
        if several:
            setting = settings[ended[several[0][0].cell.key].of]()
            connections = list(setting.model.connections(setting.graph))
        for group in several:
            circuits = [ended[each.cell.key].circuit for each in group]
            rows.append(_row(case, group) | alike(circuits, connections))
    return pd.DataFrame(rows, columns=[*STABILITY_KEY, "distinct", "shared_nodes", "shared_edges"])


def _row(case: Case, group: Sequence[Searched]) -> dict[str, Any]:
    """The columns that identify the row of some searches that differ in their finder seeds alone."""
    seeds = " ".join(str(each.finder_seed) for each in group)
    rung = group[0].rung
    return {**case._asdict(), "algorithm": rung.algorithm, "factor": rung.factor, "finder_seeds": seeds}


def alike(circuits: Sequence[Circuit], connections: Sequence[Connection]) -> dict[str, int | float]:
    """How many of some circuits of one model differ, and the shares of nodes and edges that two of them have in common.

    Args:
        circuits: At least two circuits.
        connections: The connections of their graph. A pair of nodes is an edge of every circuit that keeps both.
    """
    pairs = list(combinations(circuits, 2))
    return {
        "distinct": len({str(circuit.kept()) for circuit in circuits}),
        "shared_nodes": float(np.mean([_shared(metrics.node_count, *pair) for pair in pairs])),
        "shared_edges": float(
            np.mean([_shared(lambda each: metrics.edge_count(each, connections), *pair) for pair in pairs])
        ),
    }


def _shared(size: Callable[[Circuit], float], one: Circuit, other: Circuit) -> float:
    """Size of what two circuits have in common over that of what either has; 1 if neither has anything."""
    common = size(Circuit({name: mask & other.masks[name] for name, mask in one.masks.items()}))
    either = size(one) + size(other) - common
    return common / either if either else 1.0
