"""What a run cannot know, from the run itself: seeds, power, tasks left out, forms, and values without a number."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from benchmark.leaderboard.ranking import Board
from benchmark.records.table import Record
from benchmark.report.contrast_text import as_read, names_of
from benchmark.report.page.source import PageRun
from benchmark.report.page.table import Cell, Column, Table, number
from benchmark.report.words import counted, listed, short

MEANINGS: Mapping[str, str] = {
    "not_reached": "the search found no circuit that reaches the target loss",
    "not_generalised": "the circuit reaches it on the prompts of the search, not on test prompts",
    "not_certified": "not shown to be as small as it could be",
    "unsolved": "the whole model does not do the task",
    "undefined": "the number cannot be told from noise, or does not exist",
    "one_seed": "one training seed",
    "unmatched": "the validation loss differs from that of the reference",
    "failed": "the computation failed",
}
"""What each status says."""


def unknown(run: PageRun) -> Iterator[str]:
    """One sentence for each thing that the run cannot tell."""
    yield from _seeds(run)
    yield from _power(run)
    yield from _tasks(run.board)
    yield from _forms(run)
    yield from _matching(run)
    yield "Circuits are upper bounds: the smallest circuit of a model is not known, only the smallest that was found."
    yield "All of this is about models and tasks of this size; nothing here says what holds for larger ones."


def _seeds(run: PageRun) -> Iterator[str]:
    seeds = {row.seed for row in run.records if row.seed is not None}
    if len(seeds) < 3:
        yield (
            f"There {'is' if len(seeds) == 1 else 'are'} {counted(len(seeds), 'training seed')}: what another training "
            "would change is not known, and no number has an interval over trainings (three seeds give one)."
        )


def _power(run: PageRun) -> Iterator[str]:
    """The smallest ratio of sizes that each declared comparison without a conclusion could show."""
    least: dict[str, float] = {}
    for each in run.comparisons:
        for one in each.contrasts:
            if one.is_ratio and one.pairs and not one.concluded:
                ratio = as_read(one, one.detectable_corrected)
                least[" and ".join(names_of(each))] = math.inf if math.isnan(ratio) else ratio
    able = {pair: ratio for pair, ratio in least.items() if math.isfinite(ratio)}
    if able:
        pairs = listed([f"{short(ratio)} between {pair}" for pair, ratio in able.items()])
        yield (
            "Where no difference in circuit size is certain, the smallest ratio that would be detected with 80 % power "
            f"after correction: {pairs}."
        )
    if unable := [pair for pair in least if pair not in able]:
        yield (
            f"No ratio of circuit sizes, however large, could be certain between {'; '.join(unable)}: too few tasks, "
            "as long as no other comparison is certain."
        )


def _tasks(board: Board) -> Iterator[str]:
    asked = {row.task for row in board.records if row.task} - board.rules.control_tasks
    deciding = {task for tasks in board.references.values() for task in tasks}
    left = sorted(asked - deciding)
    if left:
        names = listed(list(board.rules.references)) or "the reference methods"
        decide, them = ("decides", "it") if len(left) == 1 else ("decide", "them")
        yield (
            f"{len(left)} of {counted(len(asked), 'task')} {decide} nothing about the rank, since {names} do not solve "
            f"{them} well enough: {', '.join(left)}."
        )


def _forms(run: PageRun) -> Iterator[str]:
    if run.experiment is None:
        yield "There is no run.json: the settings, the forms of the tasks and the machine are not known."
        return
    counts = [forms.count for forms in run.experiment.forms_by_task.values()]
    if not counts:
        yield "In how many forms each task was posed was not recorded."
        return
    between = short(counts[0]) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    yield (
        f"Each task is posed in {between} forms ({sum(counts)} in all); how circuits do in forms that nobody wrote is "
        "not known."
    )


def _matching(run: PageRun) -> Iterator[str]:
    unmatched = list(dict.fromkeys(row.reason for row in run.leaderboard if row.status == "unmatched"))
    if unmatched:
        reasons = "; ".join(dict.fromkeys(reason.split("; not ranked")[0] for reason in unmatched))
        yield f"Losses are not matched, which alone may explain a difference in size: {reasons}."


def statuses(run: PageRun) -> Table:
    """How many values have no number, or one with a warning, by status, with the reason that is most common."""
    rows: list[list[Cell | str]] = []
    for status, meaning in MEANINGS.items():
        found = [row for row in run.records if row.status == status]
        if found:
            circuits = {row.cell for row in found if row.task}
            rows.append(
                [
                    Cell(status.replace("_", " "), note=meaning),
                    number(len(found)),
                    number(len(circuits)),
                    listed(sorted({row.method for row in found})),
                    _reasons(found),
                ]
            )
    columns = [
        Column("Status"),
        Column("Values", f"of {len(run.records):,}", numeric=True),
        Column("Circuits", numeric=True),
        Column("Methods"),
        Column("Most common reason"),
    ]
    return Table("Values that are not a plain number", columns, rows)


def _reasons(rows: Sequence[Record]) -> Cell:
    """The most common reason, those that differ in their numbers alone taken together, with an example."""
    kinds = Counter(map(_kind, rows))
    (kind, times), *others = kinds.most_common()
    example = next(row.reason for row in rows if _kind(row) == kind)
    more = f", and {counted(len(others), 'other kind')} of reason" if others else ""
    return Cell(example, note=f"this or the like: {counted(times, 'value')}{more}")


def _kind(row: Record) -> str:
    return re.sub(r"[0-9][0-9.]*", "0", row.reason)
