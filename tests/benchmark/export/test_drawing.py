"""Pictures: every node and every edge is in them once, in rows that follow the model."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import string_closing
import torch

from benchmark.export import circuit_graph, to_dot, to_svg
from benchmark.export.graph import CircuitEdge
from benchmark.export.layout import rows

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def planted():
    with torch.no_grad():
        model = string_closing.model()
    circuit = string_closing.circuit(model)
    return circuit_graph(model, circuit, graph="channel", method="planted", task="single_double_quote", seed=0)


def of_class(root, name):
    return [each for each in root.iter() if each.get("class") == name]


def title(element):
    return element.find(f"{SVG}title").text


def test_svg_has_one_element_per_node_and_per_edge_of_the_paper_s_circuit(planted):
    root = ElementTree.fromstring(to_svg(planted))
    assert len(of_class(root, "node")) == 12
    assert {title(node) for node in of_class(root, "node")} == set(planted.by_name)
    assert len(of_class(root, "edge")) == 9
    assert "blocks.0.mlp_in[0] -> blocks.0.neuron[9], weight -8" in {title(edge) for edge in of_class(root, "edge")}
    assert any(each.text == "12 nodes, 9 edges" for each in root.iter(f"{SVG}text"))


def test_nodes_do_not_overlap_and_edges_go_up(planted):
    root = ElementTree.fromstring(to_svg(planted))
    places = {}
    for node in of_class(root, "node"):
        box = node.find(f"{SVG}rect")
        places[title(node)] = float(box.get("x")), float(box.get("y"))
        width = float(box.get("width"))
    for name, (x, y) in places.items():
        for other, (other_x, other_y) in places.items():
            assert name == other or y != other_y or abs(x - other_x) >= width
    assert all(places[edge.source][1] > places[edge.target][1] for edge in planted.edges)


def test_rows_follow_the_model_and_neighbours_are_above_each_other(planted):
    assert [(row.label, row.names) for row in rows(planted)] == [
        ("blocks.0.mlp_in", ("blocks.0.mlp_in[0]", "blocks.0.mlp_in[1]")),
        ("blocks.0.neuron", ("blocks.0.neuron[5]", "blocks.0.neuron[9]")),
        ("blocks.0.mlp_out", ("blocks.0.mlp_out[2]", "blocks.0.mlp_out[3]")),
        ("blocks.1.attn_in", ("blocks.1.attn_in[2]", "blocks.1.attn_in[3]")),
        ("blocks.1 q k v", ("blocks.1.q[3]", "blocks.1.k[3]", "blocks.1.v[7]")),
        ("blocks.1.attn_out", ("blocks.1.attn_out[4]",)),
    ]
    crossed = (CircuitEdge("blocks.0.mlp_in[0]", "blocks.0.neuron[9]", 1.0),
               CircuitEdge("blocks.0.mlp_in[1]", "blocks.0.neuron[5]", 1.0))  # fmt: skip
    untangled = {row.label: row.names for row in rows(replace(planted, edges=crossed))}
    assert untangled["blocks.0.neuron"] == ("blocks.0.neuron[9]", "blocks.0.neuron[5]")


def test_wider_is_heavier_colour_is_sign_and_opaque_is_dashed(planted):
    edges = (
        CircuitEdge("blocks.0.mlp_in[0]", "blocks.0.neuron[5]", 8.0, True),
        CircuitEdge("blocks.0.mlp_in[1]", "blocks.0.neuron[5]", -4.0, False),
        CircuitEdge("blocks.0.mlp_in[1]", "blocks.0.neuron[9]", None, True),
    )
    root = ElementTree.fromstring(to_svg(replace(planted, edges=edges)))
    heavy, light, opaque = of_class(root, "edge")
    assert float(heavy.get("stroke-width")) > float(light.get("stroke-width")) > float(opaque.get("stroke-width"))
    assert len({each.get("stroke") for each in (heavy, light, opaque)}) == 3
    assert [each.get("stroke-dasharray") is not None for each in (heavy, light, opaque)] == [False, False, True]
    assert [each.get("opacity") is not None for each in (heavy, light, opaque)] == [False, True, False]
    assert any(each.text == "12 nodes, 3 edges, 2 of them verified" for each in root.iter(f"{SVG}text"))


def test_names_are_escaped(planted):
    odd = replace(planted, method='<a & "b">')
    assert next(ElementTree.fromstring(to_svg(odd)).iter(f"{SVG}title")).text.startswith('<a & "b">')
    assert r'label="<a & \"b\">, native' in to_dot(odd)


STATEMENT = re.compile(
    r"""(?P<open>(digraph\ circuit\ |)\{(\ rank=same;)?)$|(?P<close>\})$|(?P<default>graph|node)\ \[.*\];$
    |(?P<source>"(\\.|[^"\\])*")(\ ->\ (?P<target>"(\\.|[^"\\])*"))?\ \[(\w+=("(\\.|[^"\\])*"|[\w.]+)(,\ )?)+\];$""",
    re.VERBOSE,
)


def test_dot_states_each_node_and_each_edge_once(planted):
    depth, nodes, edges = 0, [], []
    for line in to_dot(planted).splitlines():
        found = STATEMENT.match(line.strip())
        assert found, line
        depth += bool(found["open"]) - bool(found["close"])
        if found["target"]:
            edges.append((found["source"].strip('"'), found["target"].strip('"')))
        elif found["source"]:
            nodes.append(found["source"].strip('"'))
    assert depth == 0
    assert nodes == list(planted.by_name)
    assert edges == [(edge.source, edge.target) for edge in planted.edges]
