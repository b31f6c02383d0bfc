"""A circuit as a tree of text for a terminal: its blocks, rows and nodes, what each node means, reads and writes.

The embeddings come first and the logits last. Imports no torch.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from benchmark.export.graph import ENDS, CircuitEdge, CircuitGraph, CircuitNode
from benchmark.export.layout import rows, short
from benchmark.report.meanings import Meaning, one_line

WIDTH = 80
"""Columns of a terminal."""

LEAST_WIDTH = 24
"""Columns that are left for text however deep the tree."""

Look = Literal["plain", "dim", "name", "meaning", "positive", "negative"]
"""What a piece of a line is, which decides its colour."""

COLOURS: Mapping[Look, Mapping[str, Any]] = {
    "plain": {},
    "dim": {"dim": True},
    "name": {"bold": True},
    "meaning": {"fg": "green"},
    "positive": {"fg": "cyan"},
    "negative": {"fg": "yellow"},
}
"""The colours of pieces, as `click.style` takes them; a sign tells positive from negative without colours, too."""


class Piece(NamedTuple):
    """A part of a line in one colour."""

    text: str
    look: Look = "plain"


Line = tuple[Piece, ...]


@dataclass(frozen=True)
class ShownEdges:
    """The edges that are drawn.

    Attributes:
        edges: Those that are, those that the circuit needs first, then the heaviest.
        told: Which they are, in words; empty if they are all.
    """

    edges: tuple[CircuitEdge, ...]
    told: str


def circuit_tree(graph: CircuitGraph, meanings: Mapping[str, Meaning], most: int | None) -> list[Line]:
    """The lines of a tree, each at most 80 columns wide.

    Nodes come in rows by site. A node whose edges are all left out is counted, not drawn.

    Args:
        graph: The circuit.
        meanings: What its nodes mean, by name.
        most: Number of edges that are drawn; `None` for all.
    """
    shown = shown_edges(graph, most)
    drawn = _Drawn(graph, meanings, shown.edges, everything=len(shown.edges) == len(graph.edges))
    told = [(Piece(line, "dim"),) for line in wrapped_words(shown.told, WIDTH - 2)] if shown.told else []
    return [*((Piece("  "), *line) for line in told), *drawn.lines()]


def shown_edges(graph: CircuitGraph, most: int | None) -> ShownEdges:
    """The edges that are drawn of a circuit: the first of those that it needs, by weight, then the first of the others.

    Edges through an opaque block have no weight and come last.
    """
    ordered = sorted(graph.edges, key=lambda edge: (edge.verified is not True, -abs(edge.weight or 0.0)))
    chosen = tuple(ordered if most is None else ordered[:most])
    if len(chosen) == len(ordered):
        return ShownEdges(chosen, "")
    total, some = (sum(abs(edge.weight or 0.0) for edge in edges) for edges in (ordered, chosen))
    share = f", with {some / total:.0%} of the sum of all absolute weights" if total else ""
    first = "those that it needs first, then " if any(edge.verified for edge in ordered) else ""
    return ShownEdges(
        chosen,
        f"showing {len(chosen):,} of {len(ordered):,} edges, {first}the heaviest{share}; --edges all shows all",
    )


@dataclass(frozen=True)
class _Drawn:
    """A tree in the making.

    Attributes:
        graph: The circuit.
        meanings: What its nodes mean.
        edges: The edges that are drawn.
        everything: Whether these are all edges.
    """

    graph: CircuitGraph
    meanings: Mapping[str, Meaning]
    edges: Sequence[CircuitEdge]
    everything: bool

    @cached_property
    def edges_into(self) -> Mapping[str, Sequence[CircuitEdge]]:
        """The edges that are drawn by the node that they enter."""
        return _by_node((edge.target, edge) for edge in self.edges)

    @cached_property
    def edges_from(self) -> Mapping[str, Sequence[CircuitEdge]]:
        """The edges that are drawn by the node that they leave."""
        return _by_node((edge.source, edge) for edge in self.edges)

    def lines(self) -> Iterator[Line]:
        blocks = self._blocks()
        for number, (layer, sites) in enumerate(blocks):
            last = number == len(blocks) - 1
            if layer is None:
                (node,) = (self.graph.by_name[name] for _, names in sites for name in names)
                yield (Piece(_branch(last), "dim"), Piece(node.name, "name"))
                yield from self._edges_of(node, _stem(last))
                continue
            yield (Piece(_branch(last), "dim"), Piece(f"block {layer}", "name"))
            for place, (label, names) in enumerate(sites):
                yield from self._site(layer, label, names, _stem(last), place == len(sites) - 1)

    def _blocks(self) -> list[tuple[int | None, list[tuple[str, list[str]]]]]:
        """By block, in forward order, its rows with their nodes; the ends of the graph are blocks of their own."""
        order = {name: number for number, name in enumerate(self.graph.by_name)}
        found: dict[int | None, list[tuple[str, list[str]]]] = {}
        ordered: list[tuple[int | None, list[tuple[str, list[str]]]]] = []
        for row in rows(self.graph):
            names = sorted(row.names, key=order.__getitem__)
            node = self.graph.by_name[names[0]]
            if node.site in ENDS:
                ordered.append((None, [(row.label, names)]))
                continue
            if node.layer not in found:
                found[node.layer] = []
                ordered.append((node.layer, found[node.layer]))
            found[node.layer].append((row.label.removeprefix(f"blocks.{node.layer}").lstrip(". "), names))
        return ordered

    def _site(self, layer: int, label: str, names: Sequence[str], stem: str, last: bool) -> Iterator[Line]:
        """A row of nodes."""
        drawn = [name for name in names if self.everything or name in self.edges_into or name in self.edges_from]
        count = f"  {len(names)} nodes" if len(names) > 1 else ""
        yield (Piece(stem + _branch(last), "dim"), Piece(label), Piece(count, "dim"))
        below = stem + _stem(last)
        for number, name in enumerate(drawn):
            ends = number == len(drawn) - 1 and len(drawn) == len(names)
            yield from self._node(self.graph.by_name[name], below, ends)
        if len(drawn) < len(names):
            left = len(names) - len(drawn)
            yield (Piece(below + _branch(True), "dim"), Piece(f"{left} more, whose edges are not shown", "dim"))

    def _node(self, node: CircuitNode, stem: str, last: bool) -> Iterator[Line]:
        """A node with its meaning, and its edges below."""
        before, name = stem + _branch(last), short(node)
        meaning = self.meanings.get(node.name)
        words = one_line(meaning.words) if meaning is not None else ""
        look: Look = "meaning" if meaning is not None and meaning.concept else "plain"
        room = max(WIDTH - columns(before) - columns(name) - 2, LEAST_WIDTH)
        yield (Piece(before, "dim"), Piece(name, "name"), Piece("  "), Piece(cut(words, room), look))
        yield from self._edges_of(node, stem + _stem(last))

    def _edges_of(self, node: CircuitNode, stem: str) -> Iterator[Line]:
        """What a node reads from and writes to."""
        reads = [_end(edge.source, edge) for edge in self.edges_into.get(node.name, ())]
        writes = [_end(edge.target, edge) for edge in self.edges_from.get(node.name, ())]
        yield from _wrapped(f"{stem}   reads  ", reads)
        yield from _wrapped(f"{stem}   writes ", writes)


def _by_node(edges: Iterable[tuple[str, CircuitEdge]]) -> Mapping[str, Sequence[CircuitEdge]]:
    found: dict[str, list[CircuitEdge]] = {}
    for name, edge in edges:
        found.setdefault(name, []).append(edge)
    return found


def _end(name: str, edge: CircuitEdge) -> Piece:
    """The other end of an edge with its weight, and a star if the circuit needs it: `0.v[3] +1.25*`."""
    star = "*" if edge.verified else ""
    where = name.removeprefix("blocks.")
    if edge.weight is None:
        return Piece(f"{where}{star}", "dim")
    return Piece(f"{where} {edge.weight:+.2f}{star}", "positive" if edge.weight > 0 else "negative")


def _wrapped(before: str, pieces: Sequence[Piece]) -> Iterator[Line]:
    """Pieces on as many lines as they need, under each other."""
    line: list[Piece] = []
    used = columns(before)
    for piece in pieces:
        apart = 2 if line else 0
        if line and used + apart + columns(piece.text) > WIDTH:
            yield (Piece(before, "dim"), *line)
            before, line, used, apart = before[:-7] + " " * 7, [], columns(before), 0
        line += [Piece("  ")] * bool(apart) + [piece]
        used += apart + columns(piece.text)
    if line:
        yield (Piece(before, "dim"), *line)


def _branch(last: bool) -> str:
    return "└─ " if last else "├─ "


def _stem(last: bool) -> str:
    return "   " if last else "│  "


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: two for a wide character, none for a combining one."""
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, most: int) -> str:
    """A text in at most so many columns, with an ellipsis where it ends early."""
    from rich.cells import set_cell_size

    return text if columns(text) <= most else set_cell_size(text, most - 1).rstrip() + "…"


def wrapped_words(text: str, width: int) -> list[str]:
    """A sentence in lines of at most so many columns."""
    from textwrap import wrap

    return wrap(text, width, break_on_hyphens=False)


def painted(line: Line, colour: bool) -> str:
    """A line as text, in colour or not."""
    from click import style

    if not colour:
        return "".join(piece.text for piece in line).rstrip()
    return "".join(style(piece.text, **COLOURS[piece.look]) if piece.text else "" for piece in line)
