"""A circuit as a graph of networkx, and as GraphML."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.export.graph import TERMINAL, CircuitGraph

if TYPE_CHECKING:
    import networkx as nx


def to_networkx(graph: CircuitGraph, *, terminals: bool = True) -> "nx.DiGraph":
    """The circuit as a directed graph.

    Nodes have the attributes `site`, `index`, `layer`, `kind` and, where it is known, `mean`. Edges have `weight`,
    which is missing where an opaque block joins the nodes, and `verified`, which is missing where it is not known. The
    graph has what the circuit is of (`method`, `task`, …) and its `scores` as attributes.

    Args:
        graph: The circuit.
        terminals: Whether the ends of the unit graph, all embeddings and all logits, are nodes too. They are not
            counted as nodes of the circuit, but an edge to one is counted.
    """
    import networkx as nx

    made = nx.DiGraph(**graph.described, scores=graph.scores)
    for name, node in graph.by_name.items():
        if terminals or node.kind != TERMINAL:
            made.add_node(
                name, site=node.site, index=node.index, layer=node.layer, kind=node.kind, **_mean(graph, name)
            )
    for edge in graph.edges:
        if edge.source in made and edge.target in made:
            known = {"weight": edge.weight, "verified": edge.verified}
            made.add_edge(edge.source, edge.target, **{key: value for key, value in known.items() if value is not None})
    return made


def graphml_files(graph: CircuitGraph) -> Mapping[str, bytes]:
    """The same graph as GraphML; its scores are attributes of the graph, named `score METRIC`."""
    import networkx as nx

    made = to_networkx(graph)
    for metric, value in made.graph.pop("scores").items():
        made.graph[f"score {metric}"] = value
    text = io.BytesIO()
    nx.write_graphml_xml(made, text)
    return {"circuit.graphml": text.getvalue() + b"\n"}


def _mean(graph: CircuitGraph, name: str) -> dict[str, Any]:
    return {"mean": graph.activations[name].mean} if name in graph.activations else {}
