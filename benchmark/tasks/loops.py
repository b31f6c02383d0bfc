"""Tasks about loops."""

from benchmark.tasks.forms import ANY, IN_FUNCTION, ONE_DEEP, TOP, forms

_LOOP = (" in", ":\n"), (" x", "    ")

FOR_WHILE = (
    *forms(
        "train",
        ANY,
        *_LOOP,
        bare="<for|while> $a",
        compound="<for|while> ${a}_$b",
        counted="$b = $number\n<for|while> $a",
        copied="$b = $c\n<for|while> $a",
        called="$verb($b)\n<for|while> $a",
        branch="if $b:\n    $c = $number\n<for|while> $a",
    ),
    *forms(
        "validation",
        ANY,
        *_LOOP,
        printed="print($b)\n<for|while> $a",
        scaled="$b *= $number\n<for|while> $a",
        attribute="$b.$c = $d\n<for|while> $a",
    ),
    *forms(
        "test",
        ANY,
        *_LOOP,
        asserted="assert $b\n<for|while> $a",
        item="$b[$c] = $d\n<for|while> $a",
        deleted="del $b\n<for|while> $a",
        guarded="with $b:\n    <for|while> $a",
    ),
)
r"""`for` names a variable, `while` a condition: `for item` -> ` in`, `while item` -> `:\n`."""

_DEPTH = ("       ", "   "), (" x", " x")
_DEEPER = ("           ", "       "), (" x", " x")

INDENT_FOR = (
    *forms(
        "train",
        TOP,
        *_DEPTH,
        function="<def $verb($a):\n    |$c = $verb($a)\n>for $b in $plural:\n",
        branch="<if $a:\n    |$a = $d\n>for $b in $plural:\n",
        compared="<if $a == $number:\n    |$a = $d + $number\n>for $b in $plural:\n",
        unpacked="<if $a:\n    |$a = $d\n>for $b, $e in $plural:\n",
        looped="<for $a in $plural2:\n    |$a = $c + $d\n>for $b in $plural:\n",
        after="if $a:\n    $c = <$d\n    |-$d\n>for $b in $plural:\n",
    ),
    *forms("train", ONE_DEEP, *_DEEPER, inner="<if $a:\n    |import $a\n>for $b in $plural:\n"),
    *forms(
        "validation",
        TOP,
        *_DEPTH,
        waiting="<while $a:\n    |print($a)\n>for $b in $plural:\n",
        endless="<while True:\n    |print($a)\n>for $b in $plural:\n",
        after_waiting="while $a:\n    $c *= <$d\n    |-$d\n>for $b in $plural:\n",
    ),
    *forms(
        "validation",
        ONE_DEEP,
        *_DEEPER,
        inner_waiting="<while $a == $number:\n    |print($a, $d)\n>for $b in $plural:\n",
    ),
    *forms(
        "test",
        TOP,
        *_DEPTH,
        paired="<with $a, $d:\n    |$a, $d = $c\n>for $b in $plural:\n",
        guarded="<with $a as $d:\n    |$a: $d = $c\n>for $b in $plural:\n",
        after_guarded="with $a:\n    $c = <$d\n    |-$d\n>for $b in $plural:\n",
    ),
    *forms("test", ONE_DEEP, *_DEEPER, inner_guarded="<with $a, $d:\n    |$a = not $d\n>for $b in $plural:\n"),
)
r"""The body of a `for` stands one block deeper than the `for`.

`if path:\n    for item in items:\n` -> `       `, `path = row\nfor item in items:\n` -> `   `
"""

_CALL = (" enumerate", " range"), ("(x", "(x")

ENUMERATE_RANGE = (
    *forms(
        "train",
        ANY,
        *_CALL,
        summed="$c = $d<| + $e>\nfor $a<, $b|> in",
        after="$c = $d<|.$e>\nfor $a<, $b|> in",
        added="$c += $d<| + $e>\nfor $a<, $b|> in",
        called="$verb($d<|, $e>)\nfor $a<, $b|> in",
        branch="if $d<|.$e>:\n    for $a<, $b|> in",
        listed="$c = [$d<|.$e> for $a<, $b|> in",
    ),
    *forms(
        "validation",
        ANY,
        *_CALL,
        printed="print($d<|, $e>)\nfor $a<, $b|> in",
        scaled="$c *= $d<| + $e>\nfor $a<, $b|> in",
        sum="$c = sum($d<|.$e> for $a<, $b|> in",
    ),
    *forms(
        "test",
        ANY,
        *_CALL,
        asserted="assert $d == $g<| + $e>\nfor $a<, $b|> in",
        item="$c[$g] = $d<| + $e>\nfor $a<, $b|> in",
        any="$c = any($d<|.$e> for $a<, $b|> in",
    ),
    *forms("test", IN_FUNCTION, *_CALL, yielded="yield [$d<|.$e> for $a<, $b|> in"),
)
r"""Two loop variables ask for `enumerate`, one for `range`.

`size = row\nfor index, item in` -> ` enumerate`, `size = row.line\nfor index in` -> ` range`
"""

_ENDS = (":\n", "\n"), ("    ", "x")

WHILE_RETURN_TRUE = (
    *forms(
        "train",
        IN_FUNCTION,
        *_ENDS,
        bare="<while|return> True",
        counted="$b = $number\n<while|return> True",
        copied="$b = $c\n<while|return> True",
        called="$verb($b)\n<while|return> True",
        branch="if $b:\n    <while|return> True",
        looped="for $b in $plural:\n    <while|return> True",
    ),
    *forms(
        "validation",
        IN_FUNCTION,
        *_ENDS,
        printed="print($b)\n<while|return> True",
        scaled="$b *= $number\n<while|return> True",
        attribute="$b.$c = $d\n<while|return> True",
    ),
    *forms(
        "test",
        IN_FUNCTION,
        *_ENDS,
        asserted="assert $b\n<while|return> True",
        item="$b[$c] = $d\n<while|return> True",
        deleted="del $b\n<while|return> True",
        guarded="with $b:\n    <while|return> True",
    ),
)
r"""`while True` opens a block, `return True` ends a line: `while True` -> `:\n`, `return True` -> `\n`."""
