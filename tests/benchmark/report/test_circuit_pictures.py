"""Pictures of circuits on the page: every node once, the edges along which most flows, the same every time."""

import json

import pytest

from benchmark.export.graph import TERMINAL, CircuitEdge, CircuitGraph, CircuitNode, SiteOfGraph
from benchmark.report.page import picture as pictures
from benchmark.report.page.circuits_data import Interned, drawing
from benchmark.report.page.picture import PER_LINE, busiest, edge_sizes, picture

NEURONS, VALUES = "blocks.0.neuron", "blocks.0.v"


def graph(neurons=3, values=2, opaque=()):
    """Values that all neurons read, with weights 1, -2, 3, -4, …; neurons that write to the logits."""
    sites = (SiteOfGraph(VALUES, "value", 0, values, 0), SiteOfGraph(NEURONS, "neuron", 0, neurons, 1))
    nodes = [CircuitNode(site.name, index, 0, site.kind) for site in sites for index in range(site.size)]
    pairs = [(value, neuron) for value in range(values) for neuron in range(neurons)]
    weights = [float((-1) ** number * (number + 1)) for number in range(len(pairs))]
    inner = [
        CircuitEdge(f"{VALUES}[{value}]", f"{NEURONS}[{neuron}]", None if pair in opaque else weight, True)
        for pair, (value, neuron), weight in zip(range(len(pairs)), pairs, weights, strict=True)
    ]
    outer = [CircuitEdge(f"{NEURONS}[{neuron}]", "logits", 0.5) for neuron in range(neurons)]
    end = CircuitNode("logits", 0, 1, TERMINAL)
    return CircuitGraph("m", "native", "unit", "task", 0, sites, tuple(nodes), (end,), (*inner, *outer))


def test_every_node_is_placed_once_and_edges_go_up():
    drawn = picture(graph(), None)
    assert sorted(node.name for node in drawn.nodes) == sorted(graph().by_name)
    assert all(drawn.nodes[edge.source].line < drawn.nodes[edge.target].line for edge in drawn.edges)
    assert drawn.lines == ("blocks.0 v", NEURONS, "logits")
    assert len({(node.line, node.x) for node in drawn.nodes}) == len(drawn.nodes)
    assert all(0 < node.x < 1 for node in drawn.nodes)


def test_without_flows_edges_are_ordered_by_their_weights_and_those_to_an_end_have_no_sign():
    drawn = picture(graph(), None)
    assert [edge.weight for edge in drawn.edges] == [-6.0, 5.0, -4.0, 3.0, -2.0, 1.0, 0.5, 0.5, 0.5]
    assert [edge.sign for edge in drawn.edges] == [-1, 1, -1, 1, -1, 1, 0, 0, 0]
    assert (drawn.total_size, drawn.all_edges, drawn.all_nodes, drawn.by_flow) == (22.5, 9, 5, False)


def test_flows_take_the_place_of_weights():
    flows = {(edge.source, edge.target): 1 / abs(edge.weight) for edge in graph().edges}
    drawn = picture(graph(), flows, most_edges=2)
    assert [edge.weight for edge in drawn.edges] == [0.5, 0.5]
    assert [edge.size for edge in drawn.edges] == [2.0, 2.0]
    assert (drawn.all_edges, drawn.by_flow) == (9, True)
    assert drawn.total_size == pytest.approx(sum(flows.values()))


def test_edges_through_opaque_blocks_have_no_size_and_come_last():
    drawn = picture(graph(opaque=(5, 0)), None)
    assert [edge.size for edge in drawn.edges][-2:] == [None, None]
    assert drawn.opaque_edges == 2
    assert drawn.total_size == 22.5 - 6 - 1


def test_long_rows_take_several_lines_with_one_label():
    drawn = picture(graph(neurons=3 * PER_LINE - 1, values=1), None)
    assert drawn.lines == ("blocks.0 v", NEURONS, "", "", "logits")
    on_lines = [sum(node.line == line for node in drawn.nodes) for line in range(5)]
    assert on_lines == [1, PER_LINE, PER_LINE, PER_LINE - 1, 1]


def test_of_too_many_nodes_those_are_drawn_along_whose_edges_most_flows(monkeypatch):
    monkeypatch.setattr(pictures, "MOST_NODES", 3)
    drawn = picture(graph(), None)
    sizes = edge_sizes(graph(), None)
    assert busiest(graph(), sizes, 3) == [f"{VALUES}[1]", f"{NEURONS}[2]", f"{NEURONS}[1]"]
    assert {node.name for node in drawn.nodes} == {f"{VALUES}[1]", f"{NEURONS}[2]", f"{NEURONS}[1]", "logits"}
    assert [edge.weight for edge in drawn.edges] == [-6.0, 5.0, 0.5, 0.5]
    assert (drawn.all_nodes, drawn.all_edges) == (5, 9)


def test_data_of_a_picture_has_columns_of_the_same_length_and_is_the_same_every_time():
    texts = Interned()
    made = drawing(picture(graph(opaque=(0,)), None), {f"{VALUES}[1]": 0.123456}, texts)
    assert {len(column) for column in made["nodes"].values()} == {6}
    assert {len(column) for column in made["edges"].values()} == {9}
    names = [texts.texts[number] for number in made["nodes"]["name"]]
    assert made["nodes"]["effect"][names.index(f"{VALUES}[1]")] == 0.123
    assert made["nodes"]["effect"][names.index(f"{VALUES}[0]")] is None
    assert made["edges"]["sign"] == "-+-+-0000"
    assert made["edges"]["verified"] == "11111???1"
    again = drawing(picture(graph(opaque=(0,)), None), {f"{VALUES}[1]": 0.123456}, Interned())
    assert json.dumps(made) == json.dumps(again)
