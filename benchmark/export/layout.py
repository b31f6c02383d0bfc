"""Where the nodes of a drawn circuit go: in rows by site, the inputs first, with few crossings. The same every time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.export.graph import ENDS, TERMINAL, CircuitGraph, CircuitNode, SiteOfGraph

SIDE_BY_SIDE = ("query", "key", "value")
"""Kinds of site that share a row within a block."""

SWEEPS = 8
"""How many times the order within rows is improved, in turns from the first row and from the last."""


@dataclass(frozen=True)
class Row:
    """Nodes that are drawn next to each other.

    Attributes:
        label: The sites of the row: `blocks.0 q k v`.
        names: The names of its nodes, from left to right.
    """

    label: str
    names: tuple[str, ...]


def rows(graph: CircuitGraph) -> list[Row]:
    """The rows of a drawing, the inputs first; rows without nodes are left out.

    Within a row nodes are sorted by the mean position of their neighbours (the barycentre heuristic of Sugiyama et al.
    1981), which avoids many crossings.
    """
    labels, members = _levels(graph)
    order = _sorted(graph, members)
    return [Row(label, tuple(names)) for label, names in zip(labels, order, strict=True)]


def _levels(graph: CircuitGraph) -> tuple[list[str], list[list[str]]]:
    """The label of each row that has nodes, and their names in forward order."""
    found: dict[str, list[str]] = {}
    label_of = {site.name: _label(site, graph.sites) for site in graph.sites} | {end: end for end in ENDS}
    for name, node in graph.by_name.items():
        found.setdefault(label_of[node.site], []).append(name)
    return list(found), list(found.values())


def _label(site: SiteOfGraph, sites: Sequence[SiteOfGraph]) -> str:
    """The label of a site's row, which it may share with others."""
    if site.kind not in SIDE_BY_SIDE:
        return site.name
    together = [each for each in sites if each.layer == site.layer and each.kind in SIDE_BY_SIDE]
    return " ".join([site.name.rpartition(".")[0], *(each.hook for each in together)])


def _sorted(graph: CircuitGraph, members: Sequence[Sequence[str]]) -> list[list[str]]:
    """The rows with their nodes in an order of few crossings."""
    before: dict[str, list[str]] = {name: [] for row in members for name in row}
    after: dict[str, list[str]] = {name: [] for row in members for name in row}
    for edge in graph.edges:
        before[edge.target].append(edge.source)
        after[edge.source].append(edge.target)
    order = [list(row) for row in members]
    place = {name: _place(number, row) for row in order for number, name in enumerate(row)}
    for sweep in range(SWEEPS):
        neighbours = before if sweep % 2 == 0 else after
        for row in order if sweep % 2 == 0 else reversed(order):
            row.sort(key=lambda name: _barycentre(name, neighbours, place))
            place |= {name: _place(number, row) for number, name in enumerate(row)}
    return order


def _place(number: int, row: Sequence[str]) -> float:
    """Where a node is in its row, which is centred at 0."""
    return number - (len(row) - 1) / 2


def _barycentre(name: str, neighbours: Mapping[str, Sequence[str]], place: Mapping[str, float]) -> float:
    """The mean position of a node's neighbours; its own if it has none."""
    found = [place[other] for other in neighbours[name]]
    return sum(found) / len(found) if found else place[name]


def short(node: CircuitNode) -> str:
    """A node's name within its row: `neuron 5`."""
    return node.site if node.kind == TERMINAL else f"{node.site.rpartition('.')[2]} {node.index}"
