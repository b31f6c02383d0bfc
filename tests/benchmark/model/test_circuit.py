"""A circuit says what it keeps, in a line and as a table, and a wrong argument of the interface is named."""

import math
import re

import pytest
import shape_checks
import string_closing
import torch

from benchmark.html_table import html_table
from benchmark.model.circuit import Circuit
from benchmark.model.interface import Connection, OpaqueBlock, Site, forward

SITES = (Site("a", "neuron", 0, 3, 0), Site("b", "neuron", 0, 2, 0))
CIRCUIT = Circuit({"a": torch.tensor([True, False, True]), "b": torch.zeros(2, dtype=torch.bool)})


@pytest.fixture(scope="module")
def model():
    with torch.no_grad():
        return string_closing.model()


def test_a_circuit_says_how_many_nodes_it_keeps_and_where():
    assert repr(CIRCUIT) == "Circuit(2 of 5 nodes: a 2)"
    assert repr(Circuit.empty(SITES)) == "Circuit(0 of 5 nodes)"
    many = Circuit({f"blocks.{layer}.q": torch.ones(2000, dtype=torch.bool) for layer in range(6)})
    shown = "blocks.0.q 2000, blocks.1.q 2000, blocks.2.q 2000, blocks.3.q 2000, 2 more sites"
    assert repr(many) == f"Circuit(12,000 of 12,000 nodes: {shown})"


def test_a_circuit_is_shown_as_a_table_of_its_nodes_by_site():
    shown = CIRCUIT._repr_html_()
    assert "<caption>2 of 5 nodes</caption>" in shown
    assert "<tbody><tr><td>a</td><td>2</td><td>3</td><td>0, 2</td></tr></tbody>" in shown
    long = Circuit({"a": torch.ones(20, dtype=torch.bool)})._repr_html_()
    assert "<td>0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 and 4 more</td>" in long


def test_names_from_a_file_are_escaped():
    hostile = Circuit({"<img src=x onerror=alert(1)>": torch.ones(1, dtype=torch.bool)})
    assert "<img" not in hostile._repr_html_()
    assert html_table(("<a>",), [("<b>", "'\"&")], "<c>") == (
        "<table><caption>&lt;c&gt;</caption><thead><tr><th>&lt;a&gt;</th></tr></thead>"
        "<tbody><tr><td>&lt;b&gt;</td><td>&#x27;&quot;&amp;</td></tr></tbody></table>"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Circuit([1]), "masks must be a mapping from site names to tensors, got [1]"),
        (
            lambda: Circuit({"a": torch.ones(3)}),
            "the mask of a must be a tensor of booleans of shape [node], got torch.float32 of shape [3]",
        ),
        (
            lambda: Circuit({"a": torch.ones(3, 1, dtype=torch.bool)}),
            "the mask of a must be a tensor of booleans of shape [node], got torch.bool of shape [3, 1]",
        ),
        (
            lambda: Circuit({"a": [True]}),
            "the mask of a must be a tensor of booleans of shape [node], got [True]",
        ),
        (lambda: Circuit.first(SITES, torch.arange(5), 6), "nodes must be from 0 to 5, got 6 of an order of 5"),
        (lambda: Circuit.first(SITES, torch.arange(5), -1), "nodes must be from 0 to 5, got -1 of an order of 5"),
        (lambda: Circuit({}).row(SITES), "the circuit has no site 'a'; it has no site"),
        (lambda: CIRCUIT.row([Site("c", "neuron", 0, 2, 0)]), "the circuit has no site 'c'; it has a, b"),
        (
            lambda: Site.at("blocks.0.foo", 3, 0),
            "site 'blocks.0.foo' is not of the form blocks.LAYER.HOOK; choose the hook from attn_in, q, k, v, ",
        ),
        (lambda: Site.at("q", 3, 0), "site 'q' is not of the form blocks.LAYER.HOOK; "),
        (lambda: Site.at("blocks.x.q", 3, 0), "site 'blocks.x.q' is not of the form blocks.LAYER.HOOK; "),
        (lambda: Connection("a", "b", None), "connection a -> b needs a weight or an opaque block, got neither"),
        (
            lambda: Connection("a", "b", torch.ones(2, 3), OpaqueBlock("attention", 3)),
            "connection a -> b needs a weight or an opaque block, got both",
        ),
    ],
)
def test_what_cannot_be_made_says_why(make, message):
    with shape_checks.off(), pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        make()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": 3}, "model must be a CircuitModel, got int"),
        ({"tokens": [[1]]}, "tokens must be a tensor of integers of shape [batch, position], got [[1]]"),
        (
            {"tokens": torch.ones(3, dtype=torch.int64)},
            "tokens must be a tensor of integers of shape [batch, position], got torch.int64 of shape [3]",
        ),
        (
            {"tokens": torch.ones(1, 3)},
            "tokens must be a tensor of integers of shape [batch, position], got torch.float32 of shape [1, 3]",
        ),
        (
            {"positions": torch.ones(2, dtype=torch.int64)},
            "positions must be a tensor of integers of shape [batch, query], got torch.int64 of shape [2]",
        ),
        ({"stage": -1}, "stage must be from 0 to 4, got -1"),
        ({"stage": 5}, "stage must be from 0 to 4, got 5"),
        ({"stage": math.nan}, "stage must be from 0 to 4, got nan"),
    ],
)
def test_wrong_arguments_of_a_run_are_named(model, changes, message):
    given = {"model": model, "tokens": torch.zeros(1, 3, dtype=torch.int64), **changes}
    with shape_checks.off(), pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        forward(**given)
