"""Concepts of open brackets: how many, of which kind, and what they enclose."""

from dataclasses import dataclass
from functools import lru_cache
from keyword import iskeyword
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int64

from benchmark.concepts.lexer import NOTHING, Labels, Token, tokens

KINDS = "([{"

Role = Literal["call", "signature", "bases", "group", "index", "list", "braces"]
"""What a bracket encloses: arguments, parameters, the bases of a class, an expression or tuple, an index, ..."""


class Open(NamedTuple):
    """An open bracket: its index in `KINDS` plus 1, whether it is that of an index, in a call, and in a signature."""

    kind: int
    subscript: bool
    call: bool
    signature: bool


@dataclass(frozen=True, eq=False)
class Brackets:
    """The number of open brackets after each character, and the fields of the innermost one (0 if there is none)."""

    depth: Int64[np.ndarray, " character"]
    kind: Int64[np.ndarray, " character"]
    subscript: Int64[np.ndarray, " character"]
    call: Int64[np.ndarray, " character"]
    signature: Int64[np.ndarray, " character"]


@lru_cache(maxsize=1)
def brackets(text: str) -> Brackets:
    """The brackets of a text, apart from those in strings and comments."""
    stack = [Open(0, False, False, False)]
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


def role_of(token: Token, previous: Token, before: Token) -> Role:
    """What an opening bracket encloses, from the two tokens before it."""
    named = previous.kind == "name" and not iskeyword(previous.text)
    if token.text == "{":
        return "braces"
    if token.text == "[":
        return "index" if named or previous.kind in ("close", "string") else "list"
    if named and before.text in ("def", "class"):
        return "signature" if before.text == "def" else "bases"
    return "call" if named or previous.kind == "close" else "group"


def _opened(token: Token, previous: Token, before: Token, around: Open) -> Open:
    role = role_of(token, previous, before)
    call, signature = around.call or role == "call", around.signature or role == "signature"
    return Open(KINDS.index(token.text) + 1, role == "index", call, signature)


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


def in_index(text: str) -> Labels:
    """The innermost open bracket is a `[` that follows a name, a closing bracket or a string.

    Example:
        x[y[2], f(3)], [4]
        011111111001000000
    """
    return np.asarray(brackets(text).subscript, dtype=np.int8)
