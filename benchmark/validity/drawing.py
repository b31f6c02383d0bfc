"""Draws windows with a probability that grows with how far a node is from what replaces it, and weights them back.

A concept that holds at one position in a hundred is in few windows, and replacing its node changes the losses of those
alone. Windows are therefore drawn independently of each other, each with its own probability (Poisson sampling), and
what is measured in a window counts one over that probability (Horvitz and Thompson 1952), so that the mean over all
windows is estimated without bias whatever the probabilities are. All windows, drawn or not, are resampled for an
interval, so that it covers the choice of windows as well as that of the text.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

UNIFORM = 0.15
"""Share of the windows that are drawn wherever the node does nothing: what is measured there may still differ."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Windows drawn from a sample.

    Attributes:
        windows: Numbers of the windows that were drawn, ascending.
        probability: Of every window of the sample, that of being drawn.
    """

    windows: Int[np.ndarray, " drawn"]
    probability: Float[np.ndarray, " window"]

    def weighted(self, measured: Float[np.ndarray, "*change drawn"]) -> Float[np.ndarray, "*change window"]:
        """What every window contributes to the mean over all of them: 0 if it was not drawn."""
        found = np.zeros((*measured.shape[:-1], len(self.probability)))
        found[..., self.windows] = measured / self.probability[self.windows]
        return found

    def error(self, measured: Float[np.ndarray, " drawn"]) -> float:
        """Standard error of the mean over all windows that comes from drawing them, estimated without bias."""
        probability = self.probability[self.windows]
        variance = ((1 - probability) * (measured / probability) ** 2).sum()
        return float(np.sqrt(variance)) / len(self.probability)

    def thinned(self, share: float | int, generator: np.random.Generator) -> "Drawn":
        """A part of these windows, each with the same probability."""
        kept = self.windows[generator.random(len(self.windows)) < share]
        return Drawn(kept, self.probability * share)


def draw(energy: Float[np.ndarray, " window"], expected: float | int, generator: np.random.Generator) -> Drawn:
    """Draw windows in proportion to an energy.

    Args:
        energy: Of each window, at least 0: by how much what is measured there may differ from 0.
        expected: Expected number of windows; all are drawn if there are no more.
        generator: Source of the draws.
    """
    probability = probabilities(energy, expected)
    return Drawn(np.flatnonzero(generator.random(len(energy)) < probability), probability)


def probabilities(energy: Float[np.ndarray, " window"], expected: float | int) -> Float[np.ndarray, " window"]:
    """Probabilities of the windows, in proportion to a mixture of their energy and a uniform share, at most 1."""
    count = len(energy)
    if expected >= count:
        return np.ones(count)
    total = float(energy.sum())
    mixture = np.full(count, 1 / count) if total <= 0 else UNIFORM / count + (1 - UNIFORM) * energy / total
    certain: Bool[np.ndarray, " window"] = np.zeros(count, dtype=np.bool_)
    while True:
        scale = (expected - certain.sum()) / mixture[~certain].sum()
        beyond = ~certain & (scale * mixture >= 1)
        if not beyond.any():
            return np.where(certain, 1.0, scale * mixture)
        certain |= beyond


def effective_size(contributions: Float[np.ndarray, " window"]) -> float:
    """Number of equally weighted windows that would tell as much (Kish 1965): (sum of |x|)^2 over the sum of x^2."""
    squares = float((contributions**2).sum())
    return float(np.abs(contributions).sum()) ** 2 / squares if squares else 0.0
