"""What nodes mean in words."""

import pytest

from benchmark.export.graph import Activations, Example
from benchmark.report.meanings import excerpt, meanings

UNSEEN = (0.0, 0.0, 1.0, 0.5, (1,), (0.0,))


def seen(*examples):
    return Activations(*UNSEEN, tuple(Example(tuple(tokens), (0.0,) * len(tokens), at) for tokens, at in examples))


def concept(name, node, precision, score, *, sign=1, kinds=None):
    label = {"value": score, "low": None, "high": None}
    return {
        "concept": name,
        "node": node,
        "sign": sign,
        "average_precision": precision,
        "highest_node": node,
        "highest_precision": precision,
        "observed": {},
        "kinds": kinds or {},
        "choices": {"by_precision": {"controls": {"label": label}}},
    }


def words(assessment, node="blocks.0.neuron[1]", **activations):
    return meanings([node], assessment, activations)[node].words


def test_a_node_means_the_concept_that_it_detects_best():
    known = [
        concept("in_string", "blocks.0.neuron[1]", 0.8, 0.7),
        concept("in_call", "blocks.0.neuron[1]", 0.9, None),
        concept("in_list", "blocks.0.neuron[2]", 0.4, 0.9, kinds={"neuron": ["blocks.0.neuron[1]", 0.85]}),
    ]
    assert words({"concepts": known}) == "in_call (precision 0.90)"
    assert words({"concepts": known[:1]}) == "in_string (precision 0.80, label score 0.70)"
    assert words({"concepts": known[2:]}) == "in_list (precision 0.85)"
    assert words({"concepts": known}, "blocks.0.neuron[2]") == ""


def test_a_node_may_be_low_where_its_concept_holds():
    known = [concept("in_string", "blocks.0.neuron[1]", 0.8, 0.7, sign=-1)]
    assert words({"concepts": known}) == "low in in_string (precision 0.80, label score 0.70)"


def test_a_name_that_was_judged_counts_first_and_says_whether_it_misleads():
    label = {"value": 0.1, "low": 0.0, "high": 0.2}
    named = {"node": "blocks.0.neuron[1]", "concept": "in_call", "top_k_precision": 0.99, "label": label}
    known = {"concepts": [concept("in_string", "blocks.0.neuron[1]", 0.8, 0.7)]}
    said = words({**known, "named": [{**named, "verdict": "illusion"}]})
    assert said == "in_call (precision 0.99, label score 0.10, a name that misleads)"
    meant = meanings(["blocks.0.neuron[1]"], {"named": [{**named, "verdict": "meant"}]})["blocks.0.neuron[1]"]
    assert (meant.words, meant.low, meant.high) == ("in_call (precision 0.99, label score 0.10)", 0.0, 0.2)


def test_without_a_concept_a_node_means_the_tokens_where_it_is_far_from_its_mean():
    known = seen((("for", " x", " in", " y"), 2), (("if", " a", " in"), 2), (("x\n", "return"), 1))
    found = meanings(["embed", "blocks.0.v[3]"], None, {"blocks.0.v[3]": known})
    assert found["blocks.0.v[3]"].examples == ("for x⟦ in⟧ y", "⟦return⟧")
    assert found["blocks.0.v[3]"].words == "for x⟦ in⟧ y · ⟦return⟧"
    assert found["embed"].words == ""


@pytest.mark.parametrize(
    ("tokens", "at", "shown"),
    [
        (("a = 1\n", "    b", " =", "2", "\n", "c"), 2, "b⟦ =⟧2"),
        (("b", "\n", "c"), 1, r"b⟦\n⟧"),
        (("\x1b[31m", "\t", "c"), 1, r"\x1b[31m⟦\t⟧c"),
        (("x" * 40, "y", "z" * 40), 1, "x" * 16 + "⟦y⟧" + "z" * 10),
    ],
)
def test_an_excerpt_is_part_of_one_line_without_control_characters(tokens, at, shown):
    assert excerpt(Example(tokens, (0.0,) * len(tokens), at)) == shown
