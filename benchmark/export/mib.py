"""A circuit in the importance format of MIB's circuit track, which EAP-IG's `Graph.from_json` reads.

MIB (Mueller et al. 2025, arXiv 2504.13151; https://github.com/hannamw/MIB-circuit-track) has one node per attention
head and one per MLP, and edges between them through the residual stream: `a0.h1->m2`, `m0->a1.h3<q>`. A circuit of ours
keeps single channels and neurons, so the export is coarser than the circuit:

- A head or an MLP is in the graph if the circuit keeps one of its channels or neurons. Its score is how many it keeps.
- An edge is in the graph if the circuit has an edge between a channel or neuron of each. Its score is the root of the
  sum of the squared virtual weights of these edges.
- What MIB calls neurons are the channels of a head's or an MLP's output, which are no nodes of the unit graph; they are
  left out, as in MIB's own edge-level circuits.

Features and errors of a dictionary are no part of MIB's graph, and neither are edges within a block, as in the channel
graph; both are refused.
"""

import json
import math
from collections.abc import Iterator, Mapping

from benchmark.export.graph import ENDS, CircuitGraph, CircuitNode

LETTERS = {"query": "q", "key": "k", "value": "v"}
"""The inputs of a head by the kind of site."""

Edge = tuple[str, str]
"""A source, and a target as MIB names it, with the input of a head: `a1.h3<q>`."""


def mib_files(graph: CircuitGraph) -> Mapping[str, bytes]:
    """The file, with every node and edge of MIB's graph of the model, those outside the circuit with score 0.

    Raises:
        ValueError: The graph is not the unit graph, its model does not state its heads or its width, it has kinds of
            node that MIB's graph lacks, or edges through opaque blocks.
    """
    _check(graph)
    assert graph.heads is not None
    layers, parallel = max(site.layer for site in graph.sites) + 1, _parallel(graph)
    kept: dict[str, int] = {}
    for node in graph.nodes:
        name = _component(graph, node)
        kept[name] = kept.get(name, 0) + 1
    squares: dict[Edge, float] = {}
    for edge in graph.edges:
        assert edge.weight is not None
        source, target = graph.by_name[edge.source], graph.by_name[edge.target]
        pair = _component(graph, source), f"{_component(graph, target)}{_input(target)}"
        squares[pair] = squares.get(pair, 0.0) + edge.weight**2
    names = ["input", *_components(layers, graph.heads)]
    content = {
        "cfg": {"n_layers": layers, "n_heads": graph.heads, "parallel_attn_mlp": parallel, "d_model": graph.d_model},
        "nodes": {
            **{name: {"in_graph": name in kept, "score": float(kept.get(name, 0))} for name in names},
            "input": {"in_graph": any(source == "input" for source, _ in squares), "score": 0.0},
            "logits": {"in_graph": True},
        },
        "edges": {
            f"{source}->{target}": {
                "score": math.sqrt(squares.get((source, target), 0.0)),
                "in_graph": (source, target) in squares,
            }
            for source, target in _all_edges(layers, graph.heads, parallel)
        },
    }
    return {"importances.json": (json.dumps(content, allow_nan=False) + "\n").encode()}


def _check(graph: CircuitGraph) -> None:
    """`ValueError` for what MIB's graph cannot say."""
    if graph.graph != "unit":
        raise ValueError("MIB's edges run through the residual stream, as in the unit graph; choose --graph unit")
    foreign = sorted({site.kind for site in graph.sites} - {*LETTERS, "neuron"})
    if foreign:
        raise ValueError(
            f"MIB's graph has attention heads and MLPs, and {graph.method} has nodes of the kind {', '.join(foreign)}; "
            "choose another format, such as json or circuit-tracer"
        )
    if graph.heads is None or graph.d_model is None:
        unknown = "attention heads" if graph.heads is None else "channels of the residual stream"
        raise ValueError(
            f"MIB's graph has one node per attention head, and {graph.method} does not state its {unknown}"
        )
    sizes = {site.size for site in graph.sites if site.kind in LETTERS}
    if len(sizes) != 1 or next(iter(sizes)) % graph.heads:
        raise ValueError(f"the queries, keys and values of {graph.method} are not divided evenly among its heads")
    if any(edge.weight is None for edge in graph.edges):
        raise ValueError("edges run through an opaque block and have no weight, from which MIB's scores are made")


def _parallel(graph: CircuitGraph) -> bool:
    """Whether the MLP of a block reads the stream as it is before the block's attention."""
    pairs = {(site.layer, site.kind): site.name for site in graph.sites}
    joined = [
        (pairs[layer, "value"], name) in graph.connections for (layer, kind), name in pairs.items() if kind == "neuron"
    ]
    return bool(joined) and not any(joined)


def _component(graph: CircuitGraph, node: CircuitNode) -> str:
    """The node of MIB's graph that a node of ours is a part of: `a0.h1`, `m2`, `input`, `logits`."""
    if node.site in ENDS:
        return "input" if node.site == ENDS[0] else "logits"
    if node.kind == "neuron":
        return f"m{node.layer}"
    assert graph.heads is not None
    size = next(site.size for site in graph.sites if site.name == node.site)
    return f"a{node.layer}.h{node.index // (size // graph.heads)}"


def _input(target: CircuitNode) -> str:
    """The input of a head that an edge enters, as MIB writes it after the head's name."""
    return f"<{LETTERS[target.kind]}>" if target.kind in LETTERS else ""


def _components(layers: int, heads: int) -> Iterator[str]:
    """Every head and every MLP in forward order."""
    for layer in range(layers):
        yield from (f"a{layer}.h{head}" for head in range(heads))
        yield f"m{layer}"


def _all_edges(layers: int, heads: int, parallel: bool) -> Iterator[Edge]:
    """Every edge of MIB's graph of a model; if its blocks are parallel, an MLP does not read its block's attention."""
    written = ["input"]
    for layer in range(layers):
        mine = [f"a{layer}.h{head}" for head in range(heads)]
        yield from ((source, f"{head}<{letter}>") for source in written for head in mine for letter in "qkv")
        yield from ((source, f"m{layer}") for source in (written if parallel else [*written, *mine]))
        written += [*mine, f"m{layer}"]
    yield from ((source, "logits") for source in written)
