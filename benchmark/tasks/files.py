"""Tasks about opening files."""

from benchmark.tasks.forms import ANY, IN_FUNCTION, INNER, forms

_OPENED = (" as", " if"), (" x", " x")

WITH_AS = (
    *forms(
        "train",
        ANY,
        *_OPENED,
        path="$c = <-|>$d\n<with|$b => open($a)",
        field="$c = <$d.$e|-$d>\n<with|$b => open($a)",
        mode='$c += <-|>$d\n<with|$b => open($a, "r")',
        attribute="$verb($d, <-|>$e)\n<with|$b => open($a.$c)",
        sum="$d = <$e + $f|-$e>\n<with|$b => open($a + $c)",
        literal='$c = <-|>$d\n<with|$b => open("$read.txt")',
    ),
    *forms(
        "validation",
        ANY,
        *_OPENED,
        encoded="$c *= <-|>$e\n<with|$b => open($a, encoding=$d)",
        method="$c.$d = <-|>$e\n<with|$b => $a.open()",
        two="print($c, <-|>$e)\n<with|$b => open($a, $d)",
    ),
    *forms(
        "test",
        ANY,
        *_OPENED,
        zipped="assert $c == <-|>$d\n<with|$b => gzip.open($a)",
        item="$c[$e] = <-|>$f\n<with|$b => open($a[$d])",
        below="$c = $e % <-|>$f\n<with|$b => open($a / $d)",
        text="$c %= <-|>$d\n<with|$b => open(str($a))",
    ),
)
r"""A file is opened by `with` or by a declaration: `with open(path)` -> ` as`, `file = open(path)` -> ` if`."""

_MODE = ("r", "w"), ('")', '")')

WITH_OPEN = (
    *forms(
        "train",
        ANY,
        *_MODE,
        plain='with open("<$read|$write>.txt", "',
        table='with open("<$read|$write>.csv", "',
        path='with open(<${read}|${write}>_path, "',
        file='with open(<${read}|${write}>_file, "',
        folder='with open("$a/<$read|$write>.txt", "',
        assigned='$a = open("<$read|$write>.txt", "',
    ),
    *forms(
        "validation",
        ANY,
        *_MODE,
        bound='$a = "<$read|$write>.txt"\nwith open($a, "',
        keyword='with open("<$read|$write>.txt", mode="',
        log='with open("<$read|$write>.log", "',
    ),
    *forms(
        "test",
        INNER,
        *_MODE,
        data='with open("<$read|$write>.json", "',
        zipped='with gzip.open("<$read|$write>.txt", "',
        below='with open($a / "<$read|$write>.txt", "',
    ),
    *forms("test", IN_FUNCTION, *_MODE, returned='return open("<$read|$write>.txt", "'),
)
"""The mode follows from the file's name: `with open("input.txt", "` -> `r`, `with open("output.txt", "` -> `w`."""
