"""A circuit as the page draws it: where each node is, and the edges along which most flows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmark.export.graph import ENDS, CircuitEdge, CircuitGraph
from benchmark.export.layout import rows

PER_LINE = 28
"""Most nodes on one line; a row with more takes several."""

MOST_NODES = 600
"""Most nodes that are drawn: those along whose edges most flows."""

MOST_EDGES = 5_000
"""Most edges of a circuit that are drawn."""

Ends = tuple[str, str]
"""Source and target of an edge, by name."""


@dataclass(frozen=True)
class PlacedNode:
    """A node with its place.

    Attributes:
        name: Its name.
        kind: What it is, as in `benchmark.export.graph.CircuitNode`.
        x: From 0, the left, to 1.
        line: The line that it is on, from 0, the inputs first.
    """

    name: str
    kind: str
    x: float
    line: int


@dataclass(frozen=True)
class SizedEdge:
    """An edge with what flows along it.

    Attributes:
        source: Number of the node that it leaves, in the picture.
        target: Number of the node that it enters.
        weight: Its weight; `None` through an opaque block.
        size: What flows along it on the task's prompts, or the size of its weight; `None` through an opaque block.
        sign: Sign of the weight; 0 if it has none, as to an end of the unit graph.
        verified: Whether the circuit needs it; `None` if that is not known.
    """

    source: int
    target: int
    weight: float | None
    size: float | None
    sign: int
    verified: bool | None


@dataclass(frozen=True)
class Picture:
    """What is drawn of a circuit.

    Attributes:
        nodes: The drawn nodes.
        edges: The drawn edges, that along which most flows first; last those through opaque blocks.
        lines: What each line is labelled with.
        all_nodes: Number of nodes of the circuit, ends not counted.
        all_edges: Number of its edges.
        opaque_edges: How many of them run through opaque blocks, so that they have no size.
        total_size: Sum of the sizes of all its edges.
        by_flow: Whether sizes are what flows along edges, and not weights.
    """

    nodes: tuple[PlacedNode, ...]
    edges: tuple[SizedEdge, ...]
    lines: tuple[str, ...]
    all_nodes: int
    all_edges: int
    opaque_edges: int
    total_size: float
    by_flow: bool


def picture(graph: CircuitGraph, flows: Mapping[Ends, float] | None, most_edges: int = MOST_EDGES) -> Picture:
    """Lay a circuit out, the same every time.

    Args:
        graph: The circuit.
        flows: What flows along each edge, by its ends; `None` if it is not known, and weights take its place.
        most_edges: Most edges that are drawn, up to `MOST_EDGES`.
    """
    sizes = edge_sizes(graph, flows)
    drawn = {*busiest(graph, sizes, MOST_NODES), *(end.name for end in graph.terminals)}
    inside = [edge for edge in graph.edges if edge.source in drawn and edge.target in drawn]
    ordered = sorted(inside, key=lambda edge: -(sizes[edge.source, edge.target] or -1.0))[: min(most_edges, MOST_EDGES)]
    placed, lines = _placed(_restricted(graph, drawn, ordered))
    number = {node.name: place for place, node in enumerate(placed)}
    return Picture(
        nodes=tuple(placed),
        edges=tuple(
            SizedEdge(
                number[edge.source],
                number[edge.target],
                edge.weight,
                sizes[edge.source, edge.target],
                _sign(edge),
                edge.verified,
            )
            for edge in ordered
        ),
        lines=tuple(lines),
        all_nodes=len(graph.nodes),
        all_edges=len(graph.edges),
        opaque_edges=sum(edge.weight is None for edge in graph.edges),
        total_size=sum(size for size in sizes.values() if size is not None),
        by_flow=flows is not None,
    )


def edge_sizes(graph: CircuitGraph, flows: Mapping[Ends, float] | None) -> dict[Ends, float | None]:
    """The size of each edge, by its ends: what flows along it if that is known, else that of its weight.

    It is `None` through an opaque block.
    """

    def size(edge: CircuitEdge) -> float | None:
        if edge.weight is None:
            return None
        return abs(edge.weight) if flows is None else flows[edge.source, edge.target]

    return {(edge.source, edge.target): size(edge) for edge in graph.edges}


def busiest(graph: CircuitGraph, sizes: Mapping[Ends, float | None], most: int) -> list[str]:
    """The names of at most so many nodes: all in order, or those along whose edges most flows."""
    names = [node.name for node in graph.nodes]
    if len(names) <= most:
        return names
    through = dict.fromkeys(names, 0.0)
    for ends, size in sizes.items():
        for name in through.keys() & set(ends):
            through[name] += size or 0.0
    return sorted(names, key=lambda name: -through[name])[:most]


def _sign(edge: CircuitEdge) -> int:
    """The sign of an edge's weight; the weight of an edge to an end is a root mean square, which has none."""
    if edge.weight is None or edge.source == ENDS[0] or edge.target == ENDS[1]:
        return 0
    return 1 if edge.weight > 0 else -1


def _restricted(graph: CircuitGraph, drawn: set[str], edges: Sequence[CircuitEdge]) -> CircuitGraph:
    """The part of a circuit that is drawn."""
    return replace(graph, nodes=tuple(node for node in graph.nodes if node.name in drawn), edges=tuple(edges))


def _placed(graph: CircuitGraph) -> tuple[list[PlacedNode], list[str]]:
    """The nodes with their places, and the labels of the lines."""
    placed, lines = list[PlacedNode](), list[str]()
    for row in rows(graph):
        folds = -(-len(row.names) // PER_LINE)
        for fold in range(folds):
            names = row.names[fold::folds]  # neighbours in the row stay above each other
            for column, name in enumerate(names):
                x = (column + 0.5) / len(names) if folds > 1 else _spread(column, len(names))
                placed.append(PlacedNode(name, graph.by_name[name].kind, x, len(lines)))
            lines.append(row.label if fold == 0 else "")
    return placed, lines


def _spread(column: int, columns: int) -> float:
    """Where a node of a short row is: around the middle, at most a twelfth of the width from the next."""
    return 0.5 + (column - (columns - 1) / 2) * min(1 / columns, 1 / 12)
