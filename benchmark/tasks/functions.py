"""Tasks about the heads of functions."""

from benchmark.tasks.forms import FUNCTIONS, IN_CLASS, IN_FUNCTION, INNER, forms

_DEFAULT = ("=None", "):\n"), (")", "    ")

FINAL_KWARG = (
    *forms(
        "train",
        FUNCTIONS,
        *_DEFAULT,
        plain="def $verb(<$a=None, $b=None|$a, $d, $b>, $c",
        compound="def $verb(<$a=None, $b=None|${a}_$d, $b>, $c",
        number="def $verb(<$a=$number|${a}_$d>, $c",
        required="def $verb($e, <$a=None, $b=None|$a, ${b}_$d>, $c",
        three="def ${verb}_$e(<$a=None, $b=None, $f=$number|$a, $d, $b, ${f}_$g>, $c",
    ),
    *forms("train", IN_CLASS, *_DEFAULT, method="def $verb(self, <$a=None, $b=None|$a, $d, $b>, $c"),
    *forms(
        "validation",
        FUNCTIONS,
        *_DEFAULT,
        keyword="def $verb($e, *, <$a=None, $b=None|$a, $d, $b>, $c",
        starred="def $verb(*$e, <$a=None, $b=None|${a}_$d, $b>, $c",
    ),
    *forms("validation", IN_CLASS, *_DEFAULT, class_method="def $verb(cls, <$a=None, $b=None|$a, $d, $b>, $c"),
    *forms(
        "test",
        FUNCTIONS,
        *_DEFAULT,
        coroutine="async def $verb(<$a=None, $b=None|$a, $d, $b>, $c",
        positional="def $verb($e, /, <$a=None, $b=None|${a}_$d, $b>, $c",
        annotated="def $verb($e: int, <$a=None, $b=None|$a, $d, $b>, $c",
    ),
    *forms("test", IN_CLASS, *_DEFAULT, called="def __call__(self, <$a=None, $b=None|${a}_$d, $b>, $c"),
)
r"""After a parameter with a default the last one has a default too.

`def load(path=None, line=None, row` -> `=None`, `def load(path, page, line, row` -> `):\n`
"""

_HEAD = (":", "():\n"), (" x", "    ")

LAMBDA_FUNC = (
    *forms(
        "train",
        INNER,
        *_HEAD,
        chained="<$b = $c = lambda|import $b\ndef> $a",
        attribute="<$b.$c = lambda|import $b\ndef> $a",
        second="<$verb($b, lambda|import $b\ndef> $a",
        entry='$b = <{"$c": lambda|$c\ndef> $a',
        listed="$b = <[$c, lambda|$c\ndef> $a",
        alternative="$b = <$c if $d else lambda|-$c\ndef> $a",
    ),
    *forms(
        "validation",
        INNER,
        *_HEAD,
        printed="print($b, <[$c, lambda|$c)\ndef> $a",
        field="$b.$d = <[$c, lambda|$c\ndef> $a",
    ),
    *forms("validation", IN_FUNCTION, *_HEAD, returned="<return $c, lambda|print()\ndef> $a"),
    *forms(
        "test",
        INNER,
        *_HEAD,
        asserted="assert $b == <[$c, lambda|$c\ndef> $a",
        item="$b[$d] = <[$c, lambda|$c\ndef> $a",
        typed="$b: $d = <[$c, lambda|$c\ndef> $a",
    ),
    *forms("test", IN_FUNCTION, *_HEAD, yielded="yield <[$c, lambda|$c\ndef> $a"),
)
r"""A name after `lambda` is a parameter, after `def` a function.

`page.key = lambda item` -> `:`, `import page\ndef item` -> `():\n`
"""
