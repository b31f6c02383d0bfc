"""The standard figures as data, from the tables of a results folder alone. Imports no torch."""

from collections.abc import Callable, Mapping

from benchmark.report.figures.claims import compounding, dilution
from benchmark.report.figures.data import Axis, Figure, Series
from benchmark.report.figures.faithfulness import ablations, off_distribution
from benchmark.report.figures.labels import labels
from benchmark.report.figures.sizes import profile, size_faithfulness, size_loss, task_sizes
from benchmark.report.figures.studies import regret, sweep
from benchmark.report.figures.tables import Tables

__all__ = ["FIGURES", "Axis", "Figure", "Series", "Tables", "figure"]

_DRAWN: tuple[Callable[[Tables], Figure], ...] = (
    size_loss,
    size_faithfulness,
    profile,
    task_sizes,
    ablations,
    off_distribution,
    labels,
    compounding,
    dilution,
    sweep,
    regret,
)

FIGURES: Mapping[str, str] = {draw.__name__: (draw.__doc__ or "").splitlines()[0] for draw in _DRAWN}
"""The figures by name, each with a sentence."""


def figure(name: str, tables: Tables) -> Figure:
    """A figure by name.

    Args:
        name: One of `FIGURES`.
        tables: The tables that it is drawn from.

    Raises:
        ValueError: In one line, if there is no such figure, with the choices; or if a table cannot be read.
    """
    for draw in _DRAWN:
        if draw.__name__ == name:
            return draw(tables)
    raise ValueError(f"unknown figure {name!r}; choose from {', '.join(FIGURES)}")
