"""Figures of what is measured of whole models as something grows: errors over layers, and a list that gets longer."""

from collections.abc import Iterable, Sequence

from benchmark.records.curves import CurveRow
from benchmark.report.figures.data import Axis, Emphasis, Figure, Point, Series, series_of
from benchmark.report.figures.estimates import Item, estimate, intervals_over, sentences
from benchmark.report.figures.style import order
from benchmark.report.figures.tables import Tables

_CURVES: tuple[tuple[str, str, Emphasis], ...] = (("", "kl", "normal"), (", added up", "additive_kl", "secondary"))
"""What is drawn of each dictionary: what its name ends in, the series of the table, and how it is drawn."""


def compounding(tables: Tables) -> Figure:
    """How far a dictionary's model is from its reference model as more of its layers are replaced."""
    rows = [row for row in tables.curves if row.curve == "error_compounding"]
    series: list[Series] = []
    overs: list[str] = []
    for method in _methods(tables, rows):
        for name, which, emphasis in _CURVES:
            own = [row for row in rows if (row.method, row.series) == (method, which)]
            line, over = _line(method + name, own, "replaced_kl", emphasis)
            series, overs = [*series, *line], [*overs, *over]
    return Figure(
        name="compounding",
        title="Errors of dictionaries over layers",
        caption=sentences(
            "Lower is better: KL from the reference model when the first layers are replaced by their reconstructions. "
            "Dashed: the sum over these layers, each replaced alone; a line above it says that errors make each other "
            "worse.",
            intervals_over(overs),
        ),
        x=Axis("layers replaced"),
        y=Axis("KL from the reference model", "nats per token"),
        series=tuple(series),
        missing=_missing(tables, series, "curve of error compounding", "of a method with dictionaries"),
    )


def dilution(tables: Tables) -> Figure:
    """How well models know the depth of brackets as a list gets longer."""
    rows = [
        row
        for row in tables.curves
        if (row.curve, row.series) == ("context_dilution", "separation")
        and (row.method, row.variant) not in tables.board.rules.unranked
    ]
    series: list[Series] = []
    overs: list[str] = []
    for method in _methods(tables, rows):
        line, over = _line(method, [row for row in rows if row.method == method])
        series, overs = [*series, *line], [*overs, *over]
    return Figure(
        name="dilution",
        title="Knowledge of bracket depth over the length of a list",
        caption=sentences(
            "How much the logit difference of the two answers changes from a flat list to a nested one: 0 is a model "
            "that does not know the depth.",
            intervals_over(overs),
        ),
        x=Axis("elements in the list", "", log=True),
        y=Axis("separation of flat and nested", "nats"),
        series=tuple(series),
        missing=_missing(tables, series, "curve of context dilution", "of a transformer"),
    )


def _methods(tables: Tables, rows: Iterable[CurveRow]) -> list[str]:
    """The methods of some rows in the order of legends, controls left out."""
    return sorted({row.method for row in rows} - tables.board.rules.controls, key=lambda name: (order(name), name))


def _line(
    name: str, rows: Sequence[CurveRow], metric: str = "", emphasis: Emphasis = "normal"
) -> tuple[list[Series], list[str]]:
    """A line through the means over seeds at each x, with what the intervals are over; none without rows."""
    at: dict[float, dict[Item, float]] = {}
    for row in rows:
        at.setdefault(float(row.x), {})["", row.seed] = row.value
    points, overs = [], []
    for x, values in sorted(at.items()):
        found = estimate(values, metric)
        if found is not None:
            overs.append(found.over)
            points.append(Point(x, found.value, f"{x:g}: {found.value:.3g}", y_limits=found.limits))
    if not points:
        return [], []
    first = rows[0]
    return [series_of(name, points, method=first.method, variant=first.variant, line=True, emphasis=emphasis)], overs


def _missing(tables: Tables, series: Sequence[Series], what: str, whose: str) -> tuple[str, ...]:
    if series:
        return ()
    run = tables.command(f"run --preset {tables.board.preset} --method all")
    return (f"There is no {what} {whose}; {run} measures it.",)
