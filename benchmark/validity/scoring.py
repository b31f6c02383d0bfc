"""Replaces a node by labels of a concept, with every control in the same table."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Integer
from scipy.cluster.vq import kmeans

from benchmark.interventions.replacement import CachedRun, Losses, Node
from benchmark.metrics import label_replacement_score
from benchmark.metrics.shares import shares
from benchmark.statistics.intervals import UNKNOWN, Interval

LOW, MIDDLE = 1 / 3, 2 / 3
"""Upper ends of the low and the middle band of a rescaled activation; a node is active above the first."""

ZERO = 0.01
"""Upper end of the band that counts as zero."""

DRAWS = 2000
"""Draws of the bootstrap over clusters."""

Values = Float[np.ndarray, "row position"]
Labels = Integer[np.ndarray, "row position"]


@dataclass(frozen=True)
class Scale:
    """Turns a node's values so that high means present: r = sign x (value - median) / (99.9th percentile of the same).

    Attributes:
        sign: 1, or -1 for a node that is low where its concept holds.
        median: On the choice split; the 0.1th percentile of sign x value where no more than 0.1 % lie above the median,
            as with a node of two values whose concept holds at more than half of all positions.
        unit: The 99.9th percentile of sign x (value - median) on the choice split.
    """

    sign: int
    median: float
    unit: float

    @classmethod
    def of(cls, values: Float[np.ndarray, "..."], sign: int) -> "Scale":
        """The scale of a node whose values on the choice split these are."""
        median = float(np.median(values))
        unit = float(np.quantile(sign * (values - median), 0.999))
        if unit <= 0:
            median = sign * float(np.quantile(sign * values, 0.001))
            unit = float(np.quantile(sign * (values - median), 0.999))
        return cls(sign, median, unit if unit > 0 else 1.0)

    def __call__(self, values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Rescaled activations: 0 at the median, 1 at the 99.9th percentile."""
        rescaled: Float[np.ndarray, ...] = self.sign * (values - self.median) / self.unit
        return rescaled


@dataclass(frozen=True)
class Fit:
    """What the choice split says of a node: its orientation and bands, and its mean."""

    node: Node
    scale: Scale
    mean: float


def level_means(
    values: Float[np.ndarray, "*position"], labels: Integer[np.ndarray, "*position"], levels: int
) -> Float[np.ndarray, " level"]:
    """Mean of a node given each label; the mean of all where a label does not occur."""
    return np.array(
        [values[labels == level].mean() if (labels == level).any() else values.mean() for level in range(levels)],
        dtype=np.float64,
    )


def quantised(known: Values, values: Values, levels: int) -> Values:
    """Values at the nearest of so many levels, fitted on `known` by k-means from evenly spaced ones."""
    least, most = (float(limit) for limit in np.quantile(known.astype(np.float64), [0.001, 0.999]))
    spread = np.linspace(least, most, levels)
    if spread[0] == spread[-1]:
        return np.full_like(values, known.mean())
    found, _ = kmeans(known.reshape(-1).astype(np.float64), spread)
    nearest: Int[np.ndarray, "row position"] = np.abs(values[..., None] - found).argmin(-1)
    result: Values = found[nearest].astype(np.float32)
    return result


def error_typed(fit: Fit, values: Values, labels: Labels, means: Float[np.ndarray, " level"]) -> dict[str, Values]:
    """A node's values with one type of error corrected: false alarms, misses, the middle band."""
    active = fit.scale(values)
    corrected = means[labels]
    wrong = {
        "false_alarms": (active > LOW) & (labels == 0),
        "misses": (active <= LOW) & (labels != 0),
        "middle": (active > LOW) & (active <= MIDDLE),
    }
    return {name: np.where(where, corrected, values) for name, where in wrong.items()}


@dataclass(frozen=True)
class Score:
    """A label replacement score: of the labels, or of what stands in their place, with a 95 % interval over clusters.

    Attributes:
        value: 1 as good as the true activations, 0 as bad as the mean; `nan` where it is undefined.
        loss: Loss minus the loss with the true activations, nats.
    """

    value: float
    low: float
    high: float
    loss: float


class Judge:
    """Turns losses of clusters into scores, with intervals from the same draws for all of them."""

    def __init__(self, clusters: int, generator: np.random.Generator) -> None:
        chosen = generator.integers(clusters, size=(DRAWS, clusters))
        self._weights = np.stack([np.bincount(row, minlength=clusters) for row in chosen]) / clusters

    def interval(self, differences: Losses, confidence: float = 0.95) -> Interval:
        """Of a mean difference of losses, paired by cluster."""
        if len(differences) < 2:
            return UNKNOWN
        return self._percentiles(self._weights @ differences, confidence)

    def harm(self, differences: Losses, known_to: float = 1 / 3) -> str:
        """Why a node's ablation cannot be told from none, empty if it can: its harm must exceed its uncertainty.

        The 95 % interval has to lie above 0, with a half-width of at most this share of the harm.
        """
        low, high = self.interval(differences)
        mean = float(differences.mean())
        if not low > 0:
            return f"ablation changes the loss by {mean:.2g}, interval {low:.2g} to {high:.2g}"
        if (high - low) / 2 > mean * known_to:
            return f"the harm of ablation, {mean:.2g}, is known to {(high - low) / 2:.2g} only"
        return ""

    def draws(self, losses: Losses, true: Losses, mean: Losses) -> Float[np.ndarray, " draw"]:
        """The score in each draw; `nan` where the mean does not harm in it."""
        numerator, harm = (self._weights @ (each - true) for each in (losses, mean))
        return 1 - shares(numerator, harm, self._weights @ mean, self._weights @ true)

    def score(self, losses: Losses, true: Losses, mean: Losses) -> Score:
        """The score of a replacement; undefined as `harm` says."""
        loss = float((losses - true).mean())
        if self.harm(mean - true):
            return Score(np.nan, np.nan, np.nan, loss)
        low, high = self._percentiles(self.draws(losses, true, mean), 0.95)
        value = label_replacement_score(float(losses.mean()), float(true.mean()), float(mean.mean()))
        return Score(value, low, high, loss)

    def corrected_low(self, losses: Losses, true: Losses, mean: Losses, searched: int) -> float:
        """Lower limit of the score at 95 % confidence in all of `searched` scores together (Bonferroni)."""
        if self.harm(mean - true):
            return float("nan")
        return float(np.nanquantile(self.draws(losses, true, mean), 0.05 / (2 * max(searched, 1))))

    @staticmethod
    def _percentiles(values: Float[np.ndarray, " draw"], confidence: float) -> Interval:
        if not np.isfinite(values).any():
            return UNKNOWN
        low, high = np.nanquantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
        return Interval(float(low), float(high))


def replaced(run: CachedRun, fit: Fit, values: Mapping[str, Values]) -> dict[str, Losses]:
    """Losses with a node at each of these values; `true` and `mean` are always there."""
    losses = run.losses([{fit.node: value.astype(np.float32)} for value in values.values()])
    return {"true": run.true, "mean": run.at(fit.node, fit.mean), **dict(zip(values, losses, strict=True))}
