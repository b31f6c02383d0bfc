"""Tasks about the contents and the end of strings."""

from random import Random

from benchmark.tasks import PromptPair, Split
from benchmark.tasks.drawing import Form, chosen, framed, pair


def _quoted(template: str) -> Form:
    """A template with each of the quotes in place of `@`."""
    return template.replace("@", '"'), template.replace("@", "'")


def single_double_quote(random: Random, split: Split) -> PromptPair:
    r"""A string closes with the quote that opened it.

    `print("page ready` -> `")\n`
    `print('page ready` -> `')\n`
    """
    calls = tuple(map(_quoted, ("print(@$a $b", "log(@$a", "send(@$a $b $c", "$d.$verb(@$a $b")))
    finding = framed(calls, ("top", "def", "if"))
    other_calls = tuple(map(_quoted, ("warn(@$b $c", "show(@$b $c $d")))
    testing = (_quoted("${context}$a.$verb(@$b $c $d $e"), *framed(other_calls, ("for", "while")))
    return pair(random, split, chosen(random, split, finding, testing), ('")\n', "')\n"), ("x", "x"))


def fstring_brace(random: Random, split: Split) -> PromptPair:
    r"""The words of an f-string lead to a brace, those of a plain string to its end.

    `print(f"page count` -> ` {`
    `print("last page count` -> `")\n`
    """
    calls = (
        ('print(f"$a $b', 'print("$c $a $b'),
        ('log(f"$a $b', 'log("$c $a $b'),
        ('send(f"$a $b $c', 'send("$d $a $b $c'),
    )
    finding = framed(calls, ("top", "def", "if"))
    testing = (
        ('while $a:\n    warn(f"$b $c $d', 'while $a:\n    warn("$e $b $c $d'),
        ('for $d in $plural:\n    show(f"$a $b', 'for $d in $plural:\n    show("$c $a $b'),
    )
    return pair(random, split, chosen(random, split, finding, testing), (" {", '")\n'), ("x", "x"))
