"""Conjunctions of two concepts, which the top-activating examples of either one hide ("dogs on jetskis")."""

from collections.abc import Callable, Collection
from functools import cache, lru_cache
from typing import Any

import numpy as np
from jaxtyping import Shaped

from benchmark.concepts import CONCEPTS
from benchmark.concepts.lexer import Labels
from benchmark.concepts.pairs import EXAMPLES


@lru_cache(maxsize=256)
def labels_of(
    function: Callable[[str], Collection[int]], text: str
) -> Shaped[np.ndarray, "..."]:  # unchecked: anybody's function
    """What a labelling function returns for a text; recent ones are cached, as conjunctions share their parts."""
    return np.asarray(function(text))


def both(first: str, second: str) -> Callable[[str], Labels]:
    """The labelling function of a concept that holds where two registered concepts, given by name, both hold.

    Raises:
        ValueError: There is no concept of that name.
    """
    parts = [CONCEPTS.named(name).function for name in (first, second)]

    def labels(text: str) -> Labels:
        held = [labels_of(part, text) > 0 for part in parts]
        return np.asarray(held[0] & held[1], dtype=np.int8)

    return labels


@cache
def __getattr__(name: str) -> Any:
    """The labelling function of a listed conjunction, as the registry names it: `in_string_and_in_call`."""
    if name not in EXAMPLES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    concept = CONCEPTS[name]
    labels = both(*concept.parts)
    lines = EXAMPLES[name].split("\n")
    digits = "".join(map(str, labels(EXAMPLES[name]).tolist()))
    starts = [sum(len(line) + 1 for line in lines[:index]) for index in range(len(lines))]
    shown = [f"    {line}\n    {digits[start : start + len(line)]}" for start, line in zip(starts, lines, strict=True)]
    labels.__doc__ = "\n".join([f"{concept.summary[0].upper()}{concept.summary[1:]}.", "", "Example:", *shown])
    return labels
