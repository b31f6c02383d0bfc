"""Variance components of a score: the training seed, the seed of circuit discovery, and the sample of prompts."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray


class Component(NamedTuple):
    """A variance component: at least 0, or `nan`; the reason says why it is `nan`, or why it was set to 0."""

    variance: float
    reason: str = ""


class VarianceSplit(NamedTuple):
    """The components of a score's variance, each in the score's unit squared.

    Attributes:
        training: Between training seeds.
        finder: Between seeds of the finder, within one trained model.
        prompts: Between samples of prompts, within one circuit; the mean over circuits.
    """

    training: Component
    finder: Component
    prompts: Component


def variance_split(
    values: Float[NDArray[np.float64], "training finder"],
    prompt_variances: Float[NDArray[np.float64], "training finder"],
) -> VarianceSplit:
    """Split the variance of a score by the method of moments, on balanced data.

    The model has nested random effects: value[i, j] = mean + training[i] + finder[i, j] + prompts[i], with the
    variances T, F and P. All circuits of one trained model are scored on the same prompts, and their scores are assumed
    to respond alike. With k finder seeds the expected mean squares are then

        within training seeds    F
        between training seeds   k (T + P) + F

    They are solved for T and F, with P from resampling prompts (Searle, Casella and McCulloch 1992, Variance
    Components, chapter 3). A solution below 0, common with little data, is set to 0 and says so.

    Args:
        values: One score (for sizes, its log) per training seed and finder seed.
        prompt_variances: The variance of each over resampled prompts; `nan` if unknown.

    Raises:
        ValueError: If a variance over prompts is negative.
    """
    if (prompt_variances < 0).any():
        raise ValueError(f"a variance over prompts is negative: {prompt_variances.min():g}")
    prompts = Component(math.nan, "the variance over prompts is not known")
    if prompt_variances.size and np.isfinite(prompt_variances).all():
        prompts = Component(float(prompt_variances.mean()))
    if not values.size or not np.isfinite(values).all():
        unknown = Component(math.nan, "a score is missing")
        return VarianceSplit(unknown, unknown, prompts)
    seeds, finders = values.shape
    if finders < 2:
        why = "one training seed" if seeds < 2 else "one finder seed: its part cannot be told from the training seed's"
        return VarianceSplit(Component(math.nan, why), Component(math.nan, "one finder seed"), prompts)
    within = float(values.var(axis=1, ddof=1).mean())
    if seeds < 2:
        return VarianceSplit(Component(math.nan, "one training seed"), Component(within), prompts)
    variance = float(values.mean(1).var(ddof=1)) - within / finders - prompts.variance
    training = Component(variance, prompts.reason)
    if variance < 0:
        training = Component(0.0, f"the estimate is {variance:.2g}, below what the other parts explain; taken as 0")
    return VarianceSplit(training, Component(within), prompts)
