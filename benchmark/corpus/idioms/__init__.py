"""Plain, repetitive Python from a seeded generator: the corpus in which every task's cause and answer occur."""

from random import Random

from benchmark.corpus.idioms.blocks import statement
from benchmark.corpus.idioms.definitions import accumulating_function, class_definition, function, swapping_function
from benchmark.corpus.idioms.scope import Lines, Scope
from benchmark.corpus.idioms.words import COPIED, NOUNS

__all__ = ["document"]

ABOUT = 4
"""Names that tasks copy, and as many nouns of any kind, that most names of a document are made of."""


def script(scope: Scope) -> Lines:
    """A few statements at the top level."""
    lines: Lines = []
    for _ in range(1 + int(scope.chance() * 4)):
        lines += statement(scope, 0)
    return lines


def imports(scope: Scope) -> Lines:
    """One or two `import` lines."""
    return [f"import {scope.noun()}" for _ in range(1 + int(scope.chance() * 2))]


SECTIONS = (
    *6 * (script,),
    *3 * (function,),
    *2 * (swapping_function,),
    *2 * (accumulating_function,),
    *4 * (class_definition,),
)
"""Every kind of section, as often as it is drawn."""


def document(random: Random) -> str:
    """One document: one to three sections of plain Python that parses.

    Args:
        random: Where all chance comes from; the same state gives the same document.

    Returns:
        Source text that ends in a newline, some 20 to 250 tokens long.
    """
    quote = random.choice(('"', "'", '"', "'", None))
    scope = Scope(random, quote, random.sample(COPIED, ABOUT) + random.sample(NOUNS, ABOUT), [], returns=False)
    sections = [imports(scope)] if random.random() < 0.15 else []
    for _ in range(1 + int(random.random() * 3)):
        sections.append(scope.pick(SECTIONS)(scope))
    return "\n\n\n".join("\n".join(lines) for lines in sections) + "\n"
