"""Uncertainty: intervals over training seeds and over prompts, ratios between methods, paired tests."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Sample = NDArray[np.float64]

FEWEST_SEEDS = 3
"""Below this there is no interval over seeds: with two, its half-width is some nine standard errors."""


class Interval(NamedTuple):
    """Lower and upper limit; both `nan` if unknown."""

    low: float
    high: float

    def within(self, least: float, most: float) -> "Interval":
        """The interval clipped to the range of its quantity; unknown stays unknown."""
        if math.isnan(self.low):
            return self
        return Interval(*(float(np.clip(limit, least, most)) for limit in self))


UNKNOWN = Interval(math.nan, math.nan)


def student_interval(values: Sequence[float | int]) -> Interval:
    """Student's t interval (95 %) of a mean over training seeds.

    A 95 % bootstrap over three seeds covers only 75 %; this one covers 95 % if the values are about normal. It is
    unknown below three seeds or if a value is not finite.
    """
    from scipy.special import stdtrit

    row = np.asarray(values, dtype=np.float64)
    if row.size < FEWEST_SEEDS or not np.isfinite(row).all():
        return UNKNOWN
    half = float(stdtrit(row.size - 1, 0.975)) * float(row.std(ddof=1)) / math.sqrt(row.size)
    return Interval(float(row.mean()) - half, float(row.mean()) + half)


def median_interval(values: Sequence[float | int]) -> Interval:
    """Student's t interval (95 %) about the median over training seeds, sqrt(pi / 2) times as wide as the mean's.

    The factor is the ratio of the standard errors of median and mean for many normal values; with 3 to 20 seeds the
    interval covers 96 to 97 %. Order statistics give no 95 % interval below six seeds. It is unknown below three seeds
    or if a value is not finite.
    """
    low, high = student_interval(values)
    half = math.sqrt(math.pi / 2) * (high - low) / 2
    middle = float(np.median(np.asarray(values, dtype=np.float64))) if math.isfinite(half) else math.nan
    return Interval(middle - half, middle + half)


def proportion_interval(successes: int, cases: int) -> Interval:
    """Exact 95 % interval of a proportion of independent cases (Clopper and Pearson 1934), with at least that coverage.

    Within 0 to 1; unknown without cases.
    """
    from scipy.stats import binomtest

    return Interval(*map(float, binomtest(successes, cases).proportion_ci())) if cases else UNKNOWN


def cluster_bootstrap(
    statistic: Callable[[Int[NDArray[np.int64], " cluster"]], float],
    clusters: int,
    generator: np.random.Generator,
    draws: int = 1000,
) -> Interval:
    """95 % percentile interval of a statistic over resamples of whole clusters.

    The two prompts of a pair are alike, so the pair is the cluster (Miller 2024, arXiv 2411.00640).

    Args:
        statistic: Called with the indices of the drawn clusters, as many as there are. To keep it cheap, compute
            everything that depends on a single prompt in advance.
        clusters: Number of clusters.
        generator: Source of the draws.
        draws: Number of resamples.

    Returns:
        The interval; unknown below two clusters, or if the statistic is undefined for a draw.
    """
    from scipy.stats import DegenerateDataWarning, bootstrap

    if clusters < 2:
        return UNKNOWN
    with warnings.catch_warnings(action="ignore", category=DegenerateDataWarning):  # both limits are nan then
        found = bootstrap(
            (np.arange(clusters),),
            statistic,
            n_resamples=draws,
            vectorized=False,
            method="percentile",
            rng=generator,
        )
    return Interval(*map(float, found.confidence_interval))


def geometric_mean(sizes: Sequence[float | int]) -> float:
    """Geometric mean of max(size, 1), since a circuit may have no edges; `nan` without sizes."""
    row = np.asarray(sizes, dtype=np.float64)
    return float(np.exp(np.log(np.maximum(row, 1.0)).mean())) if row.size else math.nan


class Ratio(NamedTuple):
    """Size of the first method's circuits relative to the second's, with its interval and the number of tasks."""

    value: float
    low: float
    high: float
    tasks: int


def size_ratio(first: "pd.Series[float]", second: "pd.Series[float]") -> Ratio:
    """Ratio of the geometric means of two methods' sizes, over the tasks that both have.

    Sizes are indexed by task and seed. Each task counts once: its log ratio is the mean over the seeds that both have.
    The interval is Student's t of the log ratios over tasks, since the conclusion is meant to hold for tasks of this
    kind. A percentile bootstrap would be too narrow: over eight tasks it covers 89 %, over two it covers half.

    Returns:
        The ratio, its 95 % interval (`nan` below three tasks) and the number of tasks; the ratio is `nan` without
        tasks.
    """
    ratios = (first.clip(lower=1) / second.clip(lower=1)).dropna()
    logs = ratios.map(math.log).groupby(level=0).mean().tolist()
    if not logs:
        return Ratio(math.nan, *UNKNOWN, 0)
    mean, low, high = map(math.exp, paired_difference(logs)[:3])
    return Ratio(mean, low, high, len(logs))


def prompt_ratio_interval(ratio: float, pairs: Sequence[tuple[Interval, Interval]] | Sample) -> Interval:
    """Interval over prompts of a ratio of geometric means, from the intervals of the sizes behind it.

    The circuits' intervals are treated as independent and log-normal: half-widths of logs add in quadrature. It shows
    the effect of another sample of prompts, for these tasks and these trained models.

    Args:
        ratio: The ratio of the geometric means.
        pairs: For each task and seed, the intervals over prompts of the first and the second method's size.

    Returns:
        The interval; unknown without pairs or if one of their intervals is.
    """
    limits = np.asarray(pairs, dtype=np.float64)
    if not limits.size or not np.isfinite(limits).all():
        return UNKNOWN
    halves = np.diff(np.log(np.maximum(limits, 1.0)), axis=-1) / 2
    half = float(np.sqrt((halves**2).sum())) / len(pairs)
    return Interval(ratio * math.exp(-half), ratio * math.exp(half))


def permutation_test(differences: Sequence[float | int], generator: np.random.Generator, draws: int = 100_000) -> float:
    """Two-sided p-value of a paired permutation test that the mean difference is 0.

    The sign of each pair's difference is flipped in every way, or in `draws` random ways if there are more. With n
    pairs p cannot fall below 2 / 2^n, so fewer than six pairs can never reach 0.05.

    Args:
        differences: One per pair (of task and seed); for sizes, differences of logs.
        generator: Source of the random flips.
        draws: Maximum number of flips to try.

    Returns:
        p, above 0 and at most 1; `nan` without pairs or if a difference is not finite.
    """
    from scipy.stats import permutation_test as permute

    row = np.asarray(differences, dtype=np.float64)
    if not row.size or not np.isfinite(row).all():
        return math.nan
    if row.size == 1:
        return 1.0  # both flips are equally far from 0; scipy rejects a sample of one
    result = permute(
        (row,),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=draws,
        rng=generator,
    )
    return float(result.pvalue)


class PairedDifference(NamedTuple):
    """Mean of paired differences with its interval, their standard deviation and their number."""

    mean: float
    low: float
    high: float
    deviation: float
    pairs: int


def paired_difference(differences: Sequence[float | int], most: float = math.inf) -> PairedDifference:
    """Mean difference over pairs with Student's t interval (Student 1908; for evaluations, Miller 2024, section 4).

    Args:
        differences: One per pair, first minus second; for sizes, differences of logs. Pairs have to be independent:
            average what belongs together (seeds of one task) first.
        most: Largest possible absolute difference; the limits are clipped to it.

    Returns:
        The mean with its 95 % interval (`nan` below three pairs) and the standard deviation (`nan` below two); all
        `nan` without pairs or if a difference is not finite.
    """
    row = np.asarray(differences, dtype=np.float64)
    if not row.size or not np.isfinite(row).all():
        return PairedDifference(math.nan, *UNKNOWN, math.nan, row.size)
    deviation = float(row.std(ddof=1)) if row.size > 1 else math.nan
    interval = student_interval(differences).within(-most, most)
    return PairedDifference(float(row.mean()), *interval, deviation, row.size)


def detectable_difference(deviation: float, pairs: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest true mean difference that a paired, two-sided t test detects with this power (Miller 2024, section 5).

    With few pairs the normal approximation, 2.8 standard errors, is too optimistic (eight pairs: 3.3), so the
    noncentral t distribution is solved for its noncentrality. Significant results of the wrong sign are ignored.

    Args:
        deviation: Standard deviation of the differences.
        pairs: Number of pairs.
        alpha: Level of the test; for one among m, alpha / m is enough whatever the others say (Bonferroni; Holm asks
            less).
        power: Probability of detecting it.

    Returns:
        The difference, at least 0, in the unit of the deviation; `nan` below two pairs.
    """
    from scipy.special import nctdtrinc, stdtrit

    if pairs < 2:
        return math.nan
    critical = float(stdtrit(pairs - 1, 1 - alpha / 2))
    return float(nctdtrinc(pairs - 1, 1 - power, critical)) * deviation / math.sqrt(pairs)


def least_p(pairs: int) -> float:
    """The smallest p-value that a two-sided permutation test of this many pairs can give; 1 without pairs."""
    return min(1.0, 2.0 ** (1 - pairs))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction for several tests (Holm 1979): adjusted p-values, in the order given.

    The family is declared in advance; an undefined p-value stays `nan` and counts as a member.
    """
    from statsmodels.stats.multitest import multipletests

    adjusted: list[float] = multipletests(p_values, method="holm")[1].tolist()
    return adjusted


def spearman(first: Sequence[float] | Sample, second: Sequence[float] | Sample) -> float:
    """Spearman's rank correlation, ties at their mean rank; `nan` below two values or if either input is constant."""
    from scipy.stats import spearmanr

    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(np.clip(spearmanr(first, second).statistic, -1, 1))  # rounding can exceed 1


def none_for_nan(value: Any) -> Any:
    """The value with every non-finite number replaced by `None`, also within mappings and sequences."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: none_for_nan(each) for key, each in value.items()}
    return [none_for_nan(each) for each in value] if isinstance(value, list | tuple) else value
