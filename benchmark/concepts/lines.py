"""Concepts of the line: the keyword it starts with."""

from functools import lru_cache

import numpy as np

from benchmark.concepts.lexer import Labels, tokens

WORDS = ("if", "while", "for", "return")


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
            if token.kind == "name":
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
