"""Fill the templates of a task with the identifiers of a split."""

from collections.abc import Sequence
from random import Random
from string import Template

from benchmark.corpus.idioms.words import COPIED, NOUNS, PLURALS, VERBS, split_words
from benchmark.tasks import PromptPair, Split

_NOUNS = split_words(tuple(word for word in NOUNS if word not in COPIED and word != "current"))
_COPIED = split_words(COPIED)
_VERBS = split_words(VERBS)
_PLURALS = split_words(PLURALS)
_NUMBERS = tuple("0123456789")

FINDING_CONTEXT = ("$w = $number\n", "import $w\n", "$w = $v\n", "$w = $v + $number\n", "$w = $verb($v)\n")
TESTING_CONTEXT = ("$w -= $number\n", "$verb($w)\n", "$w = $v.$u\n", "$w = len($v)\n", "$w = $v * $u\n")
"""Lines that stand before a prompt and have nothing to do with its answer."""

FRAMES = {
    "top": "",
    "def": "def $verb9($p):\n    ",
    "for": "for $p in $plural9:\n    ",
    "while": "while $p:\n    ",
    "if": "if $p == $number9:\n    ",
}
"""What may stand around a form: nothing, or the head of a block."""

Form = tuple[str, str]
"""The templates of a pair's two prompts, which share what is drawn. `$verb`, `$plural` and `$number` (with any digit
behind) draw one of these; `${context}` draws no line or one, `${pad}` the same but for each prompt apart; every
other placeholder draws a noun, no noun twice."""


def chosen(random: Random, split: Split, finding: Sequence[Form], testing: Sequence[Form]) -> Form:
    """A form of a split: circuits are found on some forms and tested on others."""
    return random.choice(testing if split == "test" else finding)


def framed(forms: Sequence[Form], frames: Sequence[str], before: str = "${context}") -> tuple[Form, ...]:
    """Each form in each frame, so that a circuit has to do the task wherever it stands.

    Args:
        forms: As they stand at the top level.
        frames: Names of `FRAMES`.
        before: What stands before the frame: `${context}`, or `${pad}` where the two prompts are not equally long.
    """
    heads = [(before + FRAMES[frame], "\n    " if FRAMES[frame] else "\n") for frame in frames]
    return tuple(
        (head + first.replace("\n", line), head + second.replace("\n", line))
        for first, second in forms
        for head, line in heads
    )


def copied_names(random: Random, split: Split, count: int) -> list[str]:
    """Different names for an answer to copy."""
    return random.sample(_COPIED[split], count)


def words_of(random: Random, split: Split, words: tuple[str, ...]) -> str:
    """One of a split's share of the words."""
    return random.choice(split_words(words)[split])


def context(random: Random, split: Split) -> str:
    """No line or one that have nothing to do with the answer."""
    return "".join(line_of(random, split) for _ in range(random.choice((0, 1, 1))))


def line_of(random: Random, split: Split) -> str:
    """A line that has nothing to do with the answer."""
    lines = TESTING_CONTEXT if split == "test" else FINDING_CONTEXT
    return Template(random.choice(lines)).substitute(_Names(random, split))


def noun_of(random: Random, split: Split) -> str:
    """A noun of a split."""
    return random.choice(_NOUNS[split])


class _Names(dict[str, str]):
    """Draws what a placeholder asks for when it is first met."""

    def __init__(self, random: Random, split: Split, **given: str) -> None:
        super().__init__(given)
        self._random = random
        self._split = split
        self._nouns = random.sample(_NOUNS[split], 12)

    def __missing__(self, placeholder: str) -> str:
        kind = placeholder.rstrip("0123456789")
        if kind == "number":
            drawn = self._random.choice(_NUMBERS)
        elif kind in ("verb", "plural"):
            drawn = self._random.choice((_VERBS if kind == "verb" else _PLURALS)[self._split])
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
    """A form with its placeholders filled.

    Args:
        random: Where all chance comes from.
        split: Whose identifiers to use.
        form: The two templates.
        answers: What follows them.
        continuations: What typically follows the answers.
        **given: Placeholders with a text of the task's own.
    """
    names = _Names(random, split, **given)
    first, second = (
        Template(template.replace("${pad}", context(random, split))).substitute(names) for template in form
    )
    return PromptPair((first, second), answers, continuations)
