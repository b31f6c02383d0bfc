"""Tasks about the value bound to a name."""

from random import Random

from benchmark.tasks import PromptPair, Split
from benchmark.tasks.drawing import Form, chosen, framed, pair

_FINDING: tuple[Form, ...] = framed(
    (
        ("$name = set($a)\nfor $b in $plural:\n    $name", '$name = "$a"\nfor $b in $plural:\n    $name'),
        ("$name = set($a)\n$name", '$name = "$a"\n$name'),
        ("$name = set($a)\nif $b:\n    $name", '$name = "$a"\nif $b:\n    $name'),
    ),
    ("top", "def"),
)
_TESTING: tuple[Form, ...] = (
    ("$name = set($a)\nwhile $b:\n    $name", '$name = "$a"\nwhile $b:\n    $name'),
    (
        "$name = set($a)\nfor $b in $plural:\n    if $c == $number:\n        $name",
        '$name = "$a"\nfor $b in $plural:\n    if $c == $number:\n        $name',
    ),
)
_ANSWERS = (".add", " +=")
_CONTINUATIONS = ("(x", " x")


def set_or_string(random: Random, split: Split) -> PromptPair:
    r"""A set is added to, a string appended to.

    `seen = set(page)\nfor line in lines:\n    seen` -> `.add`
    `seen = "page"\nfor line in lines:\n    seen` -> ` +=`
    """
    return pair(random, split, chosen(random, split, _FINDING, _TESTING), _ANSWERS, _CONTINUATIONS)


def set_or_string_fixedvarname(random: Random, split: Split) -> PromptPair:
    r"""The same, but the name is always `current`.

    `current = set(page)\nfor line in lines:\n    current` -> `.add`
    `current = "page"\nfor line in lines:\n    current` -> ` +=`
    """
    return pair(random, split, chosen(random, split, _FINDING, _TESTING), _ANSWERS, _CONTINUATIONS, name="current")
