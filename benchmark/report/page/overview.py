"""The first screen: what was compared, the leaderboard, size against loss and faithfulness, each claim in a line."""

import math
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
from benchmark.report.words import NONE, counted, limits, listed, short, with_minus

FIGURES = ("size_loss", "size_faithfulness", "profile", "task_sizes")
"""The figures, the first two beside the table on the first screen."""


def section(run: PageRun) -> Section:
    """The overview of a run."""
    figures = [run.figure(name) for name in FIGURES]
    html = rendered(
        "overview.html",
        answers=list(_answers(run)),
        tables=[(each.caption, table(each)) for each in headline(run)],
        charts=[chart(figure) for figure in figures[:2]],
        behind=[drawn for drawn in map(chart, figures[2:]) if drawn],
        claims=[
            (claim.sentence, *verdict_sentence(claim, found), anchor(at))
            for at, (claim, found) in enumerate(run.verdicts)
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
        names, target = listed(run.board.rules.references), run.board.rules.target_loss / 2
        solved = f"no task is solved by {names} at a task loss of {target:g}" if names else "no reference is installed"
        return f"Nothing is ranked: {'no circuit was searched for' if run.board.references else solved}."
    apart = [row.place.method for row in ranked if row.group != ranked[0].group]
    ranked = [row for row in ranked if row.group == ranked[0].group]
    first = [row for row in ranked if row.rank == 1]
    area = first[0].profile_area
    shown = " ".join(filter(None, (short(area.value, 2), limits(area.low, area.high, 2))))
    names = listed([row.place.method for row in first])
    verb = "ranks" if len(first) == 1 else "rank"
    best = f"{names} {verb} first of {len(ranked)}: area {shown} under the performance profile, where 1 is best."
    edges = f"{listed(apart)}, whose edges run through whole layers, {'is' if len(apart) == 1 else 'are'} ranked apart."
    return f"{best} {edges[:1].upper()}{edges[1:]}" if apart else best


def _certainty(run: PageRun) -> str:
    sizes = [(each, one) for each in run.comparisons for one in each.contrasts if one.is_ratio and one.recorded]
    certain = [(each, one) for each, one in sizes if one.concluded]
    if not sizes:
        return "Nothing is: of no two methods whose comparison was declared are there circuits for the same task."
    better = dict.fromkeys(names_of(each)[0 if one.difference.mean < 0 else 1] for each, one in certain)
    smaller = f" (smaller: {listed(list(better))})" if better else ""
    notes = list(dict.fromkeys(filter(None, (caveat(each) for each, _ in sizes))))
    return (
        f"A difference in circuit size is certain in {len(certain) or 'none'} of the "
        f"{counted(len(sizes), 'comparison')} declared in advance{smaller}."
        f"{''.join(f' {note[:1].upper()}{note[1:]}.' for note in notes[:1])}"
    )


def _basis(run: PageRun) -> str:
    seeds = {row.seed for row in run.records if row.seed is not None}
    tasks = {row.task for row in run.records if row.task} - run.board.rules.control_tasks
    counted_tasks = [len(names) for names in run.board.references.values()]
    mean = short(sum(counted_tasks) / len(counted_tasks), 1).removesuffix(".0") if counted_tasks else ""
    deciding = f"of which {mean} per seed decide the rank" if mean else "none of which decides a rank"
    few = " Fewer than three seeds give no interval over trainings." if len(seeds) < 3 else ""
    return (
        f"{counted(len(seeds), 'training seed')} and {counted(len(tasks), 'task')}, {deciding}; circuits have to "
        f"reach a task loss of {run.board.rules.target_loss:g} nats.{few}"
    )


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
            shown = with_minus(shown_difference(one, mean)) if one.pairs else NONE
            known = one.pairs and not math.isnan(low)
            between = with_minus(f"[{shown_difference(one, low)}, {shown_difference(one, high)}]") if known else ""
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
