"""A seeded generator of plain, repetitive Python in which the cause and the answer of every task occur."""

from random import Random

from benchmark.corpus.idioms.blocks import statement
from benchmark.corpus.idioms.definitions import accumulating_function, class_definition, function, swapping_function
from benchmark.corpus.idioms.scope import Lines, Scope
from benchmark.corpus.idioms.words import COPIED, NOUNS

__all__ = ["document"]

ABOUT = 4
"""Number of names that tasks copy, and of nouns of any kind, from which most names of a document are made."""


def script(scope: Scope) -> Lines:
    """A few statements at the top level."""
    lines: Lines = []
    for _ in range(1 + int(scope.chance() * 4)):
        lines += statement(scope, 0)
    return lines


def imported(scope: Scope) -> str:
    """`import size`, `from size import row`."""
    return f"import {scope.noun()}" if scope.chance() < 0.6 else f"from {scope.noun()} import {scope.noun()}"


SECTIONS = (
    *6 * (script,),
    *3 * (function,),
    *2 * (swapping_function,),
    *2 * (accumulating_function,),
    *4 * (class_definition,),
)
"""Every kind of section, repeated by its weight."""


def document(random: Random) -> str:
    """One document, the same for the same state of `random`: one to three sections of plain Python that parses.

    Returns:
        Source text that ends in a newline, about 20 to 250 tokens long.
    """
    quote = random.choice(('"', "'", '"', "'", None))
    scope = Scope(random, quote, random.sample(COPIED, ABOUT) + random.sample(NOUNS, ABOUT), [], returns=False)
    sections: list[Lines] = []
    if random.random() < 0.15:
        sections.append([imported(scope) for _ in range(1 + int(random.random() * 2))])
    for _ in range(1 + int(random.random() * 3)):
        sections.append(scope.pick(SECTIONS)(scope))
    return "\n\n\n".join("\n".join(lines) for lines in sections) + "\n"
