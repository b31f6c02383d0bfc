"""Concepts of open brackets: how many, of which kind, and what they enclose."""

from dataclasses import dataclass
from functools import lru_cache
from keyword import iskeyword
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from benchmark.concepts.lexer import NOTHING, Labels, Token, tokens

KINDS = "([{"


class Open(NamedTuple):
    """An open bracket: its index in `KINDS` plus 1, and whether it is part of a call's arguments or of a signature."""

    kind: int
    call: bool
    signature: bool


@dataclass(frozen=True, eq=False)
class Brackets:
    """The number of open brackets after each character, and the fields of the innermost one (0 if there is none)."""

    depth: Int64[np.ndarray, " character"]
    kind: Int64[np.ndarray, " character"]
    call: Int64[np.ndarray, " character"]
    signature: Int64[np.ndarray, " character"]


@lru_cache(maxsize=1)
def brackets(text: str) -> Brackets:
    """The brackets of a text, apart from those in strings and comments."""
    stack = [Open(0, False, False)]
    runs = [(0, 0, *stack[0])]
    before = previous = NOTHING
    for token in tokens(text):
        if token.kind == "open":
            stack.append(_opened(token, previous, before, stack[-1]))
        elif token.kind == "close" and len(stack) > 1:
            stack.pop()
        if token.kind in ("open", "close"):
            runs.append((token.start, token.depth, *stack[-1]))
        if token.kind != "comment":
            before, previous = previous, token
    starts, *columns = np.array(runs, dtype=np.int64).T
    lengths = np.diff(starts, append=len(text))
    return Brackets(*(np.repeat(column, lengths) for column in columns))


def _opened(token: Token, previous: Token, before: Token, around: Open) -> Open:
    round_ = token.text == "("
    named = previous.kind == "name" and not iskeyword(previous.text)
    call = round_ and (previous.kind == "close" or (named and before.text not in ("def", "class")))
    signature = round_ and named and before.text == "def"
    return Open(KINDS.index(token.text) + 1, around.call or call, around.signature or signature)


def bracket_depth(text: str) -> Labels:
    """How many brackets are open: none, one, or more.

    Example:
        x = [[3], f(5)]
        000012211112210
    """
    return np.asarray(np.minimum(brackets(text).depth, 2), dtype=np.int8)


def in_brackets(text: str) -> Labels:
    """Some bracket is open.

    Example:
        x = [3, ")"] + y
        0000111111100000
    """
    return np.asarray(brackets(text).depth > 0, dtype=np.int8)


def _innermost(text: str, kind: str) -> Labels:
    return np.asarray(brackets(text).kind == KINDS.index(kind) + 1, dtype=np.int8)


def in_parentheses(text: str) -> Labels:
    """The innermost open bracket is `(`.

    Example:
        f(x[2], {})
        01100111010
    """
    return _innermost(text, "(")


def in_square_brackets(text: str) -> Labels:
    """The innermost open bracket is `[`.

    Example:
        f(x[2], [])
        00011000100
    """
    return _innermost(text, "[")


def in_braces(text: str) -> Labels:
    """The innermost open bracket is `{`.

    Example:
        x = {"a": [3]}
        00001111110010
    """
    return _innermost(text, "{")


def in_call(text: str) -> Labels:
    """Among the arguments of a call, at any depth.

    These are the parentheses after a name or a closing bracket; keywords and the name after `def` or `class` do not
    count. A class pattern after `case` counts, because it looks like a call.

    Example:
        if (x): f(a, [b])(c)
        00000000011111110110
        class A(B): pass
        0000000000000000
    """
    return np.asarray(brackets(text).call, dtype=np.int8)


def in_def_signature(text: str) -> Labels:
    """Between the parentheses of a `def`, at any depth.

    Example:
        def f(a, b=(3)): g(a)
        000001111111110000000
    """
    return np.asarray(brackets(text).signature, dtype=np.int8)
