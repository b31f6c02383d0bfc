"""Concepts of names: what a name is bound to, and which words have occurred."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from keyword import iskeyword

import numpy as np

from benchmark.concepts.bindings import OPERANDS, Value, bindings
from benchmark.concepts.lexer import NOTHING, Labels, Token, tokens

VALUES: Mapping[Value, int] = {"set": 1, "string": 2}


@lru_cache(maxsize=1)
def bound_values(text: str) -> Labels:
    """Which of `VALUES` the name just read is bound to, at its last letter; 0 elsewhere.

    The latest binding in the text counts, whatever its scope, from the end of its logical line on (see `bindings`). A
    name after a dot is an attribute and does not count.
    """
    found = np.zeros(len(text), dtype=np.int8)
    values: dict[str, int] = {}
    line: list[Token] = []
    previous = NOTHING
    for token in tokens(text):
        if token.kind == "newline":
            values |= {name: VALUES.get(value, 0) for name, value in bindings(line)}
            line = []
        elif token.kind != "comment":
            line.append(token)
        if token.kind in ("name", "string") and previous.text != ".":
            for length in range(1, len(token.word) + 1):  # the letters so far may be a bound name
                found[token.start + length - 1] = values.get(token.word[:length], 0)
        previous = token if token.kind != "comment" else previous
    return found


def name_bound_to_set(text: str) -> Labels:
    """The name just read was last bound to a call of `set`.

    Example:
        seen = set()
        000000000000
        x.seen = seen
        0000000000001
        seen |= seen2
        0001000000010
    """
    return np.asarray(bound_values(text) == VALUES["set"], dtype=np.int8)


def name_bound_to_string(text: str) -> Labels:
    """The name just read was last bound to a string.

    Example:
        a = b = "x"
        00000000000
        for a in b: pass
        0000100001000000
        a, b.a
        000100
    """
    return np.asarray(bound_values(text) == VALUES["string"], dtype=np.int8)


def name_seen_before(text: str) -> Labels:
    """The name just read, which is not a keyword, has occurred before.

    Example:
        ab = c.f(ab, abc)
        00000000001000100
        a if f"if"
        0000010000
    """
    found = np.zeros(len(text), dtype=np.int8)
    seen: set[str] = set()
    for token in tokens(text):
        if token.kind in ("name", "string"):
            for length in range(1, len(token.word) + 1):  # the letters so far may be such a name
                found[token.start + length - 1] = token.word[:length] in seen
        if token.kind == "name" and not iskeyword(token.text):
            seen.add(token.text)
    return found


def in_attribute(text: str) -> Labels:
    """From the dot after a name, a closing bracket, a string or a number to the end of the attribute's name.

    Example:
        a.bc = f(d).e + .5
        011100000001100000
    """
    found = np.zeros(len(text), dtype=np.int8)
    before = previous = NOTHING
    for token in tokens(text):
        if token.text[0] == "." and _has_attributes(previous):
            found[token.start] = 1
        elif token.kind == "name" and previous.text == "." and _has_attributes(before):
            found[token.start : token.end] = 1
        if token.kind != "comment":
            before, previous = previous, token
    return found


def _has_attributes(token: Token) -> bool:
    return token.kind in (*OPERANDS, "number") and not iskeyword(token.text)


def word_seen(word: str) -> Callable[[str], Labels]:
    """The labelling function of a concept: the word has occurred in the text so far, as a whole name or keyword.

    A longer word with the same beginning counts only while its letters so far are the word.
    """

    def labels(text: str) -> Labels:
        found = np.zeros(len(text), dtype=np.int8)
        for token in tokens(text):
            if token.kind in ("name", "string") and token.word.startswith(word):
                last = token.start + len(word) - 1
                found[last : None if token.word == word else last + 1] = 1
                if token.word == word:
                    break
        return found

    labels.__doc__ = f"`{word}` has occurred.\n\nExample:\n    ({word})\n    {'0' * len(word)}11"
    return labels


word_seen_self = word_seen("self")
word_seen_return = word_seen("return")
word_seen_for = word_seen("for")
word_seen_open = word_seen("open")
word_seen_set = word_seen("set")
word_seen_lambda = word_seen("lambda")
