"""What else a node means: the concepts at its middle activations, where its name does not hold.

Neither its top-activating examples nor random ones show them: in superposition a node may be high for one property of
the text and at middle values for another.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from benchmark.metrics import middle_meaning
from benchmark.validity.choice import holding
from benchmark.validity.sample import Sample
from benchmark.validity.scoring import LOW, MIDDLE

FEWEST_MIDDLE = 20
"""Middle positions without the name, on either split, below which nothing is said of them."""

SHOWN = 3
"""Number of concepts that are shown."""


@dataclass(frozen=True)
class MiddleMeaning:
    """A concept at a node's middle activations where the node's name does not hold, on the score split.

    Attributes:
        share: How often it holds there.
        elsewhere: How often it holds wherever the name does not.
        gain: `middle_meaning`: (share - elsewhere) / (1 - elsewhere), 1 if it always holds there, 0 for chance.
    """

    concept: str
    share: float
    elsewhere: float
    gain: float


@dataclass(frozen=True, eq=False)
class Rescaled:
    """A node's rescaled activations on one split, with all windows concatenated."""

    sample: Sample
    values: Float[np.ndarray, " token"]


def middle_meanings(choice: Rescaled, score: Rescaled, name: str, concepts: Sequence[str]) -> list[MiddleMeaning]:
    """The concepts with the largest gain on the choice split, the largest first, with their gains on the score split.

    Empty only if there are too few middle positions at which the name does not hold.
    """
    if min(_middle(each, name).sum() for each in (choice, score)) < FEWEST_MIDDLE:
        return []
    chosen, measured = _measured(choice, name, concepts), _measured(score, name, concepts)
    gains = np.nan_to_num([each.gain for each in chosen], nan=-np.inf)
    order = [row for row in np.argsort(-gains, kind="stable") if concepts[row] != name]
    return [measured[row] for row in order if math.isfinite(measured[row].gain)][:SHOWN]


def _measured(here: Rescaled, name: str, concepts: Sequence[str]) -> list[MiddleMeaning]:
    named, middle = here.sample.flat(name), _middle(here, name)
    found = []
    for concept, holds in zip(concepts, holding(here.sample, concepts), strict=True):
        gain = middle_meaning(here.values, holds, named, LOW, MIDDLE)
        found.append(MiddleMeaning(concept, float(holds[middle].mean()), float(holds[named == 0].mean()), gain))
    return found


def _middle(here: Rescaled, name: str) -> Bool[np.ndarray, " token"]:
    found: Bool[np.ndarray, " token"] = (here.values > LOW) & (here.values <= MIDDLE) & (here.sample.flat(name) == 0)
    return found
