"""Where a score's scatter comes from: the training seed, the finder's seed, or the sample of prompts."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray


class Component(NamedTuple):
    """One part of a variance: at least 0, or `nan`; the reason says why it is `nan`, or why it was set to 0."""

    variance: float
    reason: str = ""


class VarianceSplit(NamedTuple):
    """The parts of a score's variance, each in the score's unit squared.

    Attributes:
        training: Between training seeds.
        finder: Between seeds of the finder, within one trained model.
        prompts: Between samples of prompts, within one circuit; the mean over cells.
    """

    training: Component
    finder: Component
    prompts: Component


def variance_split(
    values: Float[NDArray[np.float64], "training finder"],
    prompt_variances: Float[NDArray[np.float64], "training finder"] | None = None,
    shared_prompts: bool = True,
) -> VarianceSplit:
    """Split the variance of a score by the method of moments, on balanced data.

    The model has nested random effects: value[i, j] = mean + training[i] + finder[i, j] + prompts[i, j], with the
    variances T, F and P. With k finder seeds the expected mean squares are, if every circuit has prompts of its own,

        within training seeds    F + P
        between training seeds   k T + F + P

    and, if the circuits of one trained model are scored on the same prompts and answer to them alike, F and
    k (T + P) + F. They are solved for T and F, with P from resampling prompts (Searle, Casella and McCulloch 1992,
    Variance Components, chapter 3). A solution below 0, which little data often gives, becomes 0 and says so.

    Args:
        values: One score (of sizes, its log) for each training seed and finder seed.
        prompt_variances: What resampling the prompts alone does to each of them; `None` where it is not known.
        shared_prompts: Whether the prompts depend on the training seed only, so that its circuits share them.

    Returns:
        The three parts.

    Raises:
        ValueError: If a variance over prompts is negative.
    """
    if prompt_variances is not None and (prompt_variances < 0).any():
        raise ValueError(f"a variance over prompts is negative: {prompt_variances.min():g}")
    prompts = _prompts(prompt_variances)
    if not values.size or not np.isfinite(values).all():
        unknown = Component(math.nan, "a score is missing")
        return VarianceSplit(unknown, unknown, prompts)
    seeds, finders = values.shape
    if finders < 2:
        why = "one training seed" if seeds < 2 else "one finder seed: its part cannot be told from the training seed's"
        return VarianceSplit(Component(math.nan, why), Component(math.nan, "one finder seed"), prompts)
    within = float(values.var(axis=1, ddof=1).mean())
    finder = _solved(within if shared_prompts else within - prompts.variance, prompts)
    if seeds < 2:
        return VarianceSplit(Component(math.nan, "one training seed"), finder, prompts)
    between = float(values.mean(1).var(ddof=1)) - within / finders
    return VarianceSplit(_solved(between - prompts.variance if shared_prompts else between, prompts), finder, prompts)


def _prompts(variances: Float[NDArray[np.float64], "training finder"] | None) -> Component:
    if variances is None or not variances.size or not np.isfinite(variances).all():
        return Component(math.nan, "what other prompts would change is not known")
    return Component(float(variances.mean()))


def _solved(variance: float, prompts: Component) -> Component:
    """A solution of the equations, unless the part of the prompts that is in it is unknown or it is negative."""
    if math.isnan(variance):
        return Component(math.nan, prompts.reason)
    if variance < 0:
        return Component(0.0, f"the estimate is {variance:.2g}, below what the other parts explain; taken as 0")
    return Component(variance)
