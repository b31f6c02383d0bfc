"""Are some features naturally sparser than others? The distribution of their firing rates."""

from typing import Any

import numpy as np
from jaxtyping import Float

DENSE = 0.1
"""Rate above which a feature counts as dense."""

EDGES: tuple[float, ...] = tuple(10 ** (step / 2) for step in range(-10, 1))
"""Edges of the histogram's bins, two per decade."""


def firing(rates: Float[np.ndarray, " feature"]) -> dict[str, Any]:
    """The distribution of firing rates: the share of positions at which each feature fires.

    Returns:
        Counts: `features`, `firing` (those that fire at all) and `histogram` (features in each bin between `EDGES`,
        rarer ones in the first). Of the features that fire, `None` if there are none: the percentiles `tenth`, `median`
        and `ninetieth`, `dense_share` (share of the features with a rate above `DENSE`) and `gini`.
    """
    alive = rates[rates > 0]
    counts, _ = np.histogram(np.maximum(alive, EDGES[0]), EDGES)
    found: dict[str, Any] = {"features": len(rates), "firing": len(alive)}
    found |= dict.fromkeys(("tenth", "median", "ninetieth", "dense_share", "gini"))
    if alive.size:
        percentiles = np.percentile(alive, (10, 50, 90)).tolist()
        found |= dict(zip(("tenth", "median", "ninetieth"), percentiles, strict=True))
        found |= {"dense_share": float((alive > DENSE).mean()), "gini": gini(alive)}
    return {**found, "histogram": counts.tolist()}


def gini(values: Float[np.ndarray, " value"]) -> float:
    """Gini coefficient of positive values: half their mean absolute difference over their mean, 0 if all are equal."""
    ranks = np.arange(1, len(values) + 1)
    return float(2 * (ranks * np.sort(values)).sum() / (len(values) * values.sum()) - (len(values) + 1) / len(values))
