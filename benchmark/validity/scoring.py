"""Label replacement scores: how much of the harm of mean ablation a replacement of a node avoids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Integer
from scipy.cluster.vq import kmeans

from benchmark.interventions.window_run import Part
from benchmark.metrics import label_replacement_score
from benchmark.metrics.shares import ONE_NAT, shares
from benchmark.statistics.intervals import UNKNOWN, Interval

LOW, MIDDLE = 1 / 3, 2 / 3
"""Upper limits of the low and the middle band of a rescaled activation; a node is active above the first."""

ZERO = 0.01
"""Upper limit of the band that counts as zero."""

DRAWS = 2000
"""Number of bootstrap draws over clusters."""

KNOWN_TO = 1 / 3
"""Largest half-width of the interval of a node's harm, as a share of the harm, for its scores to be defined."""

Changes = Float[np.ndarray, " cluster"]
"""Change of the loss in each cluster (a window of the corpus, a pair of prompts), nats."""

Values = Float[np.ndarray, "row position"]
Labels = Integer[np.ndarray, "row position"]


@dataclass(frozen=True)
class Scale:
    """Rescales a node so that high means present: r = sign x (value - median) / (99.9th percentile of the numerator).

    Attributes:
        sign: 1, or -1 for a node that is low where its concept holds.
        median: Median on the choice split; or the 0.1th percentile of sign x value if at most 0.1 % lie above the
            median, as for a binary node whose concept holds at more than half of all positions.
        unit: The 99.9th percentile of sign x (value - median) on the choice split.
    """

    sign: int
    median: float
    unit: float

    @classmethod
    def of(cls, values: Float[np.ndarray, "..."], sign: int) -> "Scale":
        """The scale of a node with these values on the choice split."""
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


@dataclass(frozen=True, eq=False)
class Fit:
    """The scale of a node or direction, which sets its orientation and bands, and its mean, on the choice split."""

    node: Part
    scale: Scale
    mean: float


def level_means(
    values: Float[np.ndarray, "*position"], labels: Integer[np.ndarray, "*position"], levels: int
) -> Float[np.ndarray, " level"]:
    """Mean of a node for each label; the overall mean for labels that do not occur."""
    return np.array(
        [values[labels == level].mean() if (labels == level).any() else values.mean() for level in range(levels)],
        dtype=np.float64,
    )


def given_labels(
    known: Float[np.ndarray, "*known"],
    known_labels: Integer[np.ndarray, "*known"],
    labels: Integer[np.ndarray, "*other"],
) -> Float[np.ndarray, "*other"]:
    """A node's mean given the label, fitted to known values and labels, at the labels of another sample."""
    levels = 1 + int(max(known_labels.max(), labels.max()))
    replaced: Float[np.ndarray, "*other"] = level_means(known, known_labels, levels)[labels].astype(np.float32)
    return replaced


def at_mean(mean: float, shape: Sequence[int]) -> Float[np.ndarray, "row position"]:
    """A node's mean at every position."""
    return np.full(tuple(shape), mean, dtype=np.float32)


def quantised(known: Values, values: Values, levels: int) -> Values:
    """Values rounded to the nearest of `levels` levels, fitted to `known` by k-means from evenly spaced levels."""
    least, most = (float(limit) for limit in np.quantile(known.astype(np.float64), [0.001, 0.999]))
    spread = np.linspace(least, most, levels)
    if spread[0] == spread[-1]:
        return np.full_like(values, known.mean())
    found, _ = kmeans(known.reshape(-1).astype(np.float64), spread)
    nearest: Values = found[np.abs(values[..., None] - found).argmin(-1)].astype(np.float32)
    return nearest


def error_typed(fit: Fit, values: Values, labels: Labels, corrected: Values) -> dict[str, Values]:
    """A node's values with one type of error corrected by the labels: false alarms, misses, or the middle band."""
    active = fit.scale(values)
    wrong = {
        "false_alarms": (active > LOW) & (labels == 0),
        "misses": (active <= LOW) & (labels != 0),
        "middle": (active > LOW) & (active <= MIDDLE),
    }
    return {name: np.where(where, corrected, values) for name, where in wrong.items()}


@dataclass(frozen=True)
class Score:
    """A label replacement score, of labels or a control, with its 95 % interval over clusters.

    Attributes:
        value: 1 if as good as the true activations, 0 if as bad as the mean; `nan` where it is undefined.
        loss: Loss minus the loss with the true activations, nats.
    """

    value: float
    low: float
    high: float
    loss: float


UNDEFINED = Score(np.nan, np.nan, np.nan, np.nan)


def percentiles(draws: Float[np.ndarray, " draw"]) -> Interval:
    """95 % interval from bootstrap draws; those that are `nan` are left out."""
    if not np.isfinite(draws).any():
        return UNKNOWN
    low, high = np.nanquantile(draws, [(1 - 0.95) / 2, (1 + 0.95) / 2])
    return Interval(float(low), float(high))


class Judge:
    """Turns changes of the loss per cluster into scores, with intervals from the same bootstrap draws for all.

    A change is the loss with something replaced minus the loss with nothing replaced, nats.
    """

    def __init__(self, clusters: int, generator: np.random.Generator) -> None:
        chosen = generator.integers(clusters, size=(DRAWS, clusters))
        self._weights = np.stack([np.bincount(row, minlength=clusters) for row in chosen]) / clusters

    def interval(self, changes: Changes) -> Interval:
        """95 % interval of the mean change."""
        if len(changes) < 2:
            return UNKNOWN
        return percentiles(self._weights @ changes)

    def harm(self, mean: Changes) -> str:
        """Why a node's ablation cannot be told from no ablation; empty if it can.

        The 95 % interval of the harm has to be above 0, with a half-width of at most `KNOWN_TO` times the harm.
        """
        low, high = self.interval(mean)
        harm = float(mean.mean())
        if not low > 0:
            return f"ablation changes the loss by {harm:.2g}, interval {low:.2g} to {high:.2g}"
        if (high - low) / 2 > harm * KNOWN_TO:
            return f"the harm of ablation, {harm:.2g}, is known to {(high - low) / 2:.2g} only"
        return ""

    def resampled(self, changes: Float[np.ndarray, "node cluster"]) -> Float[np.ndarray, "draw node"]:
        """Mean change of each of some nodes in every bootstrap draw."""
        means: Float[np.ndarray, "draw node"] = self._weights @ changes.T
        return means

    def draws(self, replaced: Changes, mean: Changes) -> Float[np.ndarray, " draw"]:
        """The score in each draw; `nan` in draws in which the mean does no harm."""
        return 1 - shares(self._weights @ replaced, self._weights @ mean, ONE_NAT)

    def score(self, replaced: Changes, mean: Changes) -> Score:
        """The score of a replacement; undefined if `harm` gives a reason."""
        if self.harm(mean):
            return replace(UNDEFINED, loss=float(replaced.mean()))
        return self.ratio(replaced, mean)

    def ratio(self, replaced: Changes, mean: Changes) -> Score:
        """The score, whether or not the harm can be told from noise."""
        low, high = percentiles(self.draws(replaced, mean))
        value = label_replacement_score(float(replaced.mean()), 0.0, float(mean.mean()))
        return Score(value, low, high, float(replaced.mean()))

    def corrected_low(self, replaced: Changes, mean: Changes, searched: int) -> float:
        """Lower limit of the score at a joint confidence of 95 % over `searched` scores (Bonferroni)."""
        if self.harm(mean):
            return float("nan")
        return float(np.nanquantile(self.draws(replaced, mean), 0.05 / (2 * max(searched, 1))))
