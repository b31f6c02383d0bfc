"""The concept of indentation: how many blocks a line is in."""

from bisect import bisect_right

import numpy as np

from benchmark.concepts.lexer import Labels, tokens


def indentation_depth(text: str) -> Labels:
    """How many levels the logical line is indented; within the blanks at its beginning, as if it began there.

    A line that is indented further than the one before opens a level; blank lines and comments open and close none.

    Example:
        if x:
        00000
            if [y,
        1111111111
          z]:
        11111
                    # a
        000122222222222
                if b:
        0001222222222
                    c
        0001111233333
          # d
        00000
        e
        0
    """
    found = np.zeros(len(text), dtype=np.int8)
    widths: list[int] = []
    ends = [token.start for token in tokens(text) if token.kind == "newline"]
    for start, stop in zip([0, *(end + 1 for end in ends)], [*ends, len(text)], strict=True):
        place, column = start, 0
        while place < stop and text[place] in " \t\f\r":
            column = _column(column, text[place])
            found[place] = _level(widths, column)
            place += 1
        found[place:stop] = _level(widths, column)
        if place < stop and text[place] != "#":
            deeper = column > max(widths, default=0)
            widths = [*widths[: bisect_right(widths, column)], *[column] * deeper]
    return found


def _level(widths: list[int], column: int) -> int:
    return min(bisect_right(widths, column) + (column > max(widths, default=0)), 3)


def _column(column: int, blank: str) -> int:
    """The column after a blank, as Python counts it."""
    if blank == "\t":
        return column // 8 * 8 + 8
    return column + 1 if blank == " " else 0 if blank == "\f" else column
