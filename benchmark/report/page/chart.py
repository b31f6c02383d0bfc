"""A figure as an interactive chart with a table of its numbers behind it."""

from collections.abc import Iterator

from benchmark.report.figures.data import Axis, Figure, Series
from benchmark.report.figures.style import style
from benchmark.report.page.table import Cell, Column, Table, number, table
from benchmark.report.page.templating import embedded, rendered
from benchmark.report.words import counted, limits, listed

DIGITS = 6
"""Significant digits of a coordinate."""


def chart(figure: Figure) -> str:
    """A figure as HTML; empty if it has nothing to draw. The browser draws it once it comes into view.

    Args:
        figure: The figure; a page may show each only once, since its name is part of an id.
    """
    if not figure.series:
        return ""
    names = listed([series.name for series in figure.series])
    return rendered(
        "chart.html",
        figure=figure,
        described=f"{figure.title}. {figure.y.title} against {figure.x.title}, for {names}.",
        data=embedded(_drawn(figure)),
        table=table(_table(figure)),
        points=counted(sum(map(len, figure.series)), "point"),
    )


def _drawn(figure: Figure) -> dict[str, object]:
    """What the script draws."""
    return {"x": _axis(figure.x), "y": _axis(figure.y), "series": [_series(each) for each in figure.series]}


def _axis(axis: Axis) -> dict[str, object]:
    return {"title": axis.title, "log": axis.log, "categories": list(axis.categories)}


def _series(series: Series) -> dict[str, object]:
    drawn = style(series.method)
    names = ("x", "y", "x_low", "x_high", "y_low", "y_high")
    return {
        "name": series.name,
        "colours": [drawn.light, drawn.dark],
        "marker": drawn.marker,
        "line": series.line,
        "emphasis": series.emphasis,
        "text": list(series.text),
        **{name: [_rounded(value) for value in getattr(series, name)] for name in names},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def _table(figure: Figure) -> Table:
    axes = (figure.x, figure.y)
    columns = [Column("Series"), *(Column(axis.title, numeric=not axis.categories) for axis in axes), Column("Point")]
    return Table(f"{figure.title}: every point of the chart", columns, list(_rows(figure)))


def _rows(figure: Figure) -> Iterator[list[Cell | str]]:
    for series in figure.series:
        for at, text in enumerate(series.text):
            x = _coordinate(figure.x, series.x[at], series.x_low[at], series.x_high[at])
            y = _coordinate(figure.y, series.y[at], series.y_low[at], series.y_high[at])
            yield [series.name, x, y, text]


def _coordinate(axis: Axis, value: float, low: float | None, high: float | None) -> Cell:
    """A coordinate as a number, or as the name of its category; several points may stand side by side at one."""
    if not axis.categories:
        return number(value, low, high)
    name = axis.categories[min(max(round(value), 0), len(axis.categories) - 1)]
    return Cell(name, note=limits(low, high))
