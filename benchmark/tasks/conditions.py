"""Tasks about conditions and what looks like them."""

from random import Random

from benchmark.tasks import Pair, Split
from benchmark.tasks.drawing import chosen, pair


def else_elif(random: Random, split: Split) -> Pair:
    r"""A name after `elif` is a condition, after a ternary's `else` a value.

    Read literally the cause, `elif` or `else`, would be the last token: asked one token later.

    `if page:\n    size = 3\nelif word` -> `:\n`
    `if page:\n    size = row if line else word` -> `\n`
    """
    finding = (
        ("${context}if $a:\n    $b = $number1\nelif $c", "${context}if $a:\n    $b = $d if $e else $c"),
        ("if $a == $number:\n    $b = $number1\nelif $c", "if $a == $number:\n    $b = $d if $e else $c"),
    )
    testing = (
        (
            "def $verb($a):\n    if $b:\n        return $d\n    elif $c",
            "def $verb($a):\n    if $b:\n        return $d if $e else $c",
        ),
    )
    form = random.choice(chosen(split, finding, testing))
    return pair(random, split, form, (":\n", "\n"), ("    ", "x"))


def if_ternary(random: Random, split: Split) -> Pair:
    r"""A condition that opens a block or stands in a ternary.

    `size = row\nif page` -> `:\n`
    `size = 3 if page` -> ` else`
    """
    finding = (("${context}$b = $c\nif $a", "${context}$b = $number if $a"),)
    testing = (
        ("while $d:\n    $b = $c\nif $a", "while $d:\n    $b = $number if $a"),
        ("def $verb($d):\n    $b = $c\nif $a", "def $verb($d):\n    $b = $number if $a"),
    )
    form = random.choice(chosen(split, finding, testing))
    return pair(random, split, form, (":\n", " else"), ("    ", " x"))


def if_equals(random: Random, split: Split) -> Pair:
    r"""A name after `if` is compared, at the start of a line assigned.

    `while page:\n    size = 3\nif word` -> ` ==`
    `while page:\n    size = 3\n    word` -> ` =`
    """
    finding = (
        ("while $a:\n    $b = $number\nif $c", "while $a:\n    $b = $number\n    $c"),
        ("for $a in $plural:\n    $b = $number\nif $c", "for $a in $plural:\n    $b = $number\n    $c"),
    )
    testing = (
        ("def $verb($a):\n    $b += $number\nif $c", "def $verb($a):\n    $b += $number\n    $c"),
        ("for $a in $plural:\n    $verb($b)\nif $c", "for $a in $plural:\n    $verb($b)\n    $c"),
    )
    form = random.choice(chosen(split, finding, testing))
    return pair(random, split, form, (" ==", " ="), (" x", " x"))


def var_if(random: Random, split: Split) -> Pair:
    r"""`True` that is compared with ends a condition, assigned it ends a line.

    `while page:\n    size = 3\nif word == True` -> `:\n`
    `while page:\n    size = 3\n    word = True` -> `\n`
    """
    finding = (
        ("while $a:\n    $b = $number\nif $c == True", "while $a:\n    $b = $number\n    $c = True"),
        ("for $a in $plural:\n    $b = $number\nif $c == True", "for $a in $plural:\n    $b = $number\n    $c = True"),
    )
    testing = (
        ("def $verb($a):\n    $b += $number\nif $c == True", "def $verb($a):\n    $b += $number\n    $c = True"),
        ("for $a in $plural:\n    $verb($b)\nif $c == True", "for $a in $plural:\n    $verb($b)\n    $c = True"),
    )
    form = random.choice(chosen(split, finding, testing))
    return pair(random, split, form, (":\n", "\n"), ("    ", "x"))
