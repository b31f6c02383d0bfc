"""Tasks about what stands in a string and what closes it."""

from random import Random

from benchmark.tasks import Pair, Split
from benchmark.tasks.drawing import Form, chosen, pair


def _quoted(template: str) -> Form:
    """A template with either quote for its `@`."""
    return template.replace("@", '"'), template.replace("@", "'")


def single_double_quote(random: Random, split: Split) -> Pair:
    r"""A string closes with the quote that opened it.

    `print("page ready` -> `")\n`
    `print('page ready` -> `')\n`
    """
    finding = ("${context}print(@$a $b", "def $verb($a):\n    print(@$b $c", "if $a == $number:\n    log(@$b $c $d")
    testing = ("${context}$a.$verb(@$b $c", "for $a in $plural:\n    warn(@$b $c", "while $a:\n    show(@$b $c $d")
    form = _quoted(random.choice(testing if split == "test" else finding))
    return pair(random, split, form, ('")\n', "')\n"), ("x", "x"))


def fstring_brace(random: Random, split: Split) -> Pair:
    r"""The words of an f-string lead to a brace, those of a plain string to its end.

    `print(f"page count` -> ` {`
    `print("last page count` -> `")\n`
    """
    finding = (
        ('${context}print(f"$a $b', '${context}print("$c $a $b'),
        ('def $verb($a):\n    log(f"$b $c', 'def $verb($a):\n    log("$d $b $c'),
    )
    testing = (
        ('while $a:\n    warn(f"$b $c $d', 'while $a:\n    warn("$e $b $c $d'),
        ('for $d in $plural:\n    show(f"$a $b', 'for $d in $plural:\n    show("$c $a $b'),
    )
    form = random.choice(chosen(split, finding, testing))
    return pair(random, split, form, (" {", '")\n'), ("x", "x"))
