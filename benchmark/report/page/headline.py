"""The leaderboard on the page: the ranked rows, and in tables of their own those that are listed only."""

from collections.abc import Iterator, Mapping, Sequence

from benchmark.leaderboard.ranking import OPAQUE, LeaderboardRow, Summary
from benchmark.report.contrast_text import as_read
from benchmark.report.page.source import PageRun
from benchmark.report.page.table import Cell, Column, Table, number
from benchmark.report.words import NONE, limits, short

METRICS_SHOWN: Mapping[str, tuple[Column, int | None]] = {
    "verified_edges": (Column("Edges needed", "verified; fewer is better", numeric=True), None),
    "edges": (Column("All edges", "of the circuit", numeric=True), None),
    "faithfulness": (Column("Faithful", "1 is the model", numeric=True), 2),
    "robust_faithfulness": (Column("Robust", "least of four", numeric=True), 2),
    "pooled_label_score": (Column("Labels", "1: as good", numeric=True), 2),
    "validation_loss": (Column("Loss", "nats", numeric=True), 2),
}
"""The metrics of the headline table by name in the records: their column, and how many decimals they have."""

OPAQUE_SHOWN: Mapping[str, tuple[Column, int | None]] = {
    "opaque_weights": (Column("Opaque", "weights inside the edges", numeric=True), None),
}
"""What the rows that are ranked apart have beside them."""

STATUS_WORDS = {
    "ok": "ok",
    "one_seed": "one seed",
    "unmatched": "loss not matched",
    "undefined": "not ranked yet",
    "failed": "failed",
}
"""What the status of a row says, in words."""


def headline(run: PageRun) -> list[Table]:
    """The rows in tables of their own: ranked, listed in the unit graph, and in the channel graph."""
    groups: dict[str, list[LeaderboardRow]] = {}
    for row in run.leaderboard:
        groups.setdefault(_group(run, row), []).append(row)
    return [_table(run, caption, rows) for caption, rows in groups.items()]


def _group(run: PageRun, row: LeaderboardRow) -> str:
    if row.place.graph == "channel":
        return "Channel graph, the one of the published result: listed, not ranked"
    if row.group == OPAQUE:
        return "Ranked apart, unit graph: each edge runs through a whole attention layer and MLP"
    if row.group:
        return "Ranked, unit graph: rank is by the area under the performance profile"
    return "Listed, not ranked: null baselines, and other ways to read the same model"


def _table(run: PageRun, caption: str, rows: Sequence[LeaderboardRow]) -> Table:
    against, leading = _against_lead(run), run.board.rules.references[:1]
    metrics = {**METRICS_SHOWN, **(OPAQUE_SHOWN if rows[0].group == OPAQUE else {})}
    columns = [
        Column("Method", "variant"),
        Column("Rank", numeric=True),
        Column("Status"),
        Column("Seeds", numeric=True),
        Column("Tasks", "reached", numeric=True),
        Column("Area", "decides the rank", numeric=True),
        *(column for column, _ in metrics.values()),
        *(Column("Size ratio", f"to {name}; over tasks", numeric=True) for name in leading if against),
    ]
    return Table(caption, columns, [list(_cells(row, metrics, against)) for row in rows])


def _cells(
    row: LeaderboardRow, metrics: Mapping[str, tuple[Column, int | None]], against: Mapping[str, Cell]
) -> Iterator[Cell | str]:
    yield Cell(row.place.method, note="" if row.place.variant == "native" else row.place.variant.replace("_", " "))
    yield number(row.rank)
    told = "" if row.status == "one_seed" and row.place.graph == "unit" and row.rank is not None else row.reason
    yield Cell(STATUS_WORDS.get(row.status, row.status), note=told)
    yield number(row.seeds)
    reached, solved = short(row.tasks_reached, 1), short(row.tasks_solved, 1)
    yield Cell(reached.removesuffix(".0"), row.tasks_reached, f"of {solved.removesuffix('.0')}, {row.tasks}")
    yield _summary(row.profile_area, 2)
    for metric, (_, decimals) in metrics.items():
        yield _summary(row.scores.get(metric, Summary()), decimals)
    if against:
        ranked = row.rank is not None and row.place.graph == "unit"
        yield against.get(row.place.method, Cell(NONE)) if ranked else Cell(NONE)


def _summary(summary: Summary, decimals: int | None) -> Cell:
    return number(summary.value, summary.low, summary.high, decimals)


def _against_lead(run: PageRun) -> dict[str, Cell]:
    """By method, how large its circuits are relative to those of the leading reference, and whether that is certain."""
    found: dict[str, Cell] = {}
    for each in run.comparisons:
        (one,) = [contrast for contrast in each.contrasts if contrast.is_ratio]
        if each.first.method in run.board.rules.references[:1] and one.pairs:
            mean, low, high, *_ = one.difference  # of the reference over the other method, as logs
            ratio, between = short(as_read(one, -mean)), limits(as_read(one, -high), as_read(one, -low))
            certain = "certain" if one.concluded else "undecided"
            found[each.second.method] = Cell(ratio, as_read(one, -mean), f"{between} {certain}".strip())
    return found
