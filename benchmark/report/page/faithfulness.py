"""Faithfulness: under each ablation, off the task's prompts, over layers and lengths, and over L0 and width."""

import math
from collections.abc import Sequence

from benchmark.report.page.chart import chart
from benchmark.report.page.section import Section
from benchmark.report.page.source import PageRun
from benchmark.report.page.table import Cell, Column, Table, number, table
from benchmark.report.page.templating import rendered
from benchmark.report.words import short
from benchmark.studies.ablation_comparison import Under, under_ablations, under_shifts
from benchmark.studies.frontier import SweepRow

PARTS = {
    "ablations": "Does the ablation change the picture?",
    "off_distribution": "Do circuits hold off the task's prompts?",
    "compounding": "Do errors of dictionaries compound over layers?",
    "dilution": "Does a longer context dilute what models know?",
    "sweep": "Does another L0, width or density change it?",
}
"""The headings, by the figure that is shown first below each."""


def section(run: PageRun) -> Section:
    """How far circuits can be trusted to be what the model does."""
    figures = {name: run.figure(name) for name in PARTS}
    below = {
        "ablations": table(_order(run, "Mean faithfulness by ablation", under_ablations(run.board))),
        "off_distribution": table(_order(run, "Mean agreement by change of the prompts", under_shifts(run.board))),
        "sweep": table(_sweep(run.sweep)),
    }
    parts = [(name, heading, chart(figures[name]), below.get(name, "")) for name, heading in PARTS.items()]
    shown = [part for part in parts if part[2] or part[3]]
    missing = tuple(sentence for figure in figures.values() for sentence in figure.missing)
    return Section("faithfulness", "Faithfulness", rendered("faithfulness.html", parts=shown), missing)


def _order(run: PageRun, caption: str, rows: Sequence[Under]) -> Table:
    """A row per ablation or change, a column per method, and how well it keeps the order of methods."""
    places = list(dict.fromkeys(place for row in rows for place in row.scores))
    columns = [
        Column("Under"),
        *(
            Column(place.method, place.variant.replace("_", " ").replace("native", ""), numeric=True)
            for place in places
        ),
        Column("Order kept", f"Kendall's tau with {run.board.rules.ablation} ablation", numeric=True),
    ]
    cells: list[list[Cell | str]] = [
        [
            row.name.replace("_", " "),
            *(number(row.scores.get(place)) for place in places),
            number(None if math.isnan(row.tau) else row.tau),
        ]
        for row in rows
    ]
    return Table(caption, columns, cells if places else [])


def _sweep(rows: Sequence[SweepRow]) -> Table:
    columns = [
        Column("Method and setting"),
        Column("Loss", "next token, nats", numeric=True),
        Column("Size", "geometric mean", numeric=True),
        Column("Against its own preset", "ratio of sizes", numeric=True),
        Column("Against the reference", "ratio of sizes", numeric=True),
        Column("Circuits reached", numeric=True),
        Column("Seeds", numeric=True),
        Column("Dominated", "by a smaller circuit at no higher loss"),
        Column("Status"),
    ]
    cells: list[list[Cell | str]] = [
        [
            Cell(row.family, note=row.point),
            number(row.validation_loss),
            number(row.size),
            number(row.over_own, row.over_own_low, row.over_own_high),
            number(row.over_reference, row.over_reference_low, row.over_reference_high),
            Cell(f"{row.circuits_reached} of {row.circuits}", row.circuits_reached),
            Cell(short(row.seeds), row.seeds),
            {True: "yes", False: "no", None: "unknown"}[row.dominated],
            Cell(row.status.replace("_", " "), note=row.reason),
        ]
        for row in rows
    ]
    return Table("Operating points of the sweep", columns, cells)
