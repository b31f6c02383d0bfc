"""Tasks whose answer is a name copied from the prompt."""

from benchmark.tasks.forms import ANY, FUNCTIONS, IN_CLASS, IN_FUNCTION, forms

_FIELD = (" $x", " $y"), ("\n", "\n")

CLASS_INIT = (
    *forms(
        "train",
        IN_CLASS,
        *_FIELD,
        first="def __init__(self, $x, $y):\n    self.<$x|$y> =",
        third="def __init__(self, $x, $y, $z):\n    self.$z = $z\n    self.<$x|$y> =",
        other="def __init__(self, $a, $x, $y):\n    self.$a = $a\n    self.<$x|$y> =",
        number="def __init__(self, $x, $y):\n    self.$a = $number\n    self.<$x|$y> =",
        default="def __init__(self, $x=None, $y=None):\n    self.<$x|$y> =",
    ),
    *forms(
        "train",
        IN_CLASS,
        (" $y", " $x"),
        ("\n", "\n"),
        second="def __init__(self, $x, $y):\n    self.<$x = $x|$y = $y>\n    self.<$y|$x> =",
    ),
    *forms(
        "validation",
        IN_CLASS,
        *_FIELD,
        flag="def __init__(self, $x, $y):\n    self.$a = True\n    self.<$x|$y> =",
        parent="def __init__(self, $x, $y):\n    super().__init__()\n    self.<$x|$y> =",
        entries="def __init__(self, $x, $y):\n    self.$a = []\n    self.<$x|$y> =",
    ),
    *forms(
        "test",
        IN_CLASS,
        *_FIELD,
        annotated="def __init__(self, $x: int, $y: int):\n    self.<$x|$y> =",
        asserted="def __init__(self, $x, $y):\n    assert $x != $y\n    self.<$x|$y> =",
        keyword="def __init__(self, *, $x, $y):\n    self.<$x|$y> =",
        table="def __init__(self, $x, $y):\n    self.$a = {}\n    self.<$x|$y> =",
    ),
)
r"""An attribute takes the parameter of its own name.

`class Point:\n    def __init__(self, left, right):\n        self.left =` -> ` left`, `... self.right =` -> ` right`
"""

_SWAP = "<$x, $y = $y|$y, $x = $x>,"

VAR_SWAP = (
    *forms(
        "train",
        ANY,
        *_FIELD,
        bare=_SWAP,
        bound=f"$x = $number1\n$y = $number2\n{_SWAP}",
        copied=f"$x = $a\n$y = $b\n{_SWAP}",
        ordered=f"if $x > $y:\n    {_SWAP}",
        looped=f"for $x, $y in $plural:\n    {_SWAP}",
    ),
    *forms("train", FUNCTIONS, *_FIELD, function=f"def $verb($x, $y):\n    {_SWAP}"),
    *forms(
        "validation",
        ANY,
        *_FIELD,
        printed=f"print($x, $y)\n{_SWAP}",
        unpacked=f"$x, $y = $a, $b\n{_SWAP}",
        waiting=f"while $x == $y:\n    {_SWAP}",
    ),
    *forms(
        "test",
        ANY,
        *_FIELD,
        asserted=f"assert $x != $y\n{_SWAP}",
        item="<$x[$a], $y[$a] = $y|$y[$a], $x[$a] = $x>[$a],",
        attribute="<$x.$a, $y.$a = $y|$y.$a, $x.$a = $x>.$a,",
    ),
    *forms("test", IN_FUNCTION, *_FIELD, outer=f"global $x, $y\n{_SWAP}"),
)
"""A swap names both sides crosswise: `left, right = right,` -> ` left`, `right, left = left,` -> ` right`."""
