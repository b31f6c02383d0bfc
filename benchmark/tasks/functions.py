"""Tasks about function signatures."""

from random import Random

from benchmark.tasks import PromptPair, Split
from benchmark.tasks.drawing import chosen, framed, pair


def final_kwarg(random: Random, split: Split) -> PromptPair:
    r"""After parameters with defaults the last one has a default too.

    `def load(path=None, row=None, page` -> `=None`
    `def load(path, line, row, page` -> `):\n`
    """
    finding = (
        ("${context}def $verb($a=None, $b=None, $c", "${context}def $verb($a, $d, $b, $c"),
        ("${context}def $verb($a=None, $b", "${context}def $verb($a, $c, $b"),
        ("${context}def $verb($a=None, $b=None, $e=None, $c", "${context}def $verb($a, $d, $b, $f, $e, $c"),
        ("def $verb(self, $a=None, $b=None, $c", "def $verb(self, $a, $d, $b, $c"),
    )
    testing = (
        ("class Point:\n    def $verb(self, $a=None, $b=None, $c", "class Point:\n    def $verb(self, $a, $d, $b, $c"),
        ("$a -= $number\n\n\ndef $verb($b=None, $c=None, $d", "$a -= $number\n\n\ndef $verb($b, $e, $c, $d"),
    )
    return pair(random, split, chosen(random, split, finding, testing), ("=None", "):\n"), (")", "    "))


def lambda_func(random: Random, split: Split) -> PromptPair:
    r"""A name after `lambda` is a parameter, one after `def` a function.

    `key = lambda item` -> `:`
    `import page\ndef item` -> `():\n`
    """
    finding = framed((("$b = lambda $a", "def $a"),), ("top", "if"), before="${pad}")
    testing = (("${pad}def $verb($c):\n    return lambda $a", "${pad}$c -= $number\n\n\ndef $a"),)
    return pair(random, split, chosen(random, split, finding, testing), (":", "():\n"), (" x", "    "))
