"""Tasks about conditions and expressions that look like them."""

from random import Random

from benchmark.tasks import PromptPair, Split
from benchmark.tasks.drawing import chosen, framed, pair

_FINDING_BLOCKS = tuple(
    f"{head}:\n    {body}"
    for head in ("while $a", "for $a in $plural", "if $a", "if $a == $number2")
    for body in ("$b = $number", "$b = $d.$e", "$b = $verb($d)")
)
"""Blocks whose next line may or may not be indented."""


def else_elif(random: Random, split: Split) -> PromptPair:
    r"""A name after `elif` is a condition, after a ternary's `else` a value.

    The paper's description has the cause, `elif` or `else`, as the last token; here the prompt ends one token later.

    `if page:\n    size = 3\nelif word` -> `:\n`
    `if page:\n    size = row if line else word` -> `\n`
    """
    branches = (
        ("if $a:\n    $b = $number1\nelif $c", "if $a:\n    $b = $d if $e else $c"),
        ("if $a == $number:\n    $b = $number1\nelif $c", "if $a == $number:\n    $b = $d if $e else $c"),
        ("if $a:\n    $verb($b)\nelif $c", "if $a:\n    $b = $d if $e else $c"),
    )
    finding = framed(branches, ("top", "for", "while"))
    testing = (
        (
            "def $verb($a):\n    if $b:\n        return $d\n    elif $c",
            "def $verb($a):\n    if $b:\n        return $d if $e else $c",
        ),
    )
    return pair(random, split, chosen(random, split, finding, testing), (":\n", "\n"), ("    ", "x"))


def if_ternary(random: Random, split: Split) -> PromptPair:
    r"""A condition either opens a block or is part of a ternary.

    `size = row\nif page` -> `:\n`
    `size = 3 if page` -> ` else`
    """
    conditions = (("$b = $c\nif $a", "$b = $number if $a"), ("$verb($c)\nif $a", "$b = $c if $a"))
    finding = framed(conditions, ("top", "for"))
    testing = (
        ("while $d:\n    $b = $c\nif $a", "while $d:\n    $b = $number if $a"),
        ("def $verb($d):\n    $b = $c\nif $a", "def $verb($d):\n    $b = $number if $a"),
    )
    return pair(random, split, chosen(random, split, finding, testing), (":\n", " else"), ("    ", " x"))


def if_equals(random: Random, split: Split) -> PromptPair:
    r"""A name after `if` is compared, one at the start of a line assigned.

    `while page:\n    size = 3\nif word` -> ` ==`
    `while page:\n    size = 3\n    word` -> ` =`
    """
    finding = tuple((f"{block}\nif $c", f"{block}\n    $c") for block in _FINDING_BLOCKS)
    testing = (
        ("def $verb($a):\n    $b += $number\nif $c", "def $verb($a):\n    $b += $number\n    $c"),
        ("for $a in $plural:\n    $verb($b)\nif $c", "for $a in $plural:\n    $verb($b)\n    $c"),
    )
    return pair(random, split, chosen(random, split, finding, testing), (" ==", " ="), (" x", " x"))


def var_if(random: Random, split: Split) -> PromptPair:
    r"""`True` ends a condition if it is compared with, and a line if it is assigned.

    `while page:\n    size = 3\nif word == True` -> `:\n`
    `while page:\n    size = 3\n    word = True` -> `\n`
    """
    finding = tuple((f"{block}\nif $c == True", f"{block}\n    $c = True") for block in _FINDING_BLOCKS)
    testing = (
        ("def $verb($a):\n    $b += $number\nif $c == True", "def $verb($a):\n    $b += $number\n    $c = True"),
        ("for $a in $plural:\n    $verb($b)\nif $c == True", "for $a in $plural:\n    $verb($b)\n    $c = True"),
    )
    return pair(random, split, chosen(random, split, finding, testing), (":\n", "\n"), ("    ", "x"))
