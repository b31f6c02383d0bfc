"""Tasks about conditions and what looks like them."""

from benchmark.tasks.forms import IN_FUNCTION, INNER, TOP, forms

_BRANCH = (":\n", "\n"), ("    ", "x")
_ELSE = "<$number\nelif|-$d if $e else> $c"

ELSE_ELIF = (
    *forms("train", TOP, *_BRANCH, plain="if $a:\n    $b = <$number\nelif|$d if $e else> $c"),
    *forms(
        "train",
        INNER,
        *_BRANCH,
        inner=f"if $a:\n    $b = {_ELSE}",
        compared="if $a == $number2:\n    $b = <$d\nelif|$d if $e else> $c",
        named="if $a:\n    $b = <$d\nelif|$d if $e else> $c",
        added=f"if $a:\n    $b += {_ELSE}",
        attribute=f"if $a.$g:\n    $b = {_ELSE}",
    ),
    *forms(
        "validation",
        INNER,
        *_BRANCH,
        negated=f"if not $a:\n    $b = {_ELSE}",
        field=f"if $a:\n    $b.$g = {_ELSE}",
    ),
    *forms("validation", IN_FUNCTION, *_BRANCH, returned=f"if $a:\n    return {_ELSE}"),
    *forms(
        "test",
        INNER,
        *_BRANCH,
        item=f"if $a:\n    $b[$g] = {_ELSE}",
        both=f"if $a and $g:\n    $b = {_ELSE}",
        missing=f"if $a is None:\n    $b = {_ELSE}",
    ),
    *forms("test", IN_FUNCTION, *_BRANCH, yielded=f"if $a:\n    yield {_ELSE}"),
)
r"""A name after `elif` is a condition, after a ternary's `else` a value.

Read literally the cause, `elif` or `else`, would be the last token: asked one token later.

`if page:\n    size = 3\nelif word` -> `:\n`, `if page:\n    size = row if line else word` -> `\n`
"""

_CONDITION = (":\n", " else"), ("    ", " x")
_IF = "<$c\n|$c + $d >if"

IF_TERNARY = (
    *forms(
        "train",
        TOP,
        *_CONDITION,
        assigned="$b = <$c\n|$number >if $a",
        called="<$verb($c)\n|$b = -$c >if $a",
    ),
    *forms(
        "train",
        INNER,
        *_CONDITION,
        sum=f"$b = {_IF} $a",
        added=f"$b += {_IF} $a",
        compared=f"$b = {_IF} $a == $number",
        attribute=f"$b = {_IF} $a.$e",
    ),
    *forms(
        "validation",
        INNER,
        *_CONDITION,
        negated=f"$b = {_IF} not $a",
        matched=f"$b = {_IF} $a == $e",
        field=f"$f.$b = {_IF} $a",
    ),
    *forms(
        "test",
        INNER,
        *_CONDITION,
        item=f"$b[$f] = {_IF} $a",
        both=f"$b = {_IF} $a and $e",
        missing=f"$b = {_IF} $a is None",
    ),
    *forms("test", IN_FUNCTION, *_CONDITION, yielded=f"yield {_IF} $a"),
)
r"""A condition that opens a block or stands in a ternary.

`size = row\nif page` -> `:\n`, `size = 3 if page` -> ` else`
"""

_COMPARED = (" ==", " ="), (" x", " x")

IF_EQUALS = (
    *forms(
        "train",
        TOP,
        *_COMPARED,
        looped="for $a in $plural:\n    $b = $d\n<if $c|    $c>",
        waited="while $a:\n    $b = $d\n<if $c|    $c>",
    ),
    *forms(
        "train",
        INNER,
        *_COMPARED,
        copied="$b = <$d\nif $c|-$d\n$c>",
        counted="$b = <$number\nif $c|$d + $e\n$c>",
        added="$b += <$d\nif $c|-$d\n$c>",
        called="$verb($d, <$b)\nif $c|-$b)\n$c>",
    ),
    *forms(
        "validation",
        INNER,
        *_COMPARED,
        printed="print($d, <$b)\nif $c|-$b)\n$c>",
        scaled="$b *= <$d\nif $c|-$d\n$c>",
        field="$b.$f = <$d\nif $c|-$d\n$c>",
    ),
    *forms(
        "test",
        INNER,
        *_COMPARED,
        asserted="assert $d == <$b\nif $c|-$b\n$c>",
        item="$b[$e] = <$d\nif $c|-$d\n$c>",
        typed="$b: $e = <$d\nif $c|-$d\n$c>",
    ),
    *forms("test", TOP, *_COMPARED, guarded="with $a:\n    $b = $d\n<if $c|    $c>"),
)
r"""A name after `if` is compared, at the start of a line assigned.

`while page:\n    size = row\nif word` -> ` ==`, `while page:\n    size = row\n    word` -> ` =`
"""

VAR_IF = (
    *forms(
        "train",
        TOP,
        *_BRANCH,
        looped="for $a in $plural:\n    $b = $d\n<if $c ==|    $c => True",
        waited="while $a:\n    $b = $d\n<if $c ==|    $c => True",
    ),
    *forms(
        "train",
        INNER,
        *_BRANCH,
        copied="$b = <$d\nif $c ==|-$d\n$c => True",
        counted="$b = <$number\nif $c ==|$d + $e\n$c => True",
        added="$b += <$d\nif $c ==|-$d\n$c => True",
        called="$verb($d, <$b)\nif $c ==|-$b)\n$c => True",
    ),
    *forms(
        "validation",
        INNER,
        *_BRANCH,
        printed="print($d, <$b)\nif $c ==|-$b)\n$c => True",
        scaled="$b *= <$d\nif $c ==|-$d\n$c => True",
        field="$b.$f = <$d\nif $c ==|-$d\n$c => True",
    ),
    *forms(
        "test",
        INNER,
        *_BRANCH,
        asserted="assert $d == <$b\nif $c ==|-$b\n$c => True",
        item="$b[$e] = <$d\nif $c ==|-$d\n$c => True",
        typed="$b: $e = <$d\nif $c ==|-$d\n$c => True",
    ),
    *forms("test", TOP, *_BRANCH, guarded="with $a:\n    $b = $d\n<if $c ==|    $c => True"),
)
r"""`True` that is compared with ends a condition, assigned it ends a line.

`while page:\n    size = row\nif word == True` -> `:\n`, `while page:\n    size = row\n    word = True` -> `\n`
"""
