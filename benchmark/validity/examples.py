"""Examples of a node's bands as source lines with the token marked, for people to look at."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Integer

PER_BAND = 5
"""Examples shown of each band."""

WIDTH = 60
"""Characters shown of a line, at most, on either side of the token."""

MARKS = ("⟦", "⟧")
"""What stands around the token."""

Decode = Callable[[Sequence[int]], str]


def banded_examples(
    rescaled: Float[np.ndarray, "window position"],
    holds: Bool[np.ndarray, "window position"],
    bands: Mapping[str, tuple[float, float]],
    line: Callable[[int, int], str],
    generator: np.random.Generator,
) -> dict[str, list[str]]:
    """Some lines of each band: the highest of the highest band, any of the others; of the last where the concept holds.

    Activations are rescaled, bands go from high to zero; `line` gives the marked line of a window and position.
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
    """The line of source that a token stands in, the token marked, its line end shown as written."""
    texts = [decode([int(token)]) for token in tokens]
    begin = position
    while begin > 0 and "\n" not in texts[begin - 1]:
        begin -= 1
    end = position + 1
    while end < len(texts) and "\n" not in texts[end - 1]:
        end += 1
    before = decode(tokens[begin:position].tolist())[-WIDTH:]
    after = decode(tokens[position + 1 : end].tolist())[:WIDTH]
    marked = f"{MARKS[0]}{texts[position]}{MARKS[1]}"
    return f"{before}{marked}{after}".rstrip("\n").replace("\n", "\\n")
