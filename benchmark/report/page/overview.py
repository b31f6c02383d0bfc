"""The first screen: what was compared, the leaderboard, size against loss and faithfulness, and the claims in a line each."""

from collections.abc import Iterator

from benchmark.methods import METHODS
from benchmark.report.contrast_text import caveat, conclusion, names_of, shown_difference
from benchmark.report.page.chart import chart
from benchmark.report.page.claims import anchor, verdict_sentence
from benchmark.report.page.headline import headline
from benchmark.report.page.section import Section
from benchmark.report.page.source import PageRun
from benchmark.report.page.table import Cell, Column, Table, number, table
from benchmark.report.page.templating import rendered
from benchmark.report.words import NONE, counted, limits, listed, short

FIGURES = ("size_loss", "size_faithfulness")


def section(run: PageRun) -> Section:
    """The overview of a run."""
    figures = [run.figure(name) for name in FIGURES]
    html = rendered(
        "overview.html",
        answers=list(_answers(run)),
        tables=[table(each) for each in headline(run)],
        charts=[chart(figure) for figure in figures],
        claims=[
            (claim.sentence, *verdict_sentence(found), anchor(at)) for at, (claim, found) in enumerate(run.verdicts)
        ],
        comparisons=table(_comparisons(run)),
        methods=[(name, _role(run, name), _summary(name)) for name in dict.fromkeys(row.method for row in run.records)],
    )
    return Section("overview", "Overview", html, tuple(each for figure in figures for each in figure.missing))


def _answers(run: PageRun) -> Iterator[tuple[str, str]]:
    """Questions that a reader comes with, and a sentence each."""
    yield "Which method is best?", _best(run)
    yield "Is that certain?", _certainty(run)
    yield "What does it rest on?", _basis(run)


def _best(run: PageRun) -> str:
    ranked = [row for row in run.leaderboard if row.rank is not None]
    if not ranked:
        reasons = list(dict.fromkeys(row.reason for row in run.leaderboard if row.status == "undefined"))
        return f"Nothing is ranked: {reasons[0] if reasons else 'no circuit was searched for'}."
    first = [row for row in ranked if row.rank == 1]
    area = first[0].profile_area
    between = limits(area.low, area.high)
    names = listed([row.place.method for row in first])
    verb = "ranks" if len(first) == 1 else "rank"
    return (
        f"{names} {verb} first of {len(ranked)}, with an area of {' '.join(filter(None, (short(area.value), between)))} "
        "under the performance profile (1 is best)."
    )


def _certainty(run: PageRun) -> str:
    sizes = [(each, one) for each in run.comparisons for one in each.contrasts if one.is_ratio and one.recorded]
    certain = [(each, one) for each, one in sizes if one.concluded]
    if not sizes:
        return "No declared comparison of two methods has values for both."
    told = (
        f"Of {counted(len(sizes), 'declared comparison')} of circuit sizes, {len(certain) or 'none'} can be concluded"
    )
    better = [names_of(each)[0 if one.difference.mean < 0 else 1] for each, one in certain]
    smaller = f" (smaller: {listed(list(dict.fromkeys(better)))})" if better else ""
    notes = list(dict.fromkeys(filter(None, (caveat(each) for each, _ in sizes))))
    return f"{told}{smaller}.{''.join(f' {note[:1].upper()}{note[1:]}.' for note in notes[:1])}"


def _basis(run: PageRun) -> str:
    seeds = {row.seed for row in run.records if row.seed is not None}
    tasks = {row.task for row in run.records if row.task} - run.board.rules.control_tasks
    counted_tasks = [len(names) for names in run.board.references.values()]
    over = f"{short(sum(counted_tasks) / len(counted_tasks))} of them decide the rank" if counted_tasks else ""
    told = f"{counted(len(seeds), 'training seed')}, {counted(len(tasks), 'task')}{f' ({over})' * bool(over)}"
    few = " Fewer than three seeds give no interval over trainings." if len(seeds) < 3 else ""
    return f"{told}; circuits reach a task loss of {run.board.rules.target_loss:g} nats.{few}"


def _comparisons(run: PageRun) -> Table:
    """The comparisons that were declared in advance, with what can be concluded."""
    columns = [
        Column("Pair"),
        Column("Metric"),
        Column("Difference", "ratio for sizes; 95 % interval over tasks", numeric=True),
        Column("p", "after correction", numeric=True),
        Column("What can be concluded"),
    ]
    rows: list[list[Cell | str]] = []
    for each in run.comparisons:
        names = names_of(each)
        for one in each.contrasts:
            if not one.recorded:
                continue
            mean, low, high, *_ = one.difference
            shown = shown_difference(one, mean) if one.pairs else NONE
            between = f"[{shown_difference(one, low)}, {shown_difference(one, high)}]" if low == low else ""
            rows.append(
                [
                    " against ".join(names),
                    one.metric.replace("_", " "),
                    Cell(shown, mean if one.pairs else None, between),
                    number(one.corrected if one.pairs else None),
                    conclusion(one, names),
                ]
            )
    return Table("Comparisons declared in advance, corrected for their number", columns, rows)


def _role(run: PageRun, name: str) -> str:
    if name in run.board.rules.controls:
        return "null baseline"
    return "reference" if name in run.board.rules.references else ""


def _summary(name: str) -> str:
    return METHODS[name].summary if name in METHODS else "Not installed here."
