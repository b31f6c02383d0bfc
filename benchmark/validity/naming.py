"""Names every node as a person would, by its top-activating examples."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from benchmark.concepts import CONCEPTS
from benchmark.interventions.replacement import Node
from benchmark.validity.choice import Choice
from benchmark.validity.name_verdicts import NAMED

FEWEST_TOP = 5
"""Positions below which nobody would name a node."""

COMMON = 0.5
"""Rate above which a concept names nothing: top positions at which it holds are like most others."""

LOOKED_AT = 20
"""Times k positions are looked through for k different lines."""


@dataclass(frozen=True)
class Name:
    """A node that gets a name from its top-activating examples.

    Attributes:
        sign: Of the tail that people look at, the longer one.
        concept: The name: the concept with the highest top-k precision.
        precision: Top-k precision of that concept on the choice split.
    """

    node: Node
    sign: int
    concept: str
    precision: float


def named_nodes(choice: Choice, k: int) -> list[Name]:
    """All nodes of units that get a name.

    The name is the concept with the largest share of a node's top positions, at most one on each line: the top k, or
    half as many as the concept has if those are fewer. If several tie, it is the simplest, as people would say "dogs"
    before "dogs on jetskis", and then the rarest. A concept that holds at most positions is not a name.
    """
    if not choice.concepts:
        return []
    rates = choice.holds.mean(axis=1)
    counts = np.where(rates > COMMON, 0, np.minimum(k, choice.holds.sum(axis=1) // 2))
    conjunctions = [name in CONCEPTS and len(CONCEPTS[name].parts) > 1 for name in choice.concepts]
    found = []
    for site in choice.units():
        for index, column in enumerate(choice.values[site.name].T):
            sign = _longer_tail(column)
            if not sign:
                continue
            top = _top_positions(sign * column, choice.sample.flat_lines, k)
            held = np.cumsum(choice.holds[:, top], axis=1)
            used = np.minimum(counts, len(top))
            shares = np.where(used >= FEWEST_TOP, held[np.arange(len(used)), used - 1] / np.maximum(used, 1), 0.0)
            best = min(range(len(shares)), key=lambda row: (-shares[row], conjunctions[row], rates[row]))
            if shares[best] >= NAMED:
                found.append(Name(Node(site.name, index), sign, choice.concepts[best], float(shares[best])))
    return found


def _longer_tail(values: Float[np.ndarray, " token"]) -> int:
    """The sign of the longer tail; 0 for a node with one value."""
    low, middle, high = np.quantile(values, [0.001, 0.5, 0.999])
    if low == high:
        return 0
    return 1 if high - middle >= middle - low else -1


def _top_positions(
    values: Float[np.ndarray, " token"], lines: Int[np.ndarray, " token"], k: int
) -> Int[np.ndarray, " top"]:
    """The k highest positions on as many lines, the highest first; fewer if that many of the highest have fewer."""
    count = min(len(values), LOOKED_AT * k)
    highest = np.argpartition(-values, count - 1)[:count]
    highest = highest[np.lexsort((highest, -values[highest]))]
    first = np.unique(lines[highest], return_index=True)[1]
    return highest[np.sort(first)[:k]]
