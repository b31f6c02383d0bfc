"""A circuit as the attribution graph that circuit-tracer's front end shows: its graph file, and one file per node.

The format is that of https://github.com/decoderesearch/circuit-tracer, circuit_tracer/frontend/graph_models.py and
feature_models.py. It is made for graphs of one prompt, and ours is of a task, so three fields mean something else here:

- Columns are not positions of a prompt but the hook points of a block: `prompt_tokens` are `embed`, `q`, `k`, `v`, ….
- A link's weight is a weight or virtual weight, not an attribution.
- A node's activation is its mean over the corpus.

Every node that is not an error has the type `cross layer transcoder`, the only one whose examples the front end shows.
What it really is, is in its label.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.export.graph import ENDS, TERMINAL, Activations, CircuitGraph, CircuitNode

FEATURES = "features"
"""The folder of the files of nodes, next to the graph."""

LEAST_COLUMNS = 2
"""The front end drops whatever is in more than two thirds of all columns."""

Json = dict[str, Any]


def circuit_tracer_files(graph: CircuitGraph) -> Mapping[str, bytes]:
    """The graph, the index of graphs that the front end starts from, and the files of the nodes.

    Raises:
        ValueError: An edge runs through an opaque block, so it has no weight.
    """
    opaque = sum(edge.weight is None for edge in graph.edges)
    if opaque:
        raise ValueError(
            f"{opaque} of the {len(graph.edges)} edges run through an opaque block and have no weight, which every "
            "link of circuit-tracer has; choose another format, such as json or svg"
        )
    numbering = _Numbering.of(graph)
    content = {
        "metadata": _metadata(graph, numbering),
        "qParams": {"pinnedIds": [], "supernodes": [], "linkType": "both", "clickedId": "", "sg_pos": ""},
        "nodes": [_node(node, numbering, graph.activations.get(name)) for name, node in graph.by_name.items()],
        "links": [
            {
                "source": numbering.id_of(graph.by_name[edge.source]),
                "target": numbering.id_of(graph.by_name[edge.target]),
                "weight": edge.weight,
            }
            for edge in graph.edges
        ],
    }
    files = {f"{graph.slug}.json": content, "graph-metadata.json": {"graphs": [content["metadata"]]}}
    for name, seen in graph.activations.items():
        number = numbering.number_of(graph.by_name[name])
        files[f"{FEATURES}/{numbering.feature_of(graph.by_name[name])}.json"] = _feature(graph, number, seen)
    return {name: _text(each) for name, each in files.items()}


@dataclass(frozen=True)
class _Numbering:
    """Where nodes are drawn, and their numbers, which are unique within a layer.

    Attributes:
        columns: The names of the columns.
        offsets: What is added to the index of a node of each site: features of a dictionary keep their numbers.
    """

    columns: tuple[str, ...]
    offsets: Mapping[str, int]

    @classmethod
    def of(cls, graph: CircuitGraph) -> "_Numbering":
        ends = [end.site for end in graph.terminals]
        hooks = dict.fromkeys([*ends[: ends.count(ENDS[0])], *(site.hook for site in graph.sites), *ends])
        columns = [*(hook for hook in hooks if hook != ENDS[1]), *(end for end in ends if end == ENDS[1])]
        columns += [""] * (LEAST_COLUMNS - len(columns))
        offsets, used = {}, dict[int, int]()
        for site in sorted(graph.sites, key=lambda site: site.kind != "feature"):
            offsets[site.name] = used.get(site.layer, 0)
            used[site.layer] = offsets[site.name] + site.size
        return cls(tuple(columns), offsets)

    def column_of(self, node: CircuitNode) -> int:
        return self.columns.index(node.site.rpartition(".")[2])

    def number_of(self, node: CircuitNode) -> int:
        """The number of a node, which no other node of its layer has."""
        return self.offsets.get(node.site, 0) + node.index

    def feature_of(self, node: CircuitNode) -> int:
        """The number of a node among all: Cantor's pairing of layer and number, which the front end takes apart."""
        number = self.number_of(node)
        return (node.layer + number) * (node.layer + number + 1) // 2 + number

    def layer_of(self, node: CircuitNode) -> str:
        """The layer as circuit-tracer names it; the logits come two after the last block, as there."""
        if node.kind != TERMINAL:
            return str(node.layer)
        return "E" if node.site == ENDS[0] else str(node.layer + 1)

    def id_of(self, node: CircuitNode) -> str:
        return f"{self.layer_of(node)}_{self.number_of(node)}_{self.column_of(node)}"


def _metadata(graph: CircuitGraph, numbering: _Numbering) -> Json:
    return {
        "slug": graph.slug,
        "scan": f"./data/{FEATURES}",
        "transcoder_list": [],
        "prompt_tokens": list(numbering.columns),
        "prompt": graph.title,
        "node_threshold": None,
        "schema_version": 1,
    }


def _node(node: CircuitNode, numbering: _Numbering, seen: Activations | None) -> Json:
    """A node with every field of circuit-tracer's own."""
    layer, number, column = numbering.layer_of(node), numbering.number_of(node), numbering.column_of(node)
    made = {
        "node_id": numbering.id_of(node),
        "feature": numbering.feature_of(node) if node.kind != TERMINAL else 0,
        "layer": layer,
        "ctx_idx": column,
        "feature_type": "mlp reconstruction error" if node.kind == "error" else "cross layer transcoder",
        "token_prob": 0.0,
        "is_target_logit": False,
        "run_idx": 0,
        "reverse_ctx_idx": 0,
        "jsNodeId": f"{layer}_{number}-0",
        "clerp": node.name,
        "influence": None,
        "activation": None if seen is None else seen.mean,
    }
    if node.site == ENDS[0]:
        made |= {"feature": column, "feature_type": "embedding", "clerp": "all token embeddings"}
    elif node.site == ENDS[1]:
        every = {"token_prob": 1.0, "is_target_logit": True, "clerp": 'Output "all logits" (p=1.000)'}
        made |= {"feature_type": "logit", "jsNodeId": f"L_0-{column}", **every}
    return made


def _feature(graph: CircuitGraph, number: int, seen: Activations) -> Json:
    """What the front end shows of a node."""
    examples = [
        {
            "tokens_acts_list": list(example.values),
            "train_token_ind": example.at,
            "is_repeated_datapoint": False,
            "tokens": list(example.tokens),
        }
        for example in seen.examples
    ]
    return {
        "transcoder_id": graph.slug,
        "index": number,
        "examples_quantiles": [{"quantile_name": "Furthest from the mean", "examples": examples}],
        "top_logits": list(seen.raised),
        "bottom_logits": list(seen.lowered),
        "act_min": seen.low,
        "act_max": seen.high,
        "quantile_values": list(seen.quantiles),
        "histogram": list(map(float, seen.histogram)),
        "activation_frequency": seen.frequency,
    }


def _text(content: Json) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
