"""Figures of studies that have commands of their own: the sweep of operating points, and the regret of the finder."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.report.figures.data import Axis, Emphasis, Figure, Point, Series, series_of
from benchmark.report.figures.estimates import sentences
from benchmark.report.figures.style import order
from benchmark.report.figures.tables import Tables

if TYPE_CHECKING:
    from benchmark.studies.frontier import SweepRow
    from benchmark.studies.regret_table import Summary


def sweep(tables: Tables) -> Figure:
    """Circuit size against loss over the operating points of each method."""
    leading = next(iter(tables.board.rules.references), "")
    series = []
    for family in sorted({row.family for row in tables.sweep}, key=lambda name: (order(name), name)):
        rows = [row for row in tables.sweep if row.family == family]
        for dominated, name, emphasis in _KINDS:
            points = [_operating_point(row, leading) for row in rows if bool(row.dominated) == dominated]
            drawn = [point for point in points if point is not None]
            if drawn:
                series.append(series_of(family + name, drawn, method=family, emphasis=emphasis))
    unreached = [f"{row.family} {row.point}" for row in tables.sweep if row.status != "ok"]
    return Figure(
        name="sweep",
        title="Circuit size against loss over L0, width and density",
        caption=sentences(
            "Down and to the left is better. Each point is one setting of a method; those that are open are dominated: "
            f"another has neither more loss nor larger circuits. Sizes are relative to {leading} as the preset has it: "
            "geometric means over the tasks and seeds that both reach. Intervals are 95 %, over tasks.",
            f"Without a circuit: {', '.join(unreached)}." if unreached else "",
        ),
        x=Axis("validation loss", "nats per token"),
        y=Axis(f"circuit size relative to {leading}", "", log=True),
        series=tuple(series),
        missing=_without_points(tables, series, leading),
    )


def _without_points(tables: Tables, series: Sequence[Series], leading: str) -> tuple[str, ...]:
    """Why no operating point is drawn."""
    if series or not tables.sweep:
        return _missing(tables, series, "operating point", "sweep all")
    families = ",".join(dict.fromkeys([leading, *(row.family for row in tables.sweep)]))
    sweep = tables.command(f"sweep {families}")
    return (f"No operating point has circuits that can be compared with those of {leading}; {sweep} sweeps both.",)


_KINDS: tuple[tuple[bool, str, Emphasis], ...] = ((False, "", "normal"), (True, ", dominated", "secondary"))
"""What is drawn of each family: whether dominated, what its name ends in, and how it is drawn."""


def _operating_point(row: "SweepRow", leading: str) -> Point | None:
    """A point; `None` if it has no circuit that can be compared."""
    own = row.family == leading
    ratio, low, high, tasks = (
        (row.over_own, row.over_own_low, row.over_own_high, row.over_own_tasks)
        if own
        else (row.over_reference, row.over_reference_low, row.over_reference_high, row.over_reference_tasks)
    )
    if own and row.status == "ok" and ratio is None and row.size is not None:
        ratio = 1.0  # the preset's own point, which the others are compared with
    if ratio is None or ratio <= 0 or row.validation_loss is None:
        return None
    over = f" over {tasks} tasks" if tasks else ""
    text = f"{row.family} {row.point}: {ratio:.3g} times as large{over}, loss {row.validation_loss:.3f}"
    return Point(row.validation_loss, ratio, text, y_limits=(low, high))


def regret(tables: Tables) -> Figure:
    """How far each search's circuits exceed the smallest that any search has found."""
    table = tables.regret
    found: list[Summary] = []
    if table is not None:
        from benchmark.studies.regret_table import summaries

        found = summaries(table)
    names = tuple(f"{each.algorithm} x{each.factor}" for each in found)
    methods = sorted({method for each in found for method in each.by_method}, key=lambda name: (order(name), name))
    series = []
    for method in methods:
        points = [
            Point(float(number), each.by_method[method], f"{names[number]}: {each.by_method[method]:.0%}")
            for number, each in enumerate(found)
            if math.isfinite(each.by_method.get(method, math.nan))
        ]
        if points:
            series.append(series_of(method, points, method=method))
    return Figure(
        name="regret",
        title="How far circuits exceed the smallest known",
        caption=(
            "Lower is better: the number of edges over the fewest that any search has found for the same model and "
            "task, minus one; medians over circuits. Columns are searches, with their budget as a multiple of the "
            "preset's; exchanges is the search that finds the circuits of a run."
        ),
        x=Axis("search", categories=names),
        y=Axis("regret", "share of edges"),
        series=tuple(series),
        missing=_missing(tables, series, "search to compare with", "regret"),
    )


def _missing(tables: Tables, series: Sequence[Series], what: str, command: str) -> tuple[str, ...]:
    if series:
        return ()
    return (f"There is no {what}; {tables.command(command)} makes the table.",)
