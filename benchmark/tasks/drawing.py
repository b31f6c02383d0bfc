"""Fills the templates of a task with the identifiers of a split."""

from collections.abc import Sequence
from random import Random
from string import Template

from benchmark.corpus.idioms.words import COPIED, NOUNS, PLURALS, VERBS, split_words
from benchmark.tasks import PromptPair, Split

_NOUNS = split_words(tuple(word for word in NOUNS if word not in COPIED and word != "current"))
_WORDS = {"verb": split_words(VERBS), "plural": split_words(PLURALS)}

FINDING_CONTEXT = ("$w = $number\n", "import $w\n", "$w = $v\n", "$w = $v + $number\n", "$w = $verb($v)\n")
TESTING_CONTEXT = ("$w -= $number\n", "$verb($w)\n", "$w = $v.$u\n", "$w = len($v)\n", "$w = $v * $u\n")
"""Lines before a prompt that are unrelated to its answer."""

FRAMES = {
    "top": "",
    "def": "def $verb9($p):\n    ",
    "for": "for $p in $plural9:\n    ",
    "while": "while $p:\n    ",
    "if": "if $p == $number9:\n    ",
}
"""The possible surroundings of a form: nothing, or the head of a block."""

Form = tuple[str, str]
"""The templates of the two prompts in a pair, which share all drawn words. `$verb`, `$plural` and `$number` (and the
same with a digit) draw one of these; `${context}` draws zero or one line, `${pad}` likewise but separately for each
prompt; every other placeholder draws a noun, no noun twice."""


def chosen(random: Random, split: Split, finding: Sequence[Form], testing: Sequence[Form]) -> Form:
    """A random form of a split: circuits are discovered on some forms and tested on others."""
    return random.choice(testing if split == "test" else finding)


def framed(forms: Sequence[Form], frames: Sequence[str], before: str = "${context}") -> tuple[Form, ...]:
    """Each form in each of the named `FRAMES`, so that a circuit has to do the task in every surrounding.

    Before the frame comes `${context}`, or `${pad}` if the two prompts differ in length.
    """
    heads = [(before + FRAMES[frame], "\n    " if FRAMES[frame] else "\n") for frame in frames]
    return tuple(
        (head + first.replace("\n", line), head + second.replace("\n", line))
        for first, second in forms
        for head, line in heads
    )


def copied_names(random: Random, split: Split, count: int) -> list[str]:
    """Distinct names for an answer to copy."""
    return random.sample(split_words(COPIED)[split], count)


def words_of(random: Random, split: Split, words: tuple[str, ...]) -> str:
    """One of the words that belong to a split."""
    return random.choice(split_words(words)[split])


def context(random: Random, split: Split) -> str:
    """Zero or one line unrelated to the answer."""
    return "".join(line_of(random, split) for _ in range(random.choice((0, 1, 1))))


def line_of(random: Random, split: Split) -> str:
    """A line unrelated to the answer."""
    lines = TESTING_CONTEXT if split == "test" else FINDING_CONTEXT
    return Template(random.choice(lines)).substitute(_Names(random, split))


def noun_of(random: Random, split: Split) -> str:
    """A noun of a split."""
    return random.choice(_NOUNS[split])


class _Names(dict[str, str]):
    """Draws the value of a placeholder when it is first used."""

    def __init__(self, random: Random, split: Split, **given: str) -> None:
        super().__init__(given)
        self._random = random
        self._split = split
        self._nouns = random.sample(_NOUNS[split], 12)

    def __missing__(self, placeholder: str) -> str:
        kind = placeholder.rstrip("0123456789")
        if kind == "number":
            drawn = self._random.choice("0123456789")
        elif kind in _WORDS:
            drawn = self._random.choice(_WORDS[kind][self._split])
        elif kind == "context":
            drawn = context(self._random, self._split)
        else:
            drawn = self._nouns.pop()
        self[placeholder] = drawn
        return drawn


def pair(
    random: Random,
    split: Split,
    form: Form,
    answers: tuple[str, str],
    continuations: tuple[str, str] = ("", ""),
    **given: str,
) -> PromptPair:
    """A form with its placeholders filled from the identifiers of a split, except for those that are given."""
    names = _Names(random, split, **given)
    first, second = (
        Template(template.replace("${pad}", context(random, split))).substitute(names) for template in form
    )
    return PromptPair((first, second), answers, continuations)
