"""Figures of faithfulness: under each ablation, and off the prompts that circuits were discovered on."""

from collections.abc import Callable, Sequence

from benchmark.leaderboard.ranking import EntryKey
from benchmark.metrics.registry import SHIFTED
from benchmark.report.figures.data import Axis, Figure, Point, Series, series_of
from benchmark.report.figures.estimates import (
    Values,
    emphasis,
    estimate,
    intervals_over,
    label,
    listed_sentence,
    metric_values,
    sentences,
    shown,
)
from benchmark.report.figures.tables import Tables

LEAST = "least of four"
"""The name of the robust faithfulness among the ablations."""


def ablations(tables: Tables) -> Figure:
    """Faithfulness of each method's circuits under each ablation."""
    from benchmark.studies.ablation_comparison import ABLATIONS, faithfulness_under

    board = tables.board

    def values(place: EntryKey, name: str) -> Values:
        if name == LEAST:
            return metric_values(board, place, "robust_faithfulness")
        return faithfulness_under(board, place, name)

    names = (*ABLATIONS, LEAST)
    series, told = _by_category(tables, names, values, "faithfulness")
    return Figure(
        name="ablations",
        title="Faithfulness under each ablation",
        caption=sentences(
            "Higher is better: 1 is the whole model, 0 is everything ablated. Circuits were discovered under "
            f"{board.rules.ablation} ablation; where the score falls elsewhere, circuits rely on that choice. "
            "Each method is shown over the circuits that it reaches.",
            *told,
        ),
        x=Axis("ablation", categories=tuple(name.replace("_", " ") for name in names)),
        y=Axis("faithfulness"),
        series=series,
        missing=_missing(tables, series, "faithfulness"),
    )


def off_distribution(tables: Tables) -> Figure:
    """How often circuits answer as their whole models do when prompts are changed."""
    names = tuple(SHIFTED)
    series, told = _by_category(
        tables,
        names,
        lambda place, name: metric_values(tables.board, place, f"agreement_{name}"),
        f"agreement_{names[0]}",
    )
    return Figure(
        name="off_distribution",
        title="Agreement with the whole model off the task's prompts",
        caption=sentences(
            "Higher is better: the share of changed prompts that a circuit answers as its whole model does. "
            f"{'; '.join(f'{name}: {how}' for name, how in SHIFTED.items())}.",
            *told,
        ),
        x=Axis("change of the prompts", categories=tuple(name.replace("_", " ") for name in names)),
        y=Axis("agreement", "share of prompts"),
        series=series,
        missing=_missing(tables, series, "agreement off the task's prompts"),
    )


def _by_category(
    tables: Tables, names: Sequence[str], values: Callable[[EntryKey, str], Values], metric: str
) -> tuple[tuple[Series, ...], tuple[str, str]]:
    """A series per row with a point per category that it has a value in, and sentences about them."""
    series, overs = [], []
    for place in shown(tables.board):
        points = []
        for number, name in enumerate(names):
            found = estimate(values(place, name), metric)
            if found is not None:
                overs.append(found.over)
                points.append(Point(float(number), found.value, f"{name}: {found.value:.2f}", y_limits=found.limits))
        if points:
            drawn = emphasis(tables.board, place)
            series.append(series_of(label(place), points, method=place.method, variant=place.variant, emphasis=drawn))
    return tuple(series), (intervals_over(overs), listed_sentence(tables.board) if series else "")


def _missing(tables: Tables, series: Sequence[Series], what: str) -> tuple[str, ...]:
    if series:
        return ()
    run = tables.command(f"run --preset {tables.board.preset} --method all")
    return (f"There is no {what} of circuits; {run} measures it.",)
