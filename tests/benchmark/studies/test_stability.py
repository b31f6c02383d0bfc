"""Stability by hand, and the front of size and faithfulness."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.model.circuit import Circuit
from benchmark.model.interface import Connection
from benchmark.running.cells import Cell
from benchmark.running.config import configure
from benchmark.studies.best_known import ModelAndTask
from benchmark.studies.regret import LADDER, Result, Searched
from benchmark.studies.regret_table import Case, on_front
from benchmark.studies.stability import alike, stability

OF = ModelAndTask("quick", "dense", "native", "unit", "for_while", 0, 0.15, "0" * 16)

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


def test_the_front_holds_circuits_than_which_none_is_better():
    """Equal circuits are on it together; a larger one that is equally faithful is not."""
    case = dict(zip(Case._fields, CASE, strict=True)) | {"model": "0" * 16}
    found = [(10, 0.5), (12, 0.4), (12, 0.6), (12, 0.6), (13, 0.6), (20, np.nan), (np.nan, 0.9), (30, 0.7)]
    rows = pd.DataFrame([{**case, "edges": edges, "robust_faithfulness": faithful} for edges, faithful in found])
    others = [rows.iloc[[1]].assign(task="else_elif"), rows.iloc[[1]].assign(model="f" * 16)]
    front = on_front(pd.concat([rows, *others], ignore_index=True))
    assert front.tolist() == [True, False, True, True, False, False, False, True, True, True]


CASE = Case("dense", "native", "unit", "for_while", 0)


def searched(finder_seed, rung=LADDER[0], case=CASE):
    cell = Cell("search", {"of": f"{case.task} {rung.algorithm} {finder_seed}"})
    return Searched(case, rung, finder_seed, configure("quick", ["dense"], [case.task], [0]), cell)


def test_circuits_of_several_finder_seeds_are_compared_by_case_and_algorithm():
    one, other = circuit([1, 1, 0], [1, 0]), circuit([1, 0, 1], [1, 0])
    elsewhere = CASE._replace(task="else_elif")
    found = [searched(0), searched(1), searched(2), searched(0, LADDER[1]), searched(0, case=elsewhere)]
    circuits = [one, other, None, one, one]
    ended = {
        each.cell.key: Result(OF, kept or one, {} if kept is None else {"edges": 2, "nodes": 3}, "ok", {})
        for each, kept in zip(found, circuits, strict=True)
    }
    model = SimpleNamespace(connections=lambda graph: CONNECTIONS)
    table = stability(found, ended, {OF: lambda: SimpleNamespace(model=model, graph="unit")})
    assert table.to_dict("records") == [
        {
            **CASE._asdict(),
            "algorithm": "mask",
            "factor": 1,
            "finder_seeds": "0 1",
            "distinct": 2,
            "shared_nodes": pytest.approx(2 / 4),
            "shared_edges": pytest.approx(1 / 3),
        }
    ]


def test_no_model_is_loaded_where_nothing_is_compared():
    def load():
        raise AssertionError

    found = [searched(0)]
    ended = {found[0].cell.key: Result(OF, circuit([1, 1, 0], [1, 0]), {"edges": 2, "nodes": 3}, "ok", {})}
    assert stability(found, ended, {OF: load}).empty
