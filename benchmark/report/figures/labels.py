"""The figure of labels: does what a node detects say what it does?"""

from collections.abc import Mapping

from benchmark.leaderboard.ranking import Board, EntryKey
from benchmark.records.table import Record
from benchmark.report.figures.data import Axis, Figure, Point, Series, series_of
from benchmark.report.figures.estimates import Item, emphasis, label, shown
from benchmark.report.figures.tables import Tables
from benchmark.validity.name_verdicts import HALF, NAMED, name_verdict

SCORE, OWN, PRECISION = "label_replacement_score", "quantised_score", "top_k_precision"

VIEW = (-0.6, 1.2)
"""The scores that are shown: they have no lower bound, and single ones are far below all others."""


def labels(tables: Tables) -> Figure:
    """Observational precision of the best detector of each concept against its label replacement score."""
    board = tables.board
    series: list[Series] = []
    undefined = 0
    for place in shown(board):
        scores, precisions, own = (_rows(board, place, metric) for metric in (SCORE, PRECISION, OWN))
        undefined += len({*precisions} - {*scores})
        plain: list[Point] = []
        marked: list[Point] = []
        for item, row in scores.items():
            if item in precisions and row.value is not None:
                illusion = _is_illusion(row, own.get(item), precisions[item])
                (marked if illusion else plain).append(_point(item, row, precisions[item]))
        name = label(place)
        if plain:
            drawn = emphasis(board, place)
            series.append(series_of(name, plain, method=place.method, variant=place.variant, emphasis=drawn))
        if marked:
            ringed = f"{name}, illusions"
            series.append(series_of(ringed, marked, method=place.method, variant=place.variant, emphasis="highlight"))
    return Figure(
        name="labels",
        title="What nodes detect against what they do",
        caption=(
            "One point per concept, method and training seed. Right: the concept holds wherever its best detector is "
            "most active. Up: labels of the concept can replace that node (1: as well as the node itself, 0: no better "
            "than its mean). Ringed, an illusion: at the right border, where a person would name the node after the "
            f"concept (precision {NAMED:g} or more), the labels fail (below {HALF:g} by the interval) although the "
            f"node's own value at as many levels does not ({HALF:g} or more). Intervals are 95 %, over windows of "
            "documents. "
            f"{undefined} scores are undefined and not drawn."
        ),
        x=Axis("precision at the most active positions"),
        y=Axis("label replacement score", view=VIEW),
        series=tuple(series),
        missing=_missing(tables, series),
    )


def _rows(board: Board, place: EntryKey, metric: str) -> Mapping[Item, Record]:
    """A metric's rows by concept and seed; concepts that the current token decides are left out."""
    return {at: row for at, row in board.reached(place, metric).items() if row.concept and not row.task}


def _is_illusion(score: Record, own: Record | None, precision: Record) -> bool:
    """Whether a person would give the node the concept's name, and the name would mislead."""
    known = (score.value, score.low, score.high, None if own is None else own.value, precision.value)
    if None in known:
        return False
    *scores, shown = (float(value) for value in known if value is not None)
    return shown >= NAMED and name_verdict(*scores) == "illusion"


def _point(item: Item, score: Record, precision: Record) -> Point:
    assert score.value is not None
    assert precision.value is not None
    concept, seed = item
    text = f"{concept}, seed {seed}: score {score.value:.2f}, precision {precision.value:.2f}"
    return Point(precision.value, score.value, text, y_limits=(score.low, score.high))


def _missing(tables: Tables, series: list[Series]) -> tuple[str, ...]:
    if series:
        return ()
    run = tables.command(f"run --preset {tables.board.preset} --method all")
    return (f"No concept has a label replacement score; {run} computes them.",)
