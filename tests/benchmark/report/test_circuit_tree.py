"""A circuit as a tree of text: every node and edge, at most 80 columns, whatever tokens contain."""

import re

import pytest

from benchmark.export.graph import CircuitEdge, CircuitGraph, CircuitNode, SiteOfGraph
from benchmark.report.circuit_tree import circuit_tree, columns, cut, painted, shown_edges
from benchmark.report.meanings import Meaning

SITES = (
    SiteOfGraph("blocks.0.v", "value", 0, 400, 0),
    SiteOfGraph("blocks.0.neuron", "neuron", 0, 8, 1),
    SiteOfGraph("blocks.1.neuron", "neuron", 1, 8, 3),
)
ENDS = (CircuitNode("embed", 0, -1, "terminal"), CircuitNode("logits", 0, 2, "terminal"))


def graph(nodes, edges, sites=SITES):
    layers = {site.name: site for site in sites}
    made = [CircuitNode(name, index, layers[name].layer, layers[name].kind) for name, index in nodes]
    return CircuitGraph("dense", "native", "unit", "for_while", 0, sites, tuple(made), ENDS, tuple(edges))


SMALL = graph(
    [("blocks.0.v", 3), ("blocks.0.neuron", 1), ("blocks.1.neuron", 5)],
    [
        CircuitEdge("embed", "blocks.0.v[3]", 0.5, True),
        CircuitEdge("blocks.0.v[3]", "blocks.0.neuron[1]", -1.25, True),
        CircuitEdge("blocks.0.neuron[1]", "blocks.1.neuron[5]", None, False),
        CircuitEdge("blocks.1.neuron[5]", "logits", 2.0, False),
    ],
)


def text(of, meanings=(), most=None, colour=False):
    known = {meaning.node: meaning for meaning in meanings}
    return [painted(line, colour) for line in circuit_tree(of, known, most)]


def test_a_small_circuit_is_drawn_from_the_embeddings_to_the_logits():
    meaning = Meaning("blocks.0.v[3]", "in_string", precision=0.9, score=0.75)
    assert text(SMALL, [meaning, Meaning("blocks.1.neuron[5]", examples=("for⟦ x⟧",))]) == [
        "├─ embed",
        "│     writes 0.v[3] +0.50*",
        "├─ block 0",
        "│  ├─ v",
        "│  │  └─ v 3  in_string (precision 0.90, label score 0.75)",
        "│  │        reads  embed +0.50*",
        "│  │        writes 0.neuron[1] -1.25*",
        "│  └─ neuron",
        "│     └─ neuron 1",
        "│           reads  0.v[3] -1.25*",
        "│           writes 1.neuron[5]",
        "├─ block 1",
        "│  └─ neuron",
        "│     └─ neuron 5  for⟦ x⟧",
        "│           reads  0.neuron[1]",
        "│           writes logits +2.00",
        "└─ logits",
        "      reads  1.neuron[5] +2.00",
    ]


def test_the_edges_that_the_circuit_needs_come_first_then_the_heaviest():
    shown = shown_edges(SMALL, 3)
    assert [edge.target for edge in shown.edges] == ["blocks.0.neuron[1]", "blocks.0.v[3]", "logits"]
    assert shown.told == (
        "showing 3 of 4 edges, those that it needs first, then the heaviest, with 100% of the sum of all absolute "
        "weights; --edges all shows all"
    )
    assert shown_edges(SMALL, 4).told == shown_edges(SMALL, None).told == ""


def test_nodes_whose_edges_are_not_shown_are_counted():
    lines = text(SMALL, most=1)
    assert lines[:2] == [
        "  showing 1 of 4 edges, those that it needs first, then the heaviest, with 33%",
        "  of the sum of all absolute weights; --edges all shows all",
    ]
    assert "│     └─ neuron 1" in lines
    assert "│     └─ 1 more, whose edges are not shown" in lines
    assert not any("neuron 5" in line for line in lines)


def test_thousands_of_edges_are_cut_to_as_many_as_are_asked_for_and_all_are_drawn_on_request():
    nodes = [("blocks.0.v", index) for index in range(400)] + [("blocks.0.neuron", index) for index in range(8)]
    joined = [(v, n) for v in range(400) for n in range(8)]
    edges = [CircuitEdge(f"blocks.0.v[{v}]", f"blocks.0.neuron[{n}]", v - 8.5 * n) for v, n in joined]
    of = graph(nodes, edges)
    lines = text(of, most=40)
    assert len(lines) < 80
    assert "showing 40 of 3,200 edges" in lines[0]
    assert len(re.findall(r"0\.neuron\[\d+\] [+-]", "\n".join(lines))) == 40
    everything = "\n".join(text(of))
    assert len(re.findall(r"0\.neuron\[\d+\] [+-]", everything)) == 3200
    assert max(map(columns, everything.splitlines())) <= 80


@pytest.mark.parametrize(
    "token",
    ["x" * 200, "日本語" * 40, "e\u0301" * 90, "👩‍👩‍👧" * 30, "\x1b[31mred", "a\nb\tc", "\u202egnirts", "\x00\x07"],
    ids=["long", "wide", "combining", "joined", "escape", "line", "bidirectional", "control"],
)
def test_no_token_breaks_the_columns_or_drives_the_terminal(token):
    lines = text(SMALL, [Meaning("blocks.0.v[3]", examples=(f"⟦{token}⟧",)), Meaning("blocks.0.neuron[1]", token)])
    assert max(map(columns, lines)) <= 80
    assert all(line.isprintable() for line in lines)
    assert len(lines) == len(text(SMALL))


def test_colours_are_used_only_where_asked_for_and_change_no_text():
    plain, coloured = text(SMALL), text(SMALL, colour=True)
    assert not any("\x1b" in line for line in plain)
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in coloured] == plain
    assert any("\x1b[36m" in line and "+0.50" in line for line in coloured)
    assert any("\x1b[33m" in line and "-1.25" in line for line in coloured)


def test_a_circuit_without_nodes_has_no_lines():
    assert text(CircuitGraph("dense", "native", "unit", "for_while", 0, SITES, (), (), ())) == []


@pytest.mark.parametrize(("given", "most", "shown"), [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("日本語", 5, "日本…")])
def test_texts_are_cut_by_columns(given, most, shown):
    assert cut(given, most) == shown
