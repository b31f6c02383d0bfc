"""Concepts of the line: the keyword it starts with, and how far it is indented."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from benchmark.concepts.lexer import Labels, tokens

WORDS = (
    *("if", "while", "for", "return", "def", "class", "with", "elif", "raise"),
    *("import", "from", "@"),
)
"""What a line may start with; none is the beginning of another."""


@lru_cache(maxsize=1)
def first_words(text: str) -> Labels:
    """Which of `WORDS` the line starts with, after each character: the word's index plus 1, or 0.

    Lines are logical: a line break inside brackets or after a backslash does not end one. The label begins at the last
    letter of the word; a longer word with the same beginning has the label for that one character.
    """
    found = np.zeros(len(text), dtype=np.int8)
    at_start, label, since = True, 0, 0
    for token in tokens(text):
        if token.kind == "newline":
            found[since : token.start] = label
            at_start, label, since = True, 0, token.end
        elif at_start:
            at_start, since = False, token.end
            for number, word in enumerate(WORDS, start=1):  # the letters so far may be one of the words
                if token.text.startswith(word):
                    found[token.start + len(word) - 1] = number
            label = WORDS.index(token.text) + 1 if token.text in WORDS else 0
    found[since:] = label
    return found


def _starts_with(text: str, word: str) -> Labels:
    return np.asarray(first_words(text) == WORDS.index(word) + 1, dtype=np.int8)


def line_starts_with_if(text: str) -> Labels:
    """The logical line starts with `if`.

    Example:
        if iffy: pass
        0111111111111
        x = 3 if a else iffy
        00000000000000000000
    """
    return _starts_with(text, "if")


def line_starts_with_while(text: str) -> Labels:
    """The logical line starts with `while`.

    Example:
        while True:
        00001111111
            pass
        00000000
    """
    return _starts_with(text, "while")


def line_starts_with_for(text: str) -> Labels:
    """The logical line starts with `for`.

    Example:
        for x in (3,
        001111111111
            4): pass
        111111111111
        formed = 3
        0010000000
    """
    return _starts_with(text, "for")


def line_starts_with_return(text: str) -> Labels:
    """The logical line starts with `return`.

    Example:
            return x  # y
        00000000011111111
    """
    return _starts_with(text, "return")


def line_starts_with(word: str) -> Callable[[str], Labels]:
    """The labelling function of a concept: the logical line starts with one of `WORDS`."""

    def labels(text: str) -> Labels:
        return _starts_with(text, word)

    zeros = "0" * len(word)
    shown = f"{word} x\n    {zeros[1:]}111\n    {word}s\n    {zeros[1:]}10\n    x{word}\n    0{zeros}"
    labels.__doc__ = f"The logical line starts with `{word}`.\n\nExample:\n    {shown}"
    return labels


line_starts_with_def = line_starts_with("def")
line_starts_with_class = line_starts_with("class")
line_starts_with_with = line_starts_with("with")
line_starts_with_elif = line_starts_with("elif")
line_starts_with_raise = line_starts_with("raise")


def in_import_statement(text: str) -> Labels:
    """The logical line starts with `import` or `from`.

    Example:
        from x import y
        000111111111111
        x = y
        00000
        import x
        00000111
    """
    return np.asarray(_starts_with(text, "import") | _starts_with(text, "from"), dtype=np.int8)


def in_decorator(text: str) -> Labels:
    """The logical line starts with `@`.

    Example:
        @f(x)
        11111
        x @= y
        000000
    """
    return _starts_with(text, "@")
