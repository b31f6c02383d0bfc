"""Conjunctions of two concepts, which the top-activating examples of either one hide ("dogs on jetskis")."""

from collections.abc import Callable

import numpy as np

from benchmark.concepts import CONCEPTS
from benchmark.concepts.lexer import Labels


def both(first: str, second: str) -> Callable[[str], Labels]:
    """The labelling function of a concept that holds where two registered concepts, given by name, both hold.

    Raises:
        ValueError: There is no concept of that name.
    """
    parts = [CONCEPTS.named(name).function for name in (first, second)]

    def labels(text: str) -> Labels:
        held = [np.asarray(part(text)) > 0 for part in parts]
        return np.asarray(held[0] & held[1], dtype=np.int8)

    return labels


def in_string_and_in_call(text: str) -> Labels:
    """Inside a string among the arguments of a call.

    Example:
        f("a", b="c") + "d"
        0011000001100000000
    """
    return both("in_string", "in_call")(text)


def in_double_quoted_string_and_in_call(text: str) -> Labels:
    """Inside a string that `"` opened, among the arguments of a call.

    Example:
        f("a", b='c') + "d"
        0011000000000000000
    """
    return both("in_double_quoted_string", "in_call")(text)


def in_string_and_in_square_brackets(text: str) -> Labels:
    """Inside a string whose innermost bracket is `[`.

    Example:
        x = ["a", f("b")] + "c"
        00000110000000000000000
    """
    return both("in_string", "in_square_brackets")(text)


def in_string_and_in_braces(text: str) -> Labels:
    """Inside a string whose innermost bracket is `{`.

    Example:
        x = {"a": 3, "b": "c"}
        0000011000000110001100
    """
    return both("in_string", "in_braces")(text)


def in_string_and_line_starts_with_if(text: str) -> Labels:
    """Inside a string, on a line that starts with `if`.

    Example:
        if x == "a" or y == 'b': f()
        0000000011000000000011000000
        z = "a" if x else 'b'
        000000000000000000000
    """
    return both("in_string", "line_starts_with_if")(text)


def in_string_and_line_starts_with_return(text: str) -> Labels:
    """Inside a string, on a line that starts with `return`.

    Example:
        return "a" + b
        00000001100000
        x = "a"
        0000000
    """
    return both("in_string", "line_starts_with_return")(text)


def in_brackets_and_line_starts_with_for(text: str) -> Labels:
    """Some bracket is open on a line that starts with `for`.

    Example:
        for x in f(y): g(z)
        0000000000110000110
    """
    return both("in_brackets", "line_starts_with_for")(text)


def in_comment_and_word_seen_return(text: str) -> Labels:
    """Inside a comment after a `return`.

    Example:
        x = 3  # a
        0000000000
        return x  # a
        0000000000111
    """
    return both("in_comment", "word_seen_return")(text)
