"""circuit-tracer's graph files, against the fields and types of its own models (circuit_tracer/frontend, v0.5.0)."""

import json
from dataclasses import replace

import pytest
import string_closing
import tiny_dense
import torch

from benchmark.export import circuit_graph, write_graph
from benchmark.export.graph import Activations, Example
from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites

NUMBER, TEXT, FLAG, NONE = (int, float), (str,), (bool,), (type(None),)

METADATA = {
    "slug": TEXT,
    "scan": TEXT,
    "transcoder_list": [TEXT],
    "prompt_tokens": [TEXT],
    "prompt": TEXT,
    "node_threshold": (*NUMBER, *NONE),
    "schema_version": (int, *NONE),
}
SCHEMA = {
    "metadata": METADATA,
    "qParams": {"pinnedIds": [TEXT], "supernodes": [[TEXT]], "linkType": TEXT, "clickedId": TEXT, "sg_pos": TEXT},
    "nodes": [
        {
            "node_id": TEXT,
            "feature": (int,),
            "layer": TEXT,
            "ctx_idx": (int,),
            "feature_type": TEXT,
            "token_prob": NUMBER,
            "is_target_logit": FLAG,
            "run_idx": (int,),
            "reverse_ctx_idx": (int,),
            "jsNodeId": TEXT,
            "clerp": TEXT,
            "influence": (*NUMBER, *NONE),
            "activation": (*NUMBER, *NONE),
        }
    ],
    "links": [{"source": TEXT, "target": TEXT, "weight": NUMBER}],
}
FEATURE = {
    "transcoder_id": TEXT,
    "index": (int,),
    "examples_quantiles": [
        {
            "quantile_name": TEXT,
            "examples": [
                {
                    "tokens_acts_list": [NUMBER],
                    "train_token_ind": (int,),
                    "is_repeated_datapoint": FLAG,
                    "tokens": [TEXT],
                }
            ],
        }
    ],
    "top_logits": [TEXT],
    "bottom_logits": [TEXT],
    "act_min": NUMBER,
    "act_max": NUMBER,
    "quantile_values": [NUMBER],
    "histogram": [NUMBER],
    "activation_frequency": NUMBER,
}


def check(content, schema, place="file"):
    """The content has exactly the fields of the schema, with values of its types."""
    if isinstance(schema, dict):
        assert isinstance(content, dict), place
        assert content.keys() == schema.keys(), place
        for name, inner in schema.items():
            check(content[name], inner, f"{place}.{name}")
    elif isinstance(schema, list):
        assert isinstance(content, list), place
        for number, each in enumerate(content):
            check(each, schema[0], f"{place}.{number}")
    else:
        assert type(content) in schema, (place, content)


SEEN = Activations(
    mean=0.25,
    low=-1.0,
    high=2.0,
    frequency=0.5,
    histogram=(3, 5),
    quantiles=(0.0, 1.0),
    examples=(Example((" while", ":\n"), (0.0, 2.0), 1),),
    raised=("x",),
)


@pytest.fixture(scope="module", params=["dense", "clt", "planted"])
def graph(request):
    """A circuit in the unit graph of a dense model and of a CLT, and the paper's in the channel graph."""
    if request.param == "planted":
        with torch.no_grad():
            model = string_closing.model()
        circuit, kind = string_closing.circuit(model), "channel"
    else:
        dense, kind = tiny_dense.random_dense(), "unit"
        model = dense if request.param == "dense" else tiny_dense.random_clt(dense, "errors_ablated")
        circuit = Circuit({site.name: torch.arange(site.size) % 5 == 0 for site in node_sites(model, kind)})
    made = circuit_graph(model, circuit, graph=kind, method=request.param, task="for_while", seed=0)
    return replace(made, activations={node.name: SEEN for node in made.nodes})


@pytest.fixture(scope="module")
def exported(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "graphs"
    write_graph(graph, "circuit-tracer", folder)
    return folder, json.loads((folder / f"{graph.slug}.json").read_text(encoding="utf-8"))


def test_the_graph_has_the_fields_and_types_of_circuit_tracer(exported):
    folder, content = exported
    check(content, SCHEMA)
    index = json.loads((folder / "graph-metadata.json").read_text(encoding="utf-8"))
    assert index == {"graphs": [content["metadata"]]}


def test_every_node_and_edge_is_there_once_under_an_id_of_its_own(graph, exported):
    _, content = exported
    labels = {node["node_id"]: node["clerp"] for node in content["nodes"]}
    assert len(labels) == len(content["nodes"]) == len(graph.nodes) + len(graph.terminals)
    assert {node.name for node in graph.nodes} <= set(labels.values())
    ends = {"all token embeddings": "embed", 'Output "all logits" (p=1.000)': "logits"}
    names = {node: ends.get(label, label) for node, label in labels.items()}
    links = {(names[link["source"]], names[link["target"]], link["weight"]) for link in content["links"]}
    assert links == {(edge.source, edge.target, edge.weight) for edge in graph.edges}
    assert len(links) == len(content["links"])


def test_the_front_end_merges_no_two_nodes_and_drops_none(graph, exported):
    """It merges nodes of the same layer, number and column, and drops what is in over two thirds of the columns."""
    _, content = exported
    merged = [(node["layer"], node["feature"], node["ctx_idx"]) for node in content["nodes"]]
    assert len(set(merged)) == len(merged)
    columns = content["metadata"]["prompt_tokens"]
    assert len(columns) * 2 / 3 > 1
    for node in content["nodes"]:
        if node["feature_type"] not in ("embedding", "logit"):
            assert node["clerp"].split("[")[0].endswith(columns[node["ctx_idx"]])


def test_features_of_a_dictionary_keep_their_numbers(graph, exported):
    _, content = exported
    by_label = {node["clerp"]: node for node in content["nodes"]}
    for node in graph.nodes:
        if node.kind == "feature":
            layer, number = node.layer, node.index
            assert by_label[node.name]["node_id"].startswith(f"{layer}_{number}_")
            assert by_label[node.name]["feature"] == (layer + number) * (layer + number + 1) // 2 + number


def test_the_logits_have_the_label_that_the_front_end_takes_a_probability_from(graph, exported):
    _, content = exported
    for node in content["nodes"]:
        if node["feature_type"] == "logit":
            assert float(node["clerp"].split("(p=")[1].split(")")[0]) == node["token_prob"] == 1.0


def test_each_node_has_the_file_that_the_front_end_fetches(graph, exported):
    folder, content = exported
    scan = content["metadata"]["scan"].removeprefix("./data/")
    shown = [node for node in content["nodes"] if node["feature_type"] == "cross layer transcoder"]
    assert len(shown) == len(graph.nodes)
    for node in shown:
        feature = json.loads((folder / scan / f"{node['feature']}.json").read_text(encoding="utf-8"))
        check(feature, FEATURE)
        assert feature["examples_quantiles"][0]["examples"][0]["tokens"] == [" while", ":\n"]
        assert node["activation"] == 0.25


def test_an_edge_through_an_opaque_block_is_refused(graph, tmp_path):
    opaque = replace(graph, edges=(replace(graph.edges[0], weight=None), *graph.edges[1:]))
    with pytest.raises(ValueError, match=r"1 of the \d+ edges run through an opaque block and have no weight"):
        write_graph(opaque, "circuit-tracer", tmp_path / "graphs")
    assert list(tmp_path.iterdir()) == []
