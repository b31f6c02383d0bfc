"""Tables in HTML for notebooks; all text is escaped, since names may come from files of strangers."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(header: Sequence[object], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """A table without styles, scripts or anything from elsewhere.

    Args:
        header: The headings of the columns.
        rows: The cells of each row, shown as text.
        caption: A line above the table; none if left out.
    """
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    head = _row("th", header)
    return f"<table>{above}<thead>{head}</thead><tbody>{''.join(_row('td', row) for row in rows)}</tbody></table>"


def _row(kind: str, cells: Iterable[object]) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(str(cell))}</{kind}>' for cell in cells)}</tr>"
