"""Examples from each band of a node's activations: source lines with the token marked, for people to read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer

from benchmark.metrics import band_purity
from benchmark.validity.scoring import LOW, MIDDLE, ZERO

PER_BAND = 5
"""Number of examples per band."""

BEFORE, AFTER = 36, 20
"""Maximum numbers of characters of the line before and after the token, so that an example fits into 80 columns."""

Decode = Callable[[Sequence[int]], str]


BANDS: Mapping[str, tuple[float, float]] = {
    "high": (MIDDLE, np.inf),
    "middle": (LOW, MIDDLE),
    "low": (ZERO, LOW),
    "zero": (-np.inf, ZERO),
}
"""Lower and upper limits of the bands of a rescaled activation."""


def band_purities(rescaled: Float[np.ndarray, " token"], labels: Integer[np.ndarray, " token"]) -> dict[str, float]:
    """Share of the positions of each band at which a concept holds; `nan` for an empty band."""
    return {name: band_purity(rescaled, labels, *ends) for name, ends in BANDS.items()}


@dataclass(frozen=True, eq=False)
class Examples:
    """Lines of a sample from each band of a node's activations.

    Attributes:
        tokens: Tokens of the sample.
        decode: Text of some tokens.
        generator: Source of the positions that are shown.
    """

    tokens: Integer[np.ndarray, "window position"]
    decode: Decode
    generator: np.random.Generator

    def of(
        self, rescaled: Float[np.ndarray, "window position"], holds: Bool[np.ndarray, "window position"]
    ) -> dict[str, list[str]]:
        """Marked lines by band: the top activations of the first band, random positions of the others.

        From the zero band, only positions where the concept holds are shown.
        """
        found = {}
        for name, (low, high) in BANDS.items():
            chosen = (rescaled > low) & (rescaled <= high) & (holds | (name != "zero"))
            places = np.argwhere(chosen)
            highest = np.argsort(-rescaled[chosen], kind="stable")
            order = highest if name == "high" else self.generator.permutation(len(places))
            shown = (map(int, places[index]) for index in order[:PER_BAND])
            found[name] = [marked_line(self.tokens[window], position, self.decode) for window, position in shown]
        return found


def marked_line(tokens: Integer[np.ndarray, " position"], position: int, decode: Decode) -> str:
    """The source line that contains a token, with the token marked and a line break in it escaped."""

    def text(at: int) -> str:
        return decode([int(tokens[at])])

    begin = position
    while begin > 0 and "\n" not in text(begin - 1):
        begin -= 1
    end = position + 1
    while end < len(tokens) and "\n" not in text(end - 1):
        end += 1
    before = decode(tokens[begin:position].tolist())[-BEFORE:]
    after = decode(tokens[position + 1 : end].tolist())[:AFTER]
    return f"{before}⟦{text(position)}⟧{after}".rstrip("\n").replace("\n", "\\n")
