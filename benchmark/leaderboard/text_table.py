"""The leaderboard as a text table that fits a terminal of 80 columns."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from rich.table import Table

from benchmark.leaderboard.ranking import DIRECT

Row = Mapping[str, str]
"""A row of `leaderboard.csv`, as text."""


def leaderboard_table(rows: Sequence[Row], width: int = 80) -> Table:
    """The rows of `leaderboard.csv` as a table of some width, with a heading line per preset, graph and group."""
    table = Table(caption=CAPTION, caption_justify="left", width=width, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in SHOWN:
        table.add_column(name, no_wrap=True, justify="left" if name in ("method", "variant") else "right")
    for (preset, heading), group in groupby(rows, key=lambda row: (row["preset"], _heading(row))):
        table.add_row("", heading, preset, style="bold")
        for row in group:
            table.add_row(*(show(row) for show in SHOWN.values()))
        table.add_row()
    return table


def _heading(row: Row) -> str:
    """What a row stands under: its graph, and in the unit graph also whether and with which others it is ranked."""
    if row["graph"] != "unit" or row["group"] == DIRECT:
        return f"{row['graph'] or 'no'} graph"
    return "opaque edges" if row["group"] else "listed only"


def _tasks(row: Row) -> str:
    """Tasks reached / tasks that the whole model solves; means over seeds have one digit."""
    return "/".join(f"{float(row[name]):.1f}".removesuffix(".0") for name in ("tasks_reached", "tasks_solved"))


def _count(text: str) -> str:
    """A size in at most five characters; empty if there is none."""
    size = float(text) if text else 0.0
    if size < 9_999.5:
        return f"{size:.0f}" if text else ""
    scaled, letter = (size / 1e3, "k") if size < 9_999_500 else (size / 1e6, "M")
    return f"{scaled:.{1 if scaled < 99.95 else 0}f}{letter}"


def _digits(text: str) -> str:
    return f"{float(text):.2f}" if text else ""


SHOWN: Mapping[str, Callable[[Row], str]] = {
    "#": lambda row: row["rank"],
    "method": lambda row: row["method"],
    "variant": lambda row: "" if row["variant"] == "native" else row["variant"].removeprefix("errors_"),
    "n": lambda row: row["seeds"],
    "tasks": _tasks,
    "area": lambda row: _digits(row["profile_area"]),
    "edges": lambda row: _count(row["edges"]),
    "verif": lambda row: _count(row["verified_edges"]),
    "faith": lambda row: _digits(row["faithfulness"]),
    "robst": lambda row: _digits(row["robust_faithfulness"]),
    "label": lambda row: _digits(row["pooled_label_score"]),
    "loss": lambda row: _digits(row["validation_loss"]) + "!" * (row["status"] == "unmatched"),
}
"""The columns of the table, by heading."""

METRICS_SHOWN = {
    "area": "profile_area",
    "edges": "edges",
    "verif": "verified_edges",
    "faith": "faithfulness",
    "robst": "robust_faithfulness",
    "label": "pooled_label_score",
    "loss": "validation_loss",
}
"""The columns with an interval, by heading: the metric that they show."""


def shown_limits(row: Row, heading: str) -> str:
    """The 95 % interval over seeds of what a column shows; empty without one."""
    metric = METRICS_SHOWN.get(heading, "")
    low, high = (row.get(f"{metric}_{end}", "") for end in ("low", "high"))
    show = _count if metric.endswith("edges") else _digits
    return f"[{show(low)}, {show(high)}]" if low and high else ""


CAPTION = """n: training seeds; tasks: reached / solved by the whole model
area: under the performance profile; decides the rank
opaque edges: each runs through whole layers, so these rows are ranked apart
edges: between kept nodes; verif: those it needs; geometric means, tasks reached
faith: faithfulness; robst: the least under four ablations
label: label replacement score, pooled over concepts
loss: next-token loss, validation (!: unmatched)"""
