"""Concepts of clauses: lambdas, comprehensions, conditions, and what a value is given to."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Int64

from benchmark.concepts import levels
from benchmark.concepts.levels import Level, after, beginning, ends_expression, opened
from benchmark.concepts.lexer import NOTHING, Labels, tokens


@dataclass(frozen=True, eq=False)
class Clauses:
    """After each character, the bits of the clauses that it is in, and argument and function of the innermost call."""

    bits: Int64[np.ndarray, " character"]
    argument: Int64[np.ndarray, " character"]
    called: Int64[np.ndarray, " character"]

    def within(self, clause: int) -> Labels:
        """Labels of a kind of clause."""
        return np.asarray(self.bits & clause > 0, dtype=np.int8)


@lru_cache(maxsize=1)
def clauses(text: str) -> Clauses:
    """The clauses of a text.

    A word counts from its last letter on; a longer word with the same beginning counts for that one character.
    """
    stack = [Level(None)]
    rows = [_row(0, stack[0])]
    before = previous = NOTHING
    for token in tokens(text):
        begins = previous.kind == "newline" or (previous.text == "async" and before.kind == "newline")
        part, continues = beginning(token), ends_expression(previous)
        if part and part != token.text:  # the characters so far may be one of the words or signs
            last = token.start + len(part) - 1
            rows += [_row(last, after(stack[-1], part, begins, continues)), _row(last + 1, stack[-1])]
        elif part or token.kind in ("open", "close", "newline"):
            if token.kind == "open":
                stack.append(opened(token, previous, before, stack[-1]))
            elif token.kind == "close":
                stack = stack[:-1] or stack
            else:
                stack[-1] = after(stack[-1], part, begins, continues) if part else Level(None)
            rows.append(_row(token.end - 1, stack[-1]))
        if token.kind != "comment":
            before, previous = previous, token
    starts, *columns = np.array(rows, dtype=np.int64).T
    return Clauses(*(np.repeat(column, np.diff(starts, append=len(text))) for column in columns))


def _row(start: int, level: Level) -> tuple[int, int, int, int]:
    return start, level.around | level.own, level.argument, level.called


def in_assigned_value(text: str) -> Labels:
    """After the `=` of an assignment, plain or augmented, to the end of the statement.

    Example:
        x = f(y=3); z
        0011111111000
        f(x=3)
        000000
        x += 3  # y
        00011111111
    """
    return clauses(text).within(levels.ASSIGNED)


def in_condition(text: str) -> Labels:
    """Between the `if`, `elif` or `while` that begins a line and its colon.

    Example:
        if x[1:]: y = 3 if z else 4
        011111110000000000000000000
    """
    return clauses(text).within(levels.CONDITION)


def in_for_target(text: str) -> Labels:
    """Between the `for` of a statement and its `in`.

    Example:
        for x, y in z: [x for x in y]
        00111111110000000000000000000
    """
    return clauses(text).within(levels.FOR_TARGET)


def in_for_iterable(text: str) -> Labels:
    """Between the `in` of a `for` statement and its colon.

    Example:
        for x in f(y): x in y
        000000011111100000000
    """
    return clauses(text).within(levels.FOR_ITERABLE)


def in_comprehension(text: str) -> Labels:
    """From the first `for` of a comprehension to the closing bracket.

    Example:
        [x for x in y]
        00000111111110
        f(format(x))
        000000000000
    """
    return clauses(text).within(levels.COMPREHENSION)


def in_lambda(text: str) -> Labels:
    """From `lambda` to the end of its body.

    Example:
        f(lambda x, y: (x), 3)
        0000000111111111110000
    """
    return clauses(text).within(levels.LAMBDA)


def in_ternary(text: str) -> Labels:
    """From the `if` of a conditional expression to its end; a guard after `case` looks like one.

    Example:
        if x: f(y if z else 3, 4)
        0000000000011111111110000
    """
    return clauses(text).within(levels.TERNARY)


def in_dict_value(text: str) -> Labels:
    """Between the colon of an entry in braces and the following comma or closing brace.

    Example:
        {"a": [3], "b": 4}
        000011111000001110
    """
    return clauses(text).within(levels.DICT_VALUE)
