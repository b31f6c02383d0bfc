"""Fills the templates of a form with the identifiers of its split."""

from collections.abc import Mapping, Sequence
from random import Random
from string import Template

from benchmark.corpus.config import SPLITS, Split
from benchmark.corpus.idioms.words import (
    CLASSES,
    COPIED,
    NOUNS,
    PLURALS,
    READ_FILES,
    VERBS,
    WRITTEN_FILES,
    split_words,
)
from benchmark.tasks.forms import Form, PromptPair

Words = Mapping[Split, Sequence[str]]
"""What a placeholder can draw, by split."""

_NOUNS = split_words(tuple(word for word in NOUNS if word not in COPIED and word != "current"))
_NUMBERS = tuple("0123456789")

DRAWN: Mapping[str, Mapping[str, Sequence[str]]] = {
    "number": dict.fromkeys(SPLITS, _NUMBERS),
    "verb": split_words(VERBS),
    "plural": split_words(PLURALS),
    "class": split_words(CLASSES),
    "read": split_words(READ_FILES),
    "write": split_words(WRITTEN_FILES),
}
"""What placeholders draw, apart from nouns and names to copy."""

COPIES = ("x", "y", "z")
"""Placeholders for a name that an answer copies. As they are answers, all splits draw the same ones: small models know
each of these names, and do not copy names in general."""

UNRELATED: Mapping[Split, Sequence[str]] = {
    "train": ("$w = $number8\n", "import $w\n", "$w = $v\n", "$w = $v + $number8\n", "$w = $verb8($v)\n"),
    "validation": ("$w = $number8\n", "$w = $v\n", "from $w import $v\n", "$w += $v\n", "$v.$verb8()\n"),
    "test": ("$w -= $number8\n", "$verb8($w)\n", "$w = $v.$u\n", "$w = len($v)\n", "$w = $v * $u\n"),
}
"""Lines before a prompt that are unrelated to its answer."""


def draw(form: Form, random: Random, words: Mapping[str, Words] | None = None, *, unrelated: bool = True) -> PromptPair:
    """A pair of a form in one of its frames, after zero or one unrelated line, with all placeholders filled.

    Of a form whose pairs are listed, one of these as it is.

    Args:
        form: Any form.
        random: The source of all randomness.
        words: What further placeholders draw.
        unrelated: Whether there may be an unrelated line.
    """
    if form.listed:
        return random.choice(form.listed)
    names = _Names(random, form.split, words or {})
    frame = random.choice(form.frames)
    before = random.choice(("", *UNRELATED[form.split])) if unrelated else ""
    blank = "\n\n" if before and form.framed(frame)[0].startswith(("def ", "async def ", "class ")) else ""
    first, second = (Template(before + blank + template).substitute(names) for template in form.framed(frame))
    answers, continuations = (
        (Template(one).substitute(names), Template(other).substitute(names))
        for one, other in (form.answers, form.continuations)
    )
    return PromptPair((first, second), answers, continuations, form.name, frame)


def line_of(random: Random, split: Split) -> str:
    """A line unrelated to the answer."""
    return Template(random.choice(UNRELATED[split])).substitute(_Names(random, split, {}))


def noun_of(random: Random, split: Split) -> str:
    """A noun of a split."""
    return random.choice(_NOUNS[split])


class _Names(dict[str, str]):
    """Draws the value of a placeholder when it is first used."""

    def __init__(self, random: Random, split: Split, words: Mapping[str, Words]) -> None:
        super().__init__()
        self._random = random
        self._split: Split = split
        self._words = words
        self._nouns = random.sample(_NOUNS[split], 14)
        self._copied = random.sample(COPIED, len(COPIES))

    def __missing__(self, placeholder: str) -> str:
        kind = placeholder.rstrip("0123456789")
        if kind in self._words:
            drawn = self._random.choice(self._words[kind][self._split])
        elif kind in DRAWN:
            drawn = self._random.choice(DRAWN[kind][self._split])
        else:
            drawn = (self._copied if kind in COPIES else self._nouns).pop()
        self[placeholder] = drawn
        return drawn
