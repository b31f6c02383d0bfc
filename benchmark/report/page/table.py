"""Tables of the page: cells with the numbers that they are sorted by, and a heading and a caption for every table."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.report.page.templating import rendered
from benchmark.report.words import limits, short


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: Its heading.
        note: What it means, in a few words under the heading's button; empty if the heading says it.
        numeric: Whether its cells are numbers.
    """

    title: str
    note: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: What it shows.
        value: The number that it is sorted by; `None` to sort by the text, or last in a column of numbers.
        note: A second, smaller line, such as an interval.
        link: The anchor in the page that the text leads to; empty for none.
    """

    text: str
    value: float | int | None = None
    note: str = ""
    link: str = ""


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its heading.

    Attributes:
        caption: What it shows, read out before it.
        columns: Its columns.
        rows: Their cells; a text is a cell of that text.
        sortable: Whether its columns can be sorted.
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell | str]]
    sortable: bool = True

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.caption


def number(
    value: float | int | None, low: float | None = None, high: float | None = None, decimals: int | None = None
) -> Cell:
    """A cell with a number, and its 95 % interval below if there is one; three digits unless decimals are given."""
    return Cell(short(value, decimals), value, limits(low, high, decimals))


def table(content: Table) -> str:
    """A table as HTML; empty without rows."""
    cells = [[Cell(cell) if isinstance(cell, str) else cell for cell in row] for row in content.rows]
    return rendered("table.html", table=content, rows=cells) if cells else ""
