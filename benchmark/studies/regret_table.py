"""The table of regrets, and its summary by algorithm and budget. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmark.files import CorruptFileError, read_text, readable

REGRET = "regret.csv"
"""The name of the table."""

ALGORITHMS: Mapping[str, Mapping[str, Any]] = {
    "mask": {"ranking": "mask", "shrink": False},
    "attribution": {"ranking": "attribution", "exchanges": 0},
    "random": {"ranking": "random", "exchanges": 0},
    "shrinking": {"ranking": "mask", "exchanges": 0},
    "exchanges": {"ranking": "mask"},
    "removal": {"ranking": "removal", "exchanges": 0},
}
"""The settings of each search: a learned mask that is only cut; what is left after shrinking a cut of the ranking by
attribution, of a random one, and of the mask; exchanges after that, which is the finder's own procedure; and random
removals from the whole model."""


class Case(NamedTuple):
    """A model and a task."""

    method: str
    variant: str
    graph: str
    task: str
    seed: int


KEY = (*Case._fields, "algorithm", "factor", "finder_seed")
"""The columns that say which search a row is about."""


def read_regret(folder: Path) -> "pd.DataFrame | None":
    """The rows of a folder's `regret.csv`; `None` without one.

    Raises:
        CorruptFileError: The file is not a table, or lacks a column.
    """
    path = folder / REGRET
    if not path.exists():
        return None
    with readable(path, "table"):
        table = pd.read_csv(StringIO(read_text(path, kind="table", encoding="utf-8-sig")))
    needed = (*KEY, "model", "status", "edges", "robust_faithfulness", "regret")
    if missing := set(needed) - set(table):
        raise CorruptFileError(path, f"lacks the columns {', '.join(sorted(missing))}")
    if unknown := set(table["algorithm"]) - set(ALGORITHMS):
        raise CorruptFileError(
            path, f"has the algorithm {sorted(map(str, unknown))[0]!r}; there are {', '.join(ALGORITHMS)}"
        )
    return table


def on_front(table: pd.DataFrame) -> pd.Series:
    """Whether no other circuit of the same model and task is better: smaller or more faithful, and worse in neither.

    Faithfulness is the lowest under any ablation. False for circuits without one.
    """
    front = pd.Series(False, index=table.index)
    scored = table.dropna(subset=["edges", "robust_faithfulness"])
    for _, group in scored.groupby([*Case._fields, "model"]):
        edges, faithful = group["edges"].to_numpy()[:, None], group["robust_faithfulness"].to_numpy()[:, None]
        no_worse = (edges >= edges.T) & (faithful <= faithful.T)
        better = no_worse & ((edges > edges.T) | (faithful < faithful.T))
        front[group.index[np.flatnonzero(~better.any(axis=1))]] = True
    return front


@dataclass(frozen=True)
class Summary:
    """The regret of one algorithm at one multiple of the budget; shares, not percent.

    Attributes:
        algorithm: A name of `ALGORITHMS`.
        factor: Multiple of the preset's budget.
        searches: Number of searches.
        reached: How many of them reached the target.
        generalised: How many of those that reached it do the task on test prompts.
        median: Median regret of those that reached the target.
        p90: 90th percentile.
        by_method: Median by method.
        faithfulness: Median of the lowest faithfulness under any ablation.
        deviation: Standard deviation of log edges over finder seeds, its square averaged over cases; `nan` for one.
    """

    algorithm: str
    factor: int
    searches: int
    reached: int
    generalised: int
    median: float
    p90: float
    by_method: Mapping[str, float]
    faithfulness: float
    deviation: float


def summaries(rows: pd.DataFrame) -> list[Summary]:
    """Regret by algorithm and multiple of the budget, in the order of the ladder."""
    found = []
    order = rows["algorithm"].map(list(ALGORITHMS).index)
    for (factor, _, algorithm), group in rows.groupby(["factor", order.rename("order"), "algorithm"]):
        logs = np.log(group["edges"].clip(lower=1))
        variances = logs.groupby([group[name] for name in Case._fields]).var()
        medians = group.groupby("method", sort=False)["regret"].median()
        found.append(
            Summary(
                algorithm=str(algorithm),
                factor=int(str(factor)),
                searches=len(group),
                reached=int(group["regret"].count()),
                generalised=int((group["status"][group["regret"].notna()] == "ok").sum()),
                median=float(group["regret"].median()),
                p90=float(group["regret"].quantile(0.9)),
                by_method={str(method): float(regret) for method, regret in medians.items()},
                faithfulness=float(group["robust_faithfulness"].median()),
                deviation=float(np.sqrt(variances.mean())),
            )
        )
    return found
