"""Concepts of text that is not code: strings and comments."""

from functools import lru_cache

import numpy as np

from benchmark.concepts.lexer import Labels, tokens

SINGLE, DOUBLE, COMMENT = 1, 2, 3


@lru_cache(maxsize=1)
def prose(text: str) -> Labels:
    '''The kind of prose that each character is in: `SINGLE`, `DOUBLE`, `COMMENT`, or 0 for code.

    A string begins at its opening quote and ends before its closing quote; an f-string's braces belong to it. Two
    quotes are an empty string until a third one comes, so the second quote of `"""` counts as closing.
    '''
    found = np.zeros(len(text), dtype=np.int8)
    for token in tokens(text):
        if token.kind == "comment":
            found[token.start : token.end] = COMMENT
        elif token.kind == "string":
            first = token.start + len(token.word) - 1
            found[first : token.end - token.closed] = SINGLE if token.mark[0] == "'" else DOUBLE
            found[first + 1 : first + len(token.mark) - 1] = 0
    return found


def in_single_quoted_string(text: str) -> Labels:
    """Inside a string that `'` or `'''` opened.

    Example:
        x = f'a' + "b"  # it's
        0000011000000000000000
    """
    return np.asarray(prose(text) == SINGLE, dtype=np.int8)


def in_double_quoted_string(text: str) -> Labels:
    r'''Inside a string that `"` or `"""` opened.

    Example:
        x = "say \"no\"" + 'a"b'
        000011111111111000000000
        x = r"""a""" + f"{b}"
        000001011110000011110
    '''
    return np.asarray(prose(text) == DOUBLE, dtype=np.int8)


def in_string(text: str) -> Labels:
    """Inside a string of either kind.

    Example:
        x = 'a' + "b"
        0000110000110
    """
    found = prose(text)
    return np.asarray((found == SINGLE) | (found == DOUBLE), dtype=np.int8)


def in_comment(text: str) -> Labels:
    """Inside a comment, from its `#` to the end of its line.

    Example:
        x = "#"  # no
        0000000001111
    """
    return np.asarray(prose(text) == COMMENT, dtype=np.int8)
