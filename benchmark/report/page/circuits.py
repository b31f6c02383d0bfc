"""Circuits: those of two methods for a task side by side, with what each node means and what it reads and writes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark.records.table import VALUED, Record
from benchmark.report.page.circuits_data import Interned, Json, card, drawing, identity, prompts, rounded, scores
from benchmark.report.page.section import Section
from benchmark.report.page.source import PageRun
from benchmark.report.page.table import Cell, Column, Table, number, table
from benchmark.report.page.templating import rendered
from benchmark.report.words import counted, listed
from benchmark.tasks import TASKS

if TYPE_CHECKING:
    from benchmark.report.page.circuit_reading import Gathered

MOST_CIRCUITS = 160
"""Most circuits that are drawn."""

SCORES = {
    "nodes": "nodes",
    "edges": "edges",
    "verified_edges": "verified edges",
    "whole_loss": "loss of the whole model (nats)",
    "circuit_loss": "loss of the circuit (nats)",
    "faithfulness": "faithfulness",
    "robust_faithfulness": "robust faithfulness",
}
"""What is told of each circuit, by metric."""

SAME = ("method", "variant", "graph", "task", "seed", "ranking", "target_loss")
"""The columns that name a circuit."""

DRAWS = "`bench export METHOD TASK --to svg`"
"""The command that draws one circuit."""

Measured = Mapping[tuple[object, ...], Sequence[Record]]
"""What was measured of each circuit, by what names it."""


def section(run: PageRun) -> Section:
    """The section; without a store the table of circuits alone."""
    rows = [row for row in run.records if row.metric == "edges" and row.task]
    if not rows:
        return Section("circuits", "Circuits", "", ("The run has no circuits; `bench run` finds them.",))
    measured = _by_circuit(run.records)
    chosen, missing = _chosen(rows)
    data = None
    if run.store is None:
        missing.append("Circuits are drawn from the store of the run; `bench report --store DIR` draws them.")
    else:
        from benchmark.report.page.circuit_reading import gather

        found = gather([row for row in chosen if row.status in VALUED], run.records, run.store)
        missing += _unread(chosen, found)
        data = _data(chosen, found, measured) if found.circuits else None
    html = rendered("circuits.html", table=table(_table(rows, measured)), drawn=data is not None)
    return Section("circuits", "Circuits", html, tuple(missing), data, "circuits.js" if data else "")


def _by_circuit(records: Sequence[Record]) -> Measured:
    found: dict[tuple[object, ...], list[Record]] = {}
    for row in records:
        found.setdefault(_key(row), []).append(row)
    return found


def _key(row: Record) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in SAME)


def _chosen(rows: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """The circuits that are drawn, those of the first seed up to a number, and what is said of the others."""
    missing = []
    seeds = sorted({row.seed for row in rows if row.seed is not None})
    chosen = [row for row in rows if row.seed in (None, *seeds[:1])]
    if len(seeds) > 1:
        others = f"seed{'s' * (len(seeds) > 2)} {listed([*map(str, seeds[1:])])}"
        missing.append(f"Circuits of seed {seeds[0]} are drawn, those of {others} are not; {DRAWS} draws one.")
    found = [row for row in chosen if row.status in VALUED]
    if len(found) > MOST_CIRCUITS:
        left_out = set(map(id, found[MOST_CIRCUITS:]))
        chosen = [row for row in chosen if id(row) not in left_out]
        missing.append(f"The first {MOST_CIRCUITS} of {len(found):,} circuits are drawn; {DRAWS} draws another.")
    return chosen, missing


def _unread(rows: Sequence[Record], found: "Gathered") -> Iterator[str]:
    """What could not be read, and why: each reason once, with the number of circuits."""
    prompted = [(row, found.circuits[id(row)].without_prompts) for row in rows if id(row) in found.circuits]
    for what, unread in (("not drawn", found.unread), ("drawn without prompts and effects of ablation", prompted)):
        of_reason: dict[str, list[Record]] = {}
        for row, reason in unread:
            of_reason.setdefault(reason, []).append(row)
        for reason, same in of_reason.items():
            if reason:
                yield f"{_named(same)} {'is' if len(same) == 1 else 'are'} {what}: {reason}."


def _named(rows: Sequence[Record]) -> str:
    """How many circuits there are, of which methods and for which tasks, in a phrase."""
    methods, tasks = (list(dict.fromkeys(getattr(row, name) for row in rows)) for name in ("method", "task"))
    return f"{counted(len(rows), 'circuit')} of {listed(methods)} ({listed(tasks)})"


def _data(rows: Sequence[Record], found: "Gathered", measured: Measured) -> Json:
    """What the script draws."""
    texts, prompted = Interned(), list[list[list[str]]]()
    models = list(found.cards)
    circuits = []
    for row in rows:
        made: Json = {**identity(row), "scores": scores(_of_ablation(measured[_key(row)], row), SCORES)}
        read = found.circuits.get(id(row))
        if read is not None:
            asked = prompts(read.prompts)
            if asked not in prompted:
                prompted.append(asked)
            made |= {
                "drawing": drawing(read.picture, read.effects, texts),
                "model": models.index((row.method, row.variant, row.seed)),
                "prompts": prompted.index(asked),
                "answers": [list(map(rounded, [*each.whole, *each.circuit])) for each in read.answers],
                "pairs": read.pairs,
            }
        circuits.append(made)
    return {
        "tasks": [[name, _summary(name)] for name in dict.fromkeys(row.task for row in rows)],
        "circuits": circuits,
        "prompts": prompted,
        "cards": [{str(texts(name)): card(each, texts) for name, each in of.items()} for of in found.cards.values()],
        "texts": texts.texts,
    }


def _of_ablation(rows: Sequence[Record], circuit: Record) -> list[Record]:
    """What was measured under the ablation that the circuit was found under, or under none or several."""
    return [row for row in rows if row.ablation in ("", circuit.ablation)]


def _summary(task: str) -> str:
    return TASKS[task].summary if task in TASKS else "read from a file"


def _table(rows: Sequence[Record], measured: Measured) -> Table:
    """Every circuit of the run, drawn or not."""
    sizes = [Column(name, numeric=True) for name in ("Nodes", "Edges", "Verified edges")]
    numbers = [Column("Seed", numeric=True), Column("Target loss", "nats", numeric=True), *sizes]
    columns = [*map(Column, ("Task", "Method", "Variant", "Graph")), *numbers, Column("Status")]
    return Table("Every circuit of the run", columns, [list(_cells(row, measured[_key(row)])) for row in rows])


def _cells(row: Record, measured: Sequence[Record]) -> Iterator[Cell | str]:
    values = {each.metric: each.value for each in measured}
    yield from (row.task, row.method, row.variant, row.graph)
    yield Cell("" if row.seed is None else str(row.seed), row.seed)
    yield number(row.target_loss)
    yield from (number(values.get(metric)) for metric in ("nodes", "edges", "verified_edges"))
    yield Cell(row.status.replace("_", " "), note=row.reason)
