"""Tasks about opening files."""

from random import Random

from benchmark.corpus.idioms.words import READ_FILES, WRITTEN_FILES
from benchmark.tasks import PromptPair, Split
from benchmark.tasks.drawing import chosen, framed, pair, words_of


def with_as(random: Random, split: Split) -> PromptPair:
    r"""A file is opened in a `with` statement or in an assignment.

    `import row\nwith open(path)` -> ` as`
    `size = 3\nfile = open(path)` -> ` if`
    """
    finding = framed((("with open($a)", "$b = open($a)"),), ("top", "for", "while", "if"), before="${pad}")
    testing = (("${pad}def $verb($a):\n    with open($a)", "${pad}def $verb($a):\n    $b = open($a)"),)
    return pair(random, split, chosen(random, split, finding, testing), (" as", " if"), (" x", " x"))


def with_open(random: Random, split: Split) -> PromptPair:
    r"""The mode follows from the file's name.

    `with open("input.txt", "` -> `r`
    `with open("output.txt", "` -> `w`
    """
    opened = (('with open("$read.txt", "', 'with open("$write.txt", "'),)
    finding = framed(opened, ("top", "def", "for"), before="${pad}")
    testing = (
        ("${pad}with open('$read.csv', '", "${pad}with open('$write.csv', '"),
        ("${pad}while $a:\n    with open('$read.json', '", "${pad}while $a:\n    with open('$write.json', '"),
    )
    form = chosen(random, split, finding, testing)
    read, write = words_of(random, split, READ_FILES), words_of(random, split, WRITTEN_FILES)
    return pair(
        random, split, form, ("r", "w"), ("')", "')") if split == "test" else ('")', '")'), read=read, write=write
    )
