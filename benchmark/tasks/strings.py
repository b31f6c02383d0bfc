"""Tasks about what stands in a string and what closes it."""

from benchmark.tasks.forms import ANY, IN_FUNCTION, forms

_QUOTES = ('")\n', "')\n"), ("x", "x")

SINGLE_DOUBLE_QUOTE = (
    *forms(
        "train",
        ANY,
        *_QUOTES,
        printed="print(<\"|'>$a $b",
        logged="log(<\"|'>$a $b $c",
        method="$a.$verb(<\"|'>$b $c",
        second="$verb($a, <\"|'>$b $c",
        assigned="$a = $verb(<\"|'>$b $c",
        raised="raise ValueError(<\"|'>$a $b",
    ),
    *forms(
        "validation",
        ANY,
        *_QUOTES,
        warned="warn(<\"|'>$a $b $c",
        attribute="$a.$b = $verb(<\"|'>$c $d",
    ),
    *forms("validation", IN_FUNCTION, *_QUOTES, returned="return $verb(<\"|'>$a $b $c"),
    *forms(
        "test",
        ANY,
        *_QUOTES,
        asserted="assert $verb(<\"|'>$a $b",
        item="$a[$b] = $verb(<\"|'>$c $d",
        exited="exit(<\"|'>$a $b $c",
    ),
    *forms("test", IN_FUNCTION, *_QUOTES, yielded="yield $verb(<\"|'>$a $b"),
)
r"""A string closes with the quote that opened it: `print("page ready` -> `")\n`, `print('page ready` -> `')\n`."""

_BRACE = (" {", '")\n'), ("x", "x")

FSTRING_BRACE = (
    *forms(
        "train",
        ANY,
        *_BRACE,
        printed='print(<f"|"$c >$a $b',
        logged='log(<f"|"$c >$a $b $d',
        method='$e.$verb(<f"|"$c >$a $b',
        second='$verb($e, <f"|"$c >$a $b',
        assigned='$e = $verb(<f"|"$c >$a $b',
        raised='raise ValueError(<f"|"$c >$a $b',
    ),
    *forms(
        "validation",
        ANY,
        *_BRACE,
        warned='warn(<f"|"$c >$a $b',
        attribute='$e.$d = $verb(<f"|"$c >$a $b',
    ),
    *forms("validation", IN_FUNCTION, *_BRACE, returned='return $verb(<f"|"$c >$a $b $d'),
    *forms(
        "test",
        ANY,
        *_BRACE,
        asserted='assert $verb(<f"|"$c >$a $b',
        item='$e[$d] = $verb(<f"|"$c >$a $b',
        exited='exit(<f"|"$c >$a $b $d',
    ),
    *forms("test", IN_FUNCTION, *_BRACE, yielded='yield $verb(<f"|"$c >$a $b'),
)
r"""An f-string names a variable, a plain string ends.

`print(f"page count` -> ` {`, `print("last page count` -> `")\n`
"""
