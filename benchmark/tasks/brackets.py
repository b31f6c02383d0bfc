"""Tasks about open brackets."""

from collections.abc import Callable
from random import Random

from benchmark.corpus.config import Split
from benchmark.tasks.drawing import draw
from benchmark.tasks.forms import ANY, IN_FUNCTION, Form, PromptPair, forms

_ENTRY = ('":', '",'), (" 3", ' "x')

BRACKET_BRACE = (
    *forms(
        "train",
        ANY,
        *_ENTRY,
        first='$a = <{|[>"$b',
        number='$a = <{"$b": $number|["$b", "$d">, "$c',
        name='$a = <{"$b": $d|["$b", $d>, "$c',
        text='$a = <{"$b": "$d"|["$b", "$d">, "$c',
        called='$verb(<{|[>"$b',
        method='$a.$verb(<{|[>"$b',
    ),
    *forms(
        "validation",
        ANY,
        *_ENTRY,
        printed='print(<{|[>"$a',
        attribute='$a.$b = <{|[>"$c',
    ),
    *forms("validation", IN_FUNCTION, *_ENTRY, returned='return <{|[>"$b'),
    *forms(
        "test",
        ANY,
        *_ENTRY,
        asserted='assert $a == <{|[>"$b',
        item='$a[$b] = <{|[>"$c',
        looped='for $a in <{|[>"$b',
    ),
    *forms("test", IN_FUNCTION, *_ENTRY, yielded='yield <{|[>"$a'),
)
"""A string in braces is a key, one in brackets an entry: `sizes = {"page` -> `":`, `sizes = ["page` -> `",`."""

_CLOSED = ("]\n", "]]\n"), ("x", "x")
_THREE = "<[|[[>$number1, $number2, $number3"

BRACKET_COUNTING = (
    *forms(
        "train",
        ANY,
        *_CLOSED,
        three=f"$a = {_THREE}",
        five=f"$a = {_THREE}, $number4, $number5",
        rows="$a = <[$number1, $number2, $number3, $number4|[[$number1, $number2], [$number3, $number4>",
        names="$a = <[|[[>$b, $c, $d",
        added=f"$a += {_THREE}",
        mixed="$a = <[|[[>$number1, $b, $number2",
    ),
    *forms(
        "validation",
        ANY,
        *_CLOSED,
        attribute=f"$a.$b = {_THREE}",
        sum=f"$a = $b + {_THREE}",
        unpacked=f"$a, $b = $c, {_THREE}",
    ),
    *forms(
        "test",
        ANY,
        *_CLOSED,
        asserted=f"assert $a == {_THREE}",
        item=f"$a[$b] = {_THREE}",
        typed=f"$a: list = {_THREE}",
    ),
    *forms("test", IN_FUNCTION, *_CLOSED, yielded=f"yield {_THREE}"),
)
r"""As many brackets are closed as are open: `sizes = [3, 5, 8` -> `]\n`, `sizes = [[3, 5, 8` -> `]]\n`."""


def list_of(elements: int) -> Callable[[Random, Split], PromptPair]:
    r"""A task of flat and nested lists of one length, with nothing around them.

    `sizes = [3, 5, 8` -> `]\n`
    `sizes = [[3, 5, 8` -> `]]\n`
    """
    inside = ", ".join(f"$number{place}" for place in range(elements))

    def make(random: Random, split: Split) -> PromptPair:
        return draw(Form("", split, f"$a = <[|[[>{inside}", ("top",), *_CLOSED), random, unrelated=False)

    return make
