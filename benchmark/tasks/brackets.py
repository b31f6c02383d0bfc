"""Tasks about open brackets."""

from collections.abc import Callable
from random import Random

from benchmark.tasks import PromptPair, Split
from benchmark.tasks.drawing import chosen, framed, pair


def bracket_brace(random: Random, split: Split) -> PromptPair:
    r"""A string in braces is a key, one in brackets an entry.

    `sizes = {"page": 3, "line` -> `":`
    `sizes = ["page", "word", "line` -> `",`
    """
    values = (('$a = {"$b', '$a = ["$b'), ('$a = {"$b": $number, "$c', '$a = ["$b", "$d", "$c'))
    finding = framed(values, ("top", "for", "if"))
    testing = (
        ('def $verb($a):\n    return {"$b', 'def $verb($a):\n    return ["$b'),
        ('${context}$verb({"$b": $number, "$c', '${context}$verb(["$b", "$d", "$c'),
    )
    return pair(random, split, chosen(random, split, finding, testing), ('":', '",'), (" 3", ' "x'))


def bracket_counting(random: Random, split: Split) -> PromptPair:
    r"""As many brackets are closed as are open.

    `sizes = [3, 5, 8` -> `]\n`
    `sizes = [[3, 5, 8` -> `]]\n`
    """
    long = "$number1, $number2, $number3, $number4"
    values = (
        ("$a = [$number1, $number2, $number3", "$a = [[$number1, $number2, $number3"),
        (f"$a = [{long}", f"$a = [[{long}"),
        (f"$a = [{long}", "$a = [[$number1, $number2], [$number3, $number4"),
    )
    finding = framed(values, ("top", "for", "if"))
    testing = (
        (f"def $verb($b):\n    $a = [{long}", "def $verb($b):\n    $a = [[$number1, $number2], [$number3, $number4"),
        (f"${{context}}$a = [{long}, $number5", f"${{context}}$a = [[{long}, $number5"),
    )
    return pair(random, split, chosen(random, split, finding, testing), ("]\n", "]]\n"), ("x", "x"))


def list_of(elements: int) -> Callable[[Random, Split], PromptPair]:
    r"""A task of flat and nested lists of one length, with nothing around them.

    `sizes = [3, 5, 8` -> `]\n`
    `sizes = [[3, 5, 8` -> `]]\n`
    """
    inside = ", ".join(f"$number{place}" for place in range(elements))
    form = (f"$a = [{inside}", f"$a = [[{inside}")
    return lambda random, split: pair(random, split, form, ("]\n", "]]\n"), ("x", "x"))
