"""Examples from each band of a node's activations: source lines with the token marked, for people to read."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Integer

PER_BAND = 5
"""Number of examples per band."""

WIDTH = 60
"""Maximum number of characters of the line on either side of the token."""

Decode = Callable[[Sequence[int]], str]


def banded_examples(
    rescaled: Float[np.ndarray, "window position"],
    holds: Bool[np.ndarray, "window position"],
    bands: Mapping[str, tuple[float, float]],
    line: Callable[[int, int], str],
    generator: np.random.Generator,
) -> dict[str, list[str]]:
    """Some lines from each band: the top activations of the first band, random positions of the others.

    Bands of the rescaled activation go from high to zero; from the last, only positions where the concept holds are
    shown. `line` returns the marked line at a window and position.
    """
    found = {}
    first, *_, last = bands
    for name, (low, high) in bands.items():
        chosen = (rescaled > low) & (rescaled <= high) & (holds | (name != last))
        places = np.argwhere(chosen)
        highest = np.argsort(-rescaled[chosen], kind="stable")
        order = highest if name == first else generator.permutation(len(places))
        found[name] = [line(*map(int, places[index])) for index in order[:PER_BAND]]
    return found


def marked_line(tokens: Integer[np.ndarray, " position"], position: int, decode: Decode) -> str:
    """The source line that contains a token, with the token marked and a line break in it escaped."""
    texts = [decode([int(token)]) for token in tokens]
    begin = position
    while begin > 0 and "\n" not in texts[begin - 1]:
        begin -= 1
    end = position + 1
    while end < len(texts) and "\n" not in texts[end - 1]:
        end += 1
    before = decode(tokens[begin:position].tolist())[-WIDTH:]
    after = decode(tokens[position + 1 : end].tolist())[:WIDTH]
    return f"{before}⟦{texts[position]}⟧{after}".rstrip("\n").replace("\n", "\\n")
