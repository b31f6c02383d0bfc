"""One circuit as text: its nodes and edges as a tree, what each node means, and agreement off the task's prompts."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmark.export.graph import CircuitGraph
from benchmark.export.stored import described as graph_of
from benchmark.files import printable
from benchmark.records.curves import CurvePoint, read_points
from benchmark.records.table import Record
from benchmark.report.circuit_tree import WIDTH, circuit_tree, painted, wrapped_words
from benchmark.report.meanings import Meaning, meanings, read_assessment
from benchmark.running.circuits import StoredCircuit, circuit_rows, named
from benchmark.running.experiment import records_in
from benchmark.running.store import Store

SHOWN_EDGES = 40
"""How many edges are drawn unless another number is asked for."""

RESPONSES = 4
"""How many distinct tokens are named for what a node responds to."""

Row = dict[str, Any]
"""What is shown of a circuit, a node or an edge as JSON."""

Content = TypeVar("Content")


def describe_circuit(
    out: Path,
    store: Path,
    method: str,
    task: str | None,
    as_json: bool,
    edges: int | None = SHOWN_EDGES,
    colour: bool = False,
) -> str:
    """The circuits of a method for a task; without a task, one line per circuit of the method.

    A circuit that the store does not have is named with the reason, and the others are shown.

    Args:
        out: The folder of a run.
        store: The folder of its artifacts.
        method: Name of the method.
        task: Name of the task; `None` for all.
        as_json: Whether JSON is wanted.
        edges: Number of edges that are drawn; `None` for all. JSON has all.
        colour: Whether the text is in colour.

    Raises:
        ValueError: The run in `out` has no such circuit, or the store has none of them.
    """
    records = records_in(out)
    rows = circuit_rows(records, out, method, task)
    if task is None and as_json:
        return json.dumps([asdict(row) for row in rows], indent=1)
    if task is None:
        sizes = [row.status if row.value is None else f"{row.value:.0f} edges" for row in rows]
        return "\n".join(
            f"{row.task:<21} {row.graph:<8}{row.variant:<17}seed {row.seed}  {row.ranking:<14} {size}"
            for row, size in zip(rows, sizes, strict=True)
        )
    lines = partial(_lines, edges=edges, colour=colour)
    return described(rows, Store(store), partial(_read, records=records), _json if as_json else None, lines)


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
        lines: What is shown of an artifact as text, without control characters other than colours.

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
    parts = [*("\n".join(lines(content)) for content in found), *map(printable, missing), printable(other_code)]
    return "\n\n".join(filter(None, parts))


@dataclass(frozen=True, eq=False)
class _Shown:
    """A circuit with what is shown of it.

    Attributes:
        row: The record that names it.
        graph: Its nodes and edges.
        meanings: What its nodes mean, by name.
        points: Its agreement with the whole model on changed prompts.
    """

    row: Record
    graph: CircuitGraph
    meanings: Mapping[str, Meaning]
    points: Sequence[CurvePoint]


def _read(row: Record, store: Store, records: Iterable[Record]) -> _Shown:
    """The circuit behind a record."""
    stored = StoredCircuit.read(row, store)
    graph = graph_of(stored, [row], examples=True)
    known = meanings((node.name for node in graph.nodes), read_assessment(row, records, store), graph.activations)
    points = [point for point in read_points(stored.folder) if point.series == "agreement"]
    return _Shown(row, graph, known, points)


def _json(shown: _Shown) -> Row:
    """A circuit as JSON: the edges from the heaviest to those without a weight, which an opaque block hides."""
    names = ("method", "variant", "graph", "task", "seed", "ranking", "status", "reason")
    heaviest = sorted(shown.graph.edges, key=lambda edge: -abs(edge.weight or 0.0))
    return {
        **{name: getattr(shown.row, name) for name in names},
        "nodes": [_node_json(shown, node.name) for node in shown.graph.nodes],
        "edges": [asdict(edge) for edge in heaviest],
        "agreement": [asdict(point) for point in shown.points],
    }


def _node_json(shown: _Shown, name: str) -> Row:
    """A node with the distinct tokens at which it is furthest from its mean, and what is known of its meaning."""
    meaning = shown.meanings[name]
    tokens = dict.fromkeys(each.tokens[each.at] for each in shown.graph.activations[name].examples)
    known = {"words": meaning.words, **{key: value for key, value in asdict(meaning).items() if key != "node"}}
    return {"node": name, "responds_to": list(tokens)[:RESPONSES], "meaning": known}


def _lines(shown: _Shown, edges: int | None, colour: bool) -> Iterator[str]:
    row, graph = shown.row, shown.graph
    yield f"{row.method} {row.variant}, {row.graph} graph, task {row.task}, seed {row.seed}, ranking {row.ranking}"
    verified = [edge.verified for edge in graph.edges]
    needed = f", {sum(map(bool, verified)):,} of them needed (*)" if any(each is not None for each in verified) else ""
    yield f"  {row.status}, {len(graph.nodes):,} nodes, {len(graph.edges):,} edges{needed}"
    yield from (f"  {line}" for line in wrapped_words(printable(row.reason), WIDTH - 2))
    yield from (painted(line, colour) for line in circuit_tree(graph, shown.meanings, edges))
    if shown.points:
        yield "  share of prompts answered as by the whole model, by how far they are changed:"
    for curve in dict.fromkeys(point.curve for point in shown.points):
        levels = [point for point in shown.points if point.curve == curve]
        values = "  ".join(f"{point.x:g}: {point.value:.2f}" for point in levels)
        name = f"{curve} ({levels[0].unit})"
        yield f"    {name:<24} {values}"
