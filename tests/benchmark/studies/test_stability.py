"""Stability by hand, and the front of size and faithfulness."""

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.model.circuit import Circuit
from benchmark.model.interface import Connection
from benchmark.studies.regret import Case, on_front
from benchmark.studies.stability import alike

CONNECTIONS = [Connection("first", "second", torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]]))]


def circuit(first, second):
    return Circuit({"first": torch.tensor(first).bool(), "second": torch.tensor(second).bool()})


def test_equal_circuits_share_everything():
    one = circuit([1, 1, 0], [1, 0])
    assert alike([one, circuit([1, 1, 0], [1, 0])], CONNECTIONS) == {
        "distinct": 1,
        "shared_nodes": 1.0,
        "shared_edges": 1.0,
    }


def test_nodes_and_edges_in_common_are_shares_of_those_in_either():
    """Three nodes and two edges each; two nodes and one edge (first 0 to second 0) in common, of four and three."""
    found = alike([circuit([1, 1, 0], [1, 0]), circuit([1, 0, 1], [1, 0])], CONNECTIONS)
    assert found == {"distinct": 2, "shared_nodes": pytest.approx(2 / 4), "shared_edges": pytest.approx(1 / 3)}


def test_shares_are_averaged_over_pairs():
    one, other = circuit([1, 0, 0], [1, 0]), circuit([0, 1, 0], [0, 1])
    found = alike([one, one, other], CONNECTIONS)
    assert found == {"distinct": 2, "shared_nodes": pytest.approx(1 / 3), "shared_edges": pytest.approx(1 / 3)}


def test_circuits_without_anything_share_everything():
    empty = circuit([0, 0, 0], [0, 0])
    assert alike([empty, empty], CONNECTIONS)["shared_edges"] == 1


def test_the_front_holds_circuits_that_no_smaller_one_matches_in_faithfulness():
    case = dict(zip(Case._fields, ("dense", "native", "unit", "for_while", 0), strict=True))
    found = [(10, 0.5), (12, 0.4), (12, 0.6), (12, 0.6), (20, np.nan), (np.nan, 0.9), (30, 0.7)]
    rows = pd.DataFrame([{**case, "edges": edges, "robust_faithfulness": faithful} for edges, faithful in found])
    other = rows.iloc[[1]].assign(task="else_elif")
    front = on_front(pd.concat([rows, other], ignore_index=True))
    assert front.tolist() == [True, False, True, False, False, False, True, True]
