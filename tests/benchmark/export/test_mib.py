"""MIB's importance files: every head, MLP and edge of the model, with those of the circuit marked."""

import json
from dataclasses import replace

import pytest
import string_closing
import tiny_dense
import torch

import benchmark
from benchmark.export import circuit_graph, write_graph
from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites


def graph_of(model, masks=None, graph="unit", **names):
    sites = node_sites(model, graph)
    circuit = Circuit.empty(sites)
    for site, nodes in (masks or {}).items():
        circuit.masks[site][nodes] = True
    return circuit_graph(model, circuit, graph=graph, method="toy", task="for_while", **names)


@pytest.fixture(scope="module")
def dense():
    """Three blocks with two heads of 8 channels, and 64 neurons each."""
    return tiny_dense.random_dense()


@pytest.fixture
def exported(dense, tmp_path):
    kept = {"blocks.0.v": [1, 9], "blocks.0.neuron": [3], "blocks.1.q": [15], "blocks.1.k": [15]}
    graph = graph_of(dense, kept)
    (path,) = write_graph(graph, "mib", tmp_path / "importances.json")
    return graph, json.loads(path.read_text())


def test_every_node_of_mib_s_graph_is_there_and_those_of_the_circuit_are_in_it(exported):
    _, content = exported
    assert content["cfg"] == {"n_layers": 3, "n_heads": 2, "parallel_attn_mlp": False, "d_model": 16}
    every = ["input", *(f"{name}" for layer in range(3) for name in (f"a{layer}.h0", f"a{layer}.h1", f"m{layer}"))]
    assert list(content["nodes"]) == [*every, "logits"]
    kept = {name for name, node in content["nodes"].items() if node["in_graph"]}
    assert kept == {"input", "a0.h0", "a0.h1", "m0", "a1.h1", "logits"}
    scores = {name: node.get("score") for name, node in content["nodes"].items()}
    assert scores["input"] is scores["logits"] is None
    assert (scores["a0.h0"], scores["a1.h1"], scores["m0"], scores["m1"]) == (1.0, 2.0, 1.0, 0.0)


@pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated:DeprecationWarning")
def test_a_model_of_transformer_lens_states_its_heads():
    from transformer_lens import HookedTransformer

    shape = {"n_layers": 1, "d_model": 16, "d_head": 8, "n_ctx": 8, "d_vocab": 20, "act_fn": "gelu"}
    graph = graph_of(benchmark.from_hooked(HookedTransformer(shape)), {"blocks.0.v": [1, 9]})
    assert (graph.heads, graph.d_model) == (2, 16)


def test_every_edge_of_mib_s_graph_is_there_once(exported):
    """Each input of a head or MLP is joined to all that is written before it."""
    _, content = exported
    edges = content["edges"]
    assert len(edges) == sum(3 * 2 * (1 + 3 * layer) + (3 + 3 * layer) for layer in range(3)) + 1 + 9
    assert {"input->a0.h0<q>", "a0.h1->m0", "m0->a1.h0<v>", "a2.h1->m2", "input->logits", "m2->logits"} <= set(edges)
    assert not {"m0->a0.h0<q>", "a1.h0->a0.h0<k>", "a0.h0->a0.h1<v>"} & set(edges)


def test_an_edge_scores_the_norm_of_the_virtual_weights_that_it_stands_for(exported):
    graph, content = exported
    kept = {name: edge["score"] for name, edge in content["edges"].items() if edge["in_graph"]}
    weights = {(edge.source, edge.target): edge.weight for edge in graph.edges}
    assert kept["a0.h0->a1.h1<q>"] == pytest.approx(abs(weights["blocks.0.v[1]", "blocks.1.q[15]"]))
    assert kept["a0.h1->m0"] == pytest.approx(abs(weights["blocks.0.v[9]", "blocks.0.neuron[3]"]))
    assert kept["input->a0.h1<v>"] == pytest.approx(weights["embed", "blocks.0.v[9]"])
    assert {edge["score"] for edge in content["edges"].values() if not edge["in_graph"]} == {0.0}
    assert set(kept) == {
        *("input->a0.h0<v>", "input->a0.h1<v>", "input->m0", "input->a1.h1<q>", "input->a1.h1<k>"),
        *("a0.h0->m0", "a0.h1->m0", "a0.h0->a1.h1<q>", "a0.h0->a1.h1<k>", "a0.h1->a1.h1<q>", "a0.h1->a1.h1<k>"),
        *("m0->a1.h1<q>", "m0->a1.h1<k>", "a0.h0->logits", "a0.h1->logits", "m0->logits"),
    }


def test_several_channels_of_a_head_add_up_in_squares(dense, tmp_path):
    graph = graph_of(dense, {"blocks.0.v": [0, 1], "blocks.2.neuron": [0, 1]})
    content = json.loads(write_graph(graph, "mib", tmp_path / "a.json")[0].read_text())
    weights = [
        edge.weight for edge in graph.edges if (edge.source[:10], edge.target[:14]) == ("blocks.0.v", "blocks.2.neuro")
    ]
    assert len(weights) == 4
    assert content["edges"]["a0.h0->m2"]["score"] == pytest.approx(sum(weight**2 for weight in weights) ** 0.5)


def test_a_block_whose_mlp_does_not_read_its_attention_is_parallel(dense, tmp_path):
    graph = graph_of(dense, {"blocks.0.v": [0]})
    beside = tuple(
        pair for pair in graph.connections if not (pair[0][:8] == pair[1][:8] and pair[1].endswith("neuron"))
    )
    content = json.loads(write_graph(replace(graph, connections=beside), "mib", tmp_path / "a.json")[0].read_text())
    assert content["cfg"]["parallel_attn_mlp"] is True
    assert "a0.h0->m0" not in content["edges"]
    assert "a0.h0->m1" in content["edges"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"graph": "channel"},
            "MIB's edges run through the residual stream, as in the unit graph; choose --graph unit",
        ),
        ({"heads": None}, "toy does not state its attention heads"),
        ({"d_model": None}, "toy does not state its channels of the residual stream"),
        ({"heads": 3}, "the queries, keys and values of toy are not divided evenly among its heads"),
    ],
)
def test_what_mib_cannot_say_is_refused(dense, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        write_graph(replace(graph_of(dense), **changes), "mib", tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_features_and_errors_of_dictionaries_are_refused_by_name(dense, tmp_path):
    graph = graph_of(tiny_dense.random_transcoders(dense, "errors_available"))
    with pytest.raises(ValueError, match="has attention heads and MLPs, and toy has nodes of the kind error, feature"):
        write_graph(graph, "mib", tmp_path / "a.json")


def test_the_paper_s_circuit_goes_through_the_mlp_and_the_head(tmp_path):
    with torch.no_grad():
        model = string_closing.model()
    kept = {
        name: nodes for name, nodes in string_closing.KEPT.items() if name.split(".")[-1] in ("neuron", "q", "k", "v")
    }
    content = json.loads(write_graph(graph_of(model, kept), "mib", tmp_path / "a.json")[0].read_text())
    inside = {name for name, edge in content["edges"].items() if edge["in_graph"]}
    assert inside == {"input->m0", "m0->a1.h0<k>", "m0->a1.h0<v>", "a1.h0->logits"}
