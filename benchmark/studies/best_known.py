"""The smallest circuits that any search has found, by model and task: `best_known.csv`, whose sizes are only lowered.

A size belongs to the weights of one trained model, so a row names their digest. Wherever that model is in the store,
the circuit is run again: it has to meet the criterion of the search on the same prompts.
"""

import csv
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import torch

from benchmark import metrics
from benchmark.discovery.search import Search
from benchmark.discovery.settings import CircuitConfig
from benchmark.disk import replace_file
from benchmark.files import CorruptFileError, read_text, readable
from benchmark.model.circuit import Circuit
from benchmark.model.interface import Site
from benchmark.records.table import csv_text, shown
from benchmark.running.cells import Cell
from benchmark.running.config import RunConfig, with_needed
from benchmark.running.store import Store
from benchmark.scoring.case import Setting

BEST_KNOWN = "best_known.csv"
"""The name of the table."""

HERE, ELSEWHERE = "yes", "not here"
"""Whether a circuit was run again."""


class ModelAndTask(NamedTuple):
    """What a circuit was searched for in."""

    preset: str
    method: str
    variant: str
    graph: str
    task: str
    seed: int
    target: float
    model: str
    """First 16 hex digits of the SHA-256 over the weights of the model and of all that it needs."""


@dataclass(frozen=True)
class BestKnown:
    """One row: the circuit with the fewest edges that is known, of those the one with the fewest nodes.

    Attributes:
        of: The model and the task.
        edges: Nonzero weights between its nodes.
        nodes: Its nodes.
        found_by: The search that found it.
        circuit: Its nodes by site: `blocks.0.v 3 5; blocks.1.neuron 17`.
        checked: Whether it was run again by the last command that wrote the table.
    """

    of: ModelAndTask
    edges: int
    nodes: int
    found_by: str
    circuit: str
    checked: str = ELSEWHERE

    @property
    def size(self) -> tuple[int, int]:
        """What makes one circuit better than another."""
        return self.edges, self.nodes


COLUMNS = (*ModelAndTask._fields, *(each.name for each in fields(BestKnown) if each.name != "of"))
"""The columns of the table."""


def read_best_known(path: Path) -> list[BestKnown]:
    """The rows of a table; none if there is no such file.

    Raises:
        CorruptFileError: With the line, if it is some other file.
    """
    if not path.exists():
        return []
    reader = csv.DictReader(StringIO(read_text(path, kind="table", encoding="utf-8-sig"), newline=""), strict=True)
    with readable(path, "table"):
        lines, header = list(reader), tuple(reader.fieldnames or ())
    if header != COLUMNS:
        raise CorruptFileError(path, f"has the columns {shown(', '.join(header))}, not {', '.join(COLUMNS)}")
    rows = []
    for number, row in enumerate(lines, start=2):
        try:
            names = {name: row[name] for name in ("preset", "method", "variant", "graph", "task", "model")}
            of = ModelAndTask(**names, seed=int(row["seed"]), target=float(row["target"]))
            texts = (row["found_by"], row["circuit"], row["checked"])
            rows.append(BestKnown(of, int(row["edges"]), int(row["nodes"]), *texts))
        except (TypeError, ValueError) as error:
            raise CorruptFileError(path, f"line {number}: {shown(str(error))}") from None
    return rows


def write_best_known(path: Path, rows: Iterable[BestKnown]) -> None:
    """Write a table, sorted by model and task."""
    ordered = sorted(rows, key=lambda row: row.of)
    lines = [[*row.of, *(getattr(row, name) for name in COLUMNS[len(row.of) :])] for row in ordered]
    replace_file(path, csv_text(COLUMNS, lines))


def lowered(*tables: Iterable[BestKnown]) -> list[BestKnown]:
    """The smallest circuit of each model and task; of equals the one in the earlier table."""
    best: dict[ModelAndTask, BestKnown] = {}
    for row in (row for table in tables for row in table):
        if row.of not in best or row.size < best[row.of].size:
            best[row.of] = row
    return list(best.values())


def as_text(circuit: Circuit) -> str:
    """The nodes of a circuit in one line."""
    return "; ".join(f"{site} {' '.join(map(str, nodes))}" for site, nodes in circuit.kept().items())


def from_text(text: str, sites: Sequence[Site]) -> Circuit:
    """The circuit of a line that `as_text` wrote.

    Raises:
        ValueError: It names a site or a node that the model lacks.
    """
    circuit = Circuit.empty(sites)
    for part in filter(None, text.split("; ")):
        name, *nodes = part.split()
        if name not in circuit.masks or not all(0 <= int(node) < len(circuit.masks[name]) for node in nodes):
            raise ValueError(f"the model has no nodes {part!r}")
        circuit.masks[name][[int(node) for node in nodes]] = True
    return circuit


def model_digest(cell: Cell, store: Store) -> str:
    """First 16 hex digits of the SHA-256 over the weights that a circuit cell's model consists of."""
    total = hashlib.sha256()
    for name in with_needed(cell.params["method"]):
        for file, checksum in sorted(store.manifest(cell.needs[name].key).files.items()):
            if file.endswith(".safetensors"):
                total.update(f"{name}/{file} {checksum}\n".encode())
    return total.hexdigest()[:16]


def model_and_task(cell: Cell, run: RunConfig, store: Store) -> ModelAndTask:
    """What a circuit cell searches for."""
    names = {name: cell.params[name] for name in ("method", "variant", "graph", "task", "seed")}
    return ModelAndTask(preset=run.preset, **names, target=run.circuit.target_loss, model=model_digest(cell, store))


def checked(
    rows: Iterable[BestKnown], settings: Mapping[ModelAndTask, Callable[[], Setting]], circuit: CircuitConfig
) -> list[BestKnown]:
    """The rows, each run again if its model is at hand.

    Args:
        rows: The rows.
        settings: Loads the model and the prompts of a row.
        circuit: The settings of the search, which determine the prompts.

    Raises:
        ValueError: In one line, if a circuit misses the criterion or has other sizes than its row says.
    """
    return [
        _run_again(row, settings[row.of](), circuit) if row.of in settings else replace(row, checked=ELSEWHERE)
        for row in rows
    ]


@torch.no_grad()
def _run_again(row: BestKnown, setting: Setting, config: CircuitConfig) -> BestKnown:
    search = Search.of(
        setting.model, setting.prompts, setting.ablation_values, setting.graph, config.target_loss, config.budget
    )
    circuit = from_text(row.circuit, search.sites)
    kept = circuit.row(search.sites)
    excess = float(search.trials().excess(kept, kept[None])[0])
    sizes = metrics.edge_count(circuit, setting.model.connections(setting.graph)), metrics.node_count(circuit)
    named = " ".join(map(str, row.of[1:6]))
    if excess > 0:
        raise ValueError(f"{BEST_KNOWN}: the circuit of {named} misses the target by {excess:.3g} nats")
    if sizes != row.size:
        raise ValueError(f"{BEST_KNOWN}: the circuit of {named} has edges and nodes {sizes}, not {row.size}")
    return replace(row, checked=HERE)
