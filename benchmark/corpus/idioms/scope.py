"""The state shared by the generators of statements: randomness, the document's quote, and the names bound so far."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from benchmark.corpus.idioms.words import ADJECTIVES, COPIED, NOUNS, PLURALS, VERBS

Drawn = TypeVar("Drawn")
Lines = list[str]
"""Lines of source without newlines, indented relative to their block."""

SINGULARS = {plural: plural[:-1] for plural in PLURALS}
NUMBERS = (*range(10), *range(10), *range(10), 10, 12, 16, 20, 50, 100)


@dataclass(slots=True)
class Scope:
    """The scope of a block of code."""

    random: Random
    """The source of all randomness."""
    quote: str | None
    """The quote of the document's strings; `None` draws one per string."""
    words: list[str]
    """The few nouns of which most names in the document are made."""
    names: list[str]
    """Names bound so far."""
    returns: bool
    """Whether `return` is allowed here."""
    chance: Callable[[], float] = field(init=False)
    """Draws a number from 0 to 1."""

    def __post_init__(self) -> None:
        self.chance = self.random.random

    def inner(self, names: list[str]) -> "Scope":
        """The scope of a function's body."""
        return Scope(self.random, self.quote, self.words, names, returns=True)

    def pick(self, items: tuple[Drawn, ...] | list[Drawn]) -> Drawn:
        """One of the items, all equally likely."""
        return items[int(self.chance() * len(items))]

    def noun(self) -> str:
        """A name of one word, usually one of the document's own."""
        return self.pick(self.words) if self.chance() < 0.8 else self.pick(NOUNS)

    def name(self) -> str:
        """A name of one word, sometimes of two."""
        return self.noun() if self.chance() < 0.85 else f"{self.noun()}_{self.noun()}"

    def bind(self) -> str:
        """A new name, known from now on."""
        name = self.name()
        self.names.append(name)
        return name

    def known(self) -> str:
        """Usually a name bound earlier, if there is one."""
        return self.pick(self.names) if self.names and self.chance() < 0.8 else self.noun()

    def fields(self, count: int) -> list[str]:
        """At most that many distinct names, most of them names that tasks copy."""
        drawn = [self.pick(COPIED if self.chance() < 0.8 else NOUNS) for _ in range(count)]
        return list(dict.fromkeys(drawn))

    def pair(self) -> tuple[str, str]:
        """Two distinct names that the next lines copy; sometimes nouns of any kind."""
        first, second = self.random.sample(COPIED if self.chance() < 0.7 else NOUNS, 2)
        return first, second

    def plural(self) -> str:
        """The name of something to loop over."""
        return self.pick(PLURALS)

    def function(self) -> str:
        """The name of a function: a verb, a verb and a noun, or a noun."""
        chance = self.chance()
        if chance < 0.3:
            return self.pick(VERBS)
        return f"{self.pick(VERBS)}_{self.noun()}" if chance < 0.7 else self.noun()

    def number(self) -> str:
        """A small whole number."""
        return str(self.pick(NUMBERS))

    def phrase(self) -> str:
        """One to four words."""
        words = [self.noun() for _ in range(1 + int(self.chance() * 3))]
        if self.chance() < 0.4:
            words.append(self.pick(ADJECTIVES))
        return " ".join(words)

    def mark(self) -> str:
        """A quote character."""
        return self.quote or ("'" if self.chance() < 0.5 else '"')

    def string(self) -> str:
        """A string literal of some words."""
        mark = self.mark()
        return f"{mark}{self.phrase()}{mark}"

    def short_string(self) -> str:
        """A string literal of one word."""
        mark = self.mark()
        return f"{mark}{self.noun()}{mark}"
