"""Tasks about loops."""

from random import Random

from benchmark.tasks import PromptPair, Split
from benchmark.tasks.drawing import chosen, framed, pair


def for_while(random: Random, split: Split) -> PromptPair:
    r"""A name after `for` is a variable, one after `while` a condition.

    `size = 3\nfor item` -> ` in`
    `size = 3\nwhile item` -> `:\n`
    """
    finding = framed((("for $a", "while $a"),), ("top", "def", "for", "while"))
    testing = (("if $b:\n    for $a", "if $b:\n    while $a"), ("$b = len($c)\nfor $a", "$b = len($c)\nwhile $a"))
    return pair(random, split, chosen(random, split, finding, testing), (" in", ":\n"), (" x", "    "))


def indent_for(random: Random, split: Split) -> PromptPair:
    r"""The body of a `for` is indented one level more than the `for`.

    `def load(path):\n    for item in items:\n` -> `       `
    `rows = load(path)\nfor item in items:\n` -> `   `
    """
    finding = (
        ("def $verb($a):\n    for $b in $plural:\n", "$c = $verb($a)\nfor $b in $plural:\n"),
        ("if $a:\n    for $b in $plural:\n", "$a = $c.$d\nfor $b in $plural:\n"),
    )
    testing = (("while $a:\n    for $b in $plural:\n", "$a = $c\nfor $b in $plural:\n"),)
    return pair(random, split, chosen(random, split, finding, testing), ("       ", "   "), (" x", " x"))


def enumerate_range(random: Random, split: Split) -> PromptPair:
    r"""Two loop variables lead to `enumerate`, one to `range`.

    `import row\nfor index, item in` -> ` enumerate`
    `size = left\nfor index in` -> ` range`
    """
    finding = framed((("for $a, $b in", "for $a in"),), ("top", "if", "while"), before="${pad}")
    testing = (("${pad}def $verb($c):\n    for $a, $b in", "${pad}def $verb($c):\n    for $a in"),)
    return pair(random, split, chosen(random, split, finding, testing), (" enumerate", " range"), ("(x", "(x"))


def while_return_true(random: Random, split: Split) -> PromptPair:
    r"""`while True` opens a block, `return True` ends a line.

    `def load(path):\n    while True` -> `:\n`
    `def load(path):\n    return True` -> `\n`
    """
    finding = (
        ("def $verb($a):\n    while True", "def $verb($a):\n    return True"),
        ("def $verb($a):\n    $b = $number\n    while True", "def $verb($a):\n    $b = $number\n    return True"),
        ("def $verb($a):\n    $verb2($b)\n    while True", "def $verb($a):\n    $verb2($b)\n    return True"),
        ("def $verb($a):\n    if $b:\n        while True", "def $verb($a):\n    if $b:\n        return True"),
        ("def $verb($a, $b, $c):\n    while True", "def $verb($a, $b, $c):\n    return True"),
    )
    testing = (
        ("def $verb():\n    $b += $number\n    while True", "def $verb():\n    $b += $number\n    return True"),
        ("def $verb($a, $b):\n    $a = $b\n    while True", "def $verb($a, $b):\n    $a = $b\n    return True"),
    )
    return pair(random, split, chosen(random, split, finding, testing), (":\n", "\n"), ("    ", "x"))
