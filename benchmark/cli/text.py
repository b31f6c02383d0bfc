"""How the commands print: tables and paragraphs of at most 80 columns."""

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 80
"""Columns of tables and paragraphs."""


def table_lines(table: "Table") -> list[str]:
    """The lines of a table, without colours."""
    from rich.console import Console

    text = io.StringIO()
    Console(file=text, width=WIDTH, color_system=None).print(table)
    return [line.rstrip() for line in text.getvalue().splitlines()]


def in_colour() -> bool:
    """Whether to print in colour: on a terminal only, and not if `NO_COLOR` is set (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def three_digits(value: float) -> str:
    """A number of three digits, or all digits before the point of a larger one, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
