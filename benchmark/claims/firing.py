"""Are some features naturally sparser than others? The distribution of how often they fire."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

DENSE = 0.1
"""Rate above which a feature counts as dense."""

EDGES: tuple[float, ...] = tuple(10 ** (step / 2) for step in range(-10, 1))
"""Of the histogram's bins, two a decade."""


@dataclass(frozen=True)
class Firing:
    """How the firing rates of features are distributed; all but the counts are of the features that fire at all.

    Attributes:
        features: Number of features.
        firing: Those that fire at all.
        tenth: 10th percentile of the rates; `None`, as the others, where no feature fires.
        median: Median of the rates.
        ninetieth: 90th percentile of the rates.
        dense_share: Share of the features that fire at more than a tenth of the positions.
        gini: Gini coefficient of the rates: 0 if all fire equally often, near 1 if one does all the firing.
        histogram: Features in each bin between `EDGES`; rarer ones stand in the first bin.
    """

    features: int
    firing: int
    tenth: float | None
    median: float | None
    ninetieth: float | None
    dense_share: float | None
    gini: float | None
    histogram: tuple[int, ...]


def firing(rates: Float[np.ndarray, " feature"]) -> Firing:
    """The distribution of firing rates: shares of the positions at which each feature fires."""
    alive = rates[rates > 0]
    counts, _ = np.histogram(np.maximum(alive, EDGES[0]), EDGES)
    histogram = tuple(int(count) for count in counts)
    if not alive.size:
        return Firing(len(rates), 0, None, None, None, None, None, histogram)
    tenth, median, ninetieth = (float(each) for each in np.percentile(alive, (10, 50, 90)))
    dense = float((alive > DENSE).mean())
    return Firing(len(rates), len(alive), tenth, median, ninetieth, dense, gini(alive), histogram)


def gini(values: Float[np.ndarray, " value"]) -> float:
    """Gini coefficient of values above zero: half their mean absolute difference over their mean."""
    ranks = np.arange(1, len(values) + 1)
    return float(2 * (ranks * np.sort(values)).sum() / (len(values) * values.sum()) - (len(values) + 1) / len(values))
