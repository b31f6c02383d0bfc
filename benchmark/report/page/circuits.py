"""Circuits: those of two methods for a task side by side, with what each node means and what it reads and writes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.records.table import VALUED, Record
from benchmark.report.page.circuits_data import Interned, Json, described, drawing, scores
from benchmark.report.page.section import Section
from benchmark.report.page.source import PageRun
from benchmark.report.page.table import Column, Table, number, table
from benchmark.report.page.templating import rendered
from benchmark.running.circuits import named
from benchmark.tasks import TASKS

MOST_CIRCUITS = 160
"""Most circuits that are drawn."""

MOST_EDGES = 200_000
"""Most edges that are embedded, all circuits together; each has at most an equal share of them."""

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


def section(run: PageRun) -> Section:
    """The section; without a store the table of circuits alone."""
    rows = [row for row in run.records if row.metric == "edges" and row.task]
    if not rows:
        return Section(
            "circuits", "Circuits", "", (f"The run has no circuits; `bench run --preset {run.preset}` finds them.",)
        )
    chosen, missing = _chosen(rows)
    made = _Made(run, chosen)
    if run.store is None:
        missing.append("Circuits cannot be drawn without the store of the run; `bench report --store DIR` draws them.")
    else:
        made.read()
    data = made.data() if made.drawn else None
    html = rendered("circuits.html", table=table(_table(run, rows)), drawn=data is not None)
    return Section("circuits", "Circuits", html, (*missing, *made.missing), data, "circuits.js" if data else "")


def _chosen(rows: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """The circuits that are drawn, and what is said of the others: those of the first seed, up to a number."""
    missing = []
    seeds = sorted({row.seed for row in rows if row.seed is not None})
    chosen = [row for row in rows if row.seed in (None, *seeds[:1])]
    if len(seeds) > 1:
        others = ", ".join(map(str, seeds[1:]))
        missing.append(
            f"Circuits of seed {seeds[0]} are drawn and those of seeds {others} are not; `bench export METHOD TASK "
            "--seed SEED --to svg` draws one."
        )
    found = [row for row in chosen if row.status in VALUED]
    if len(found) > MOST_CIRCUITS:
        kept = set(map(id, found[:MOST_CIRCUITS]))
        chosen = [row for row in chosen if row.status not in VALUED or id(row) in kept]
        missing.append(
            f"{MOST_CIRCUITS} of {len(found)} circuits are drawn; `bench export METHOD TASK --to svg` draws one of the "
            "others."
        )
    return chosen, missing


@dataclass
class _Made:
    """What is embedded of the circuits of a run.

    Attributes:
        rows: The circuits.
        missing: What could not be read.
        drawn: The drawing and the answers of each circuit that could be read, by its row's number.
        kept: The kept nodes of each model by site, by its number in `models`.
        models: What each model is, as method, variant and seed.
    """

    run: PageRun
    rows: Sequence[Record]
    missing: list[str] = field(default_factory=list)
    drawn: dict[int, Json] = field(default_factory=dict)
    models: list[tuple[str, str, int | None]] = field(default_factory=list)
    cards: dict[int, Json] = field(default_factory=dict)
    texts: Interned = field(default_factory=Interned)
    prompts: list[list[list[str]]] = field(default_factory=list)

    def read(self) -> None:
        """Read every circuit that was found, model by model."""
        from benchmark.report.page.circuit_reading import CircuitReader

        assert self.run.store is not None
        found = [number for number, row in enumerate(self.rows) if row.status in VALUED]
        reader = CircuitReader(self.run.store, MOST_EDGES // max(1, len(found)))
        of_model: dict[tuple[str, str, int | None], list[int]] = {}
        for place in found:
            row = self.rows[place]
            of_model.setdefault((row.method, row.variant, row.seed), []).append(place)
        for model, places in of_model.items():
            self.models.append(model)
            self._read_model(reader, places)
        self._say_unread()
