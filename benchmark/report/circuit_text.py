"""One circuit as text: its nodes, its edges, what each node responds to, and its agreement off the task's prompts."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from benchmark.corpus import Corpus
from benchmark.corpus.sampling import spread_windows
from benchmark.files import printable
from benchmark.model.circuit import Circuit
from benchmark.model.graph import TERMINALS
from benchmark.model.interface import CircuitModel, record
from benchmark.records.curves import read_points
from benchmark.records.table import Record
from benchmark.running.circuits import StoredCircuit, circuit_rows, named
from benchmark.running.experiment import records_in
from benchmark.running.store import Store

SHOWN_EDGES = 40
"""How many edges are printed, the heaviest first."""

RESPONSE_TOKENS = 8_192
"""Validation tokens that are searched for what a node responds to."""

Row = dict[str, Any]
"""What is shown of a circuit, a node or an edge as JSON."""

Content = TypeVar("Content")


def describe_circuit(out: Path, store: Path, method: str, task: str | None, as_json: bool) -> str:
    """The circuits of a method for a task; without a task, one line per circuit of the method.

    A circuit that the store does not have is named with the reason, and the others are shown.

    Raises:
        ValueError: The run in `out` has no such circuit, or the store has none of them.
    """
    rows = circuit_rows(records_in(out), out, method, task)
    if task is None and as_json:
        return json.dumps([asdict(row) for row in rows], indent=1)
    if task is None:
        sizes = [row.status if row.value is None else f"{row.value:.0f} edges" for row in rows]
        return "\n".join(
            f"{row.task:<21} {row.graph:<8}{row.variant:<17}seed {row.seed}  {row.ranking:<14} {size}"
            for row, size in zip(rows, sizes, strict=True)
        )
    return described(rows, Store(store), _read, dict if as_json else None, _lines)


def described(
    rows: Sequence[Record],
    store: Store,
    read: Callable[[Record, Store], Content],
    as_json: Callable[[Content], object] | None,
    lines: Callable[[Content], Iterator[str]],
) -> str:
    """The artifacts behind some records as text or JSON, and why those of the others cannot be read.

    Args:
        rows: The records.
        store: Where their artifacts are.
        read: Reads the artifact behind a record.
        as_json: What is shown of an artifact as JSON; `None` for text.
        lines: What is shown of an artifact as text.

    Raises:
        ValueError: In one line, if no artifact can be read.
    """
    found, missing = [], []
    for row in rows:
        try:
            if row.status == "failed":
                raise ValueError(f"its cell failed: {row.reason}")
            found.append(read(row, store))
        except (ValueError, OSError) as error:
            missing.append(f"{named(row)}, cannot be shown: {error}")
    if not found:
        raise ValueError(missing[0] + (f"; nor can {len(missing) - 1} more" if len(missing) > 1 else ""))
    if as_json is not None:
        return json.dumps([*map(as_json, found), *({"not_shown": why} for why in missing)], indent=1)
    other_code = store.other_code(store.keys_of(row.config_hash for row in rows))
    parts = [*("\n".join(lines(content)) for content in found), *missing, other_code]
    return printable("\n\n".join(filter(None, parts)))


def _read(row: Record, store: Store) -> Row:
    """The circuit behind a record."""
    stored = StoredCircuit.read(row, store)
    model, circuit = stored.model, stored.circuit
    points = read_points(stored.folder)
    names = ("method", "variant", "graph", "task", "seed", "ranking", "status", "reason")
    return {
        **{name: getattr(row, name) for name in names},
        "nodes": _nodes(model, circuit, stored.means(), stored.corpus()),
        "edges": _edges(circuit, model, row.graph),
        "agreement": [asdict(point) for point in points if point.series == "agreement"],
    }


@torch.no_grad()
def _nodes(model: CircuitModel, circuit: Circuit, means: Mapping[str, Tensor], corpus: Corpus) -> list[Row]:
    """The kept nodes, each with the distinct tokens at which it is furthest from its mean."""
    tokens, _ = spread_windows(corpus, "validation", RESPONSE_TOKENS)
    values = record(model, tokens)
    found = []
    for site, kept in circuit.kept().items():
        for node in kept:
            away = (values[site][..., node] - means[site][node]).abs().flatten()
            ids = tokens.flatten()[away.topk(min(40, len(away))).indices].tolist()
            texts = [corpus.decode([token]) for token in list(dict.fromkeys(ids))[:4]]
            found.append({"node": f"{site}[{node}]", "responds_to": texts})
    return found


def _edges(circuit: Circuit, model: CircuitModel, graph: str) -> list[Row]:
    """The edges between kept nodes, the heaviest first; last those without a weight, which an opaque block hides."""
    kept, found = {**circuit.kept(), **{name: [0] for name in TERMINALS}}, []
    for connection in model.connections(graph):  # type: ignore[arg-type]
        for target in kept.get(connection.target, ()):
            for source in kept.get(connection.source, ()):
                weight = None if connection.weight is None else float(connection.weight[target, source])
                if weight != 0:
                    ends = {"source": f"{connection.source}[{source}]", "target": f"{connection.target}[{target}]"}
                    found.append({**ends, "weight": weight})
    return sorted(found, key=lambda edge: -abs(edge["weight"] or 0.0))


def _lines(circuit: Row) -> Iterator[str]:
    nodes, edges = circuit["nodes"], circuit["edges"]
    yield (
        f"{circuit['method']} {circuit['variant']}, {circuit['graph']} graph, task {circuit['task']}, "
        f"seed {circuit['seed']}, ranking {circuit['ranking']}"
    )
    yield f"  {circuit['status']}, {len(nodes)} nodes, {len(edges)} edges"
    if circuit["reason"]:
        yield f"  {circuit['reason']}"
    for node in nodes:
        yield f"  {node['node']:<32} {' '.join(map(repr, node['responds_to']))}"
    for edge in edges[:SHOWN_EDGES]:
        weight = "opaque" if edge["weight"] is None else f"{edge['weight']:+.2f}"
        yield f"  {edge['source']} -> {edge['target']}  {weight}"
    if len(edges) > SHOWN_EDGES:
        yield f"  and {len(edges) - SHOWN_EDGES} more"
    if circuit["agreement"]:
        yield "  share of prompts answered as by the whole model, by how far they are changed:"
    for curve in dict.fromkeys(point["curve"] for point in circuit["agreement"]):
        levels = [point for point in circuit["agreement"] if point["curve"] == curve]
        shown = "  ".join(f"{point['x']:g}: {point['value']:.2f}" for point in levels)
        name = f"{curve} ({levels[0]['unit']})"
        yield f"    {name:<24} {shown}"
