"""Regret: by hand, and from a ladder on tiny models whose best circuits are run again before they are believed."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.cli.regret import text
from benchmark.discovery.search import Search
from benchmark.discovery.shrinking import removable
from benchmark.evaluate import setting_of
from benchmark.model.circuit import Circuit
from benchmark.model.interface import Site
from benchmark.running.config import configure
from benchmark.running.store import Store
from benchmark.studies.best_known import (
    BestKnown,
    ModelAndTask,
    as_text,
    from_text,
    lowered,
    read_best_known,
    write_best_known,
)
from benchmark.studies.regret import LADDER, regrets, searches
from benchmark.studies.regret_table import KEY, summaries
from benchmark.studies.tables import added, measured, write_frame

OF = ModelAndTask("quick", "dense", "native", "unit", "for_while", 0, 0.15, "0123456789abcdef")

SITES = (Site("blocks.0.v", "value", 0, 4, 0), Site("blocks.0.neuron", "neuron", 0, 3, 1))

LADDER_RUN = ("regret", "weight_sparse", "--preset", "smoke", "--tasks", "for_while,nonsense", "--longest", "1")
LADDER_RUN += ("--finder-seeds", "0", "--workers", "1")
CHANGES = ("circuit.target_loss=0.78", "circuit.search_margin=0.0", "circuit.budget_tokens=20_000")
LADDER_RUN += tuple(word for change in CHANGES for word in ("--set", change))


pytestmark = pytest.mark.usefixtures("cells_computed_here")


def found(edges, nodes=3, by="exchanges x1 finder seed 0", of=OF):
    return BestKnown(of, edges, nodes, by, "blocks.0.v 1 3; blocks.0.neuron 2")


# The smallest circuits known


def test_a_size_is_only_lowered_and_equal_sizes_keep_the_earlier_circuit():
    older, equal, smaller = found(9), found(9, by="later"), found(8)
    assert lowered([older], [equal]) == [older]
    assert lowered([older], [smaller]) == lowered([smaller], [older]) == [smaller]
    assert lowered([older], [found(9, nodes=2)])[0].nodes == 2


def test_another_model_is_another_row():
    other = found(5, of=OF._replace(model="f" * 16))
    assert lowered([found(9)], [other]) == [found(9), other]


def test_the_table_is_read_as_it_was_written(tmp_path):
    rows = [found(9), found(5, of=OF._replace(task="else_elif"))]
    write_best_known(tmp_path / "best_known.csv", rows)
    assert read_best_known(tmp_path / "best_known.csv") == sorted(rows, key=lambda row: row.of)
    assert read_best_known(tmp_path / "none.csv") == []


def test_the_committed_table_has_one_circuit_per_model_and_task_that_was_run_again():
    rows = read_best_known(Path(__file__).parents[3] / "results/reference/best_known.csv")
    assert {row.checked for row in rows} == {"yes"}
    assert len({row.of for row in rows}) == len(rows) > 0
    assert all(row.edges >= 0 and bool(row.circuit) == (row.nodes > 0) for row in rows)


@pytest.mark.parametrize(
    ("old", "new", "said"), [("edges", "arcs", "has the columns"), (",9,", ",nine,", "line 2: invalid literal")]
)
def test_another_table_is_refused_in_one_line(tmp_path, old, new, said):
    path = tmp_path / "best_known.csv"
    write_best_known(path, [found(9)])
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=said) as refused:
        read_best_known(path)
    assert len(str(refused.value).splitlines()) == 1


def test_a_circuit_is_read_from_its_line():
    masks = {"blocks.0.v": torch.tensor([0, 1, 0, 1]), "blocks.0.neuron": torch.tensor([0, 0, 1])}
    circuit = from_text(found(9).circuit, SITES)
    assert {name: mask.tolist() for name, mask in circuit.masks.items()} == {
        name: mask.bool().tolist() for name, mask in masks.items()
    }
    assert as_text(circuit) == found(9).circuit
    assert as_text(Circuit.empty(SITES)) == ""
    assert not any(mask.any() for mask in from_text("", SITES).masks.values())
    with pytest.raises(ValueError, match=r"the model has no nodes 'blocks\.0\.v 4'"):
        from_text("blocks.0.v 4", SITES)


# The ladder


def test_regret_is_summed_up_by_algorithm_and_budget():
    case = {"variant": "native", "graph": "unit", "task": "for_while", "seed": 0, "algorithm": "mask", "factor": 1}
    rows = pd.DataFrame(
        [
            {
                **case,
                "method": method,
                "algorithm": "mask",
                "factor": 1,
                "finder_seed": seed,
                "edges": edges,
                "regret": regret,
                "status": status,
                "robust_faithfulness": robust,
            }
            for method, seed, edges, regret, status, robust in [
                ("dense", 0, 10, 0.0, "ok", 0.2),
                ("dense", 1, 20, 1.0, "not_generalised", math.nan),
                ("sae", 0, 30, 0.5, "ok", 0.6),
                ("sae", 1, math.nan, math.nan, "ok", math.nan),
            ]
        ]
    )
    (row,) = summaries(rows)
    assert (row.searches, row.reached, row.generalised, row.median) == (4, 3, 2, 0.5)
    assert row.faithfulness == pytest.approx(0.4)
    assert row.p90 == pytest.approx(0.9)
    assert row.by_method == {"dense": 0.5, "sae": 0.5}
    assert row.deviation == pytest.approx(math.log(2) / math.sqrt(2))
    lines = text([row, replace(row, deviation=math.nan)])
    assert all(len(line) <= 80 for line in lines)
    assert "3 of 4" in "\n".join(lines)


def test_long_searches_run_on_some_cases_with_the_first_finder_seed():
    made = searches(configure("quick", ["weight_sparse", "dense"]), [4, 5], longest=50)
    assert len({each.cell.key for each in made}) == len(made)
    cases = {each.case for each in made}
    assert len(cases) == 2 * 2 * 8
    for rung in LADDER:
        own = [each for each in made if each.rung == rung]
        assert {each.cell.params["circuit"]["budget_tokens"] for each in own} == {160_000 * rung.factor}
        assert {each.finder_seed for each in own} == ({4, 5} if rung.factor == 1 else {4})
        assert len({each.case for each in own}) == {1: 32, 2: 32, 10: 11, 50: 8}[rung.factor]
    assert all(each.rung.factor == 1 for each in searches(configure("quick", ["dense"]), [0], longest=1))


def test_algorithms_are_chosen_by_name():
    made = searches(configure("quick", ["dense"]), [0], longest=2, algorithms=["mask", "exchanges"])
    assert {(each.rung.algorithm, each.rung.factor) for each in made} == {
        ("mask", 1),
        ("exchanges", 1),
        ("exchanges", 2),
    }
    with pytest.raises(ValueError, match="no algorithm 'masks'; choose from mask, attribution, random"):
        searches(configure("quick", ["dense"]), [0], 1, algorithms=["masks"])
    with pytest.raises(ValueError, match="removal runs with 50 times the budget or more; raise --longest"):
        searches(configure("quick", ["dense"]), [0], 1, algorithms=["removal"])
    with pytest.raises(ValueError, match="nonsense has no task that is not a control"):
        searches(configure("quick", ["dense"], ["nonsense"]), [0], 1)


def test_a_finder_seed_that_is_given_twice_is_one():
    once, twice = (searches(configure("quick", ["dense"], ["for_while"], [0]), seeds, 1) for seeds in ([3], [3, 3]))
    assert [each.cell.key for each in once] == [each.cell.key for each in twice]


def row_of(edges, **changes):
    case = {"method": "dense", "variant": "native", "graph": "unit", "task": "for_while", "seed": 0}
    search = {"algorithm": "mask", "factor": 1, "finder_seed": 0, "model": OF.model, "status": "ok"}
    return {**case, **search, "edges": edges, "nodes": 3, "robust_faithfulness": 0.5, **changes}


def test_regret_is_over_the_smallest_circuit_of_the_same_model():
    other = {"model": "f" * 16, "seed": 1}
    rows = pd.DataFrame([row_of(12), row_of(math.nan, finder_seed=1), row_of(0, **other), row_of(4, task="else_elif")])
    best = [found(8), found(0, of=OF._replace(model="f" * 16, seed=1))]
    other_target = found(1, of=OF._replace(target=0.3))
    table = regrets(rows, [*best, other_target], configure("quick", ["dense"], ["for_while"], [0]))
    assert table["regret"].tolist() == pytest.approx([0.5, math.nan, 0.0, math.nan], nan_ok=True)
    assert table["best_edges"].tolist() == pytest.approx([8, math.nan, 0, math.nan], nan_ok=True)


def test_searches_are_added_to_a_table_and_replace_their_own_rows(tmp_path):
    path = tmp_path / "regret.csv"
    write_frame(path, pd.DataFrame([row_of(12), row_of(9, finder_seed=1)]))
    table = added(path, pd.DataFrame([row_of(11, factor=10), row_of(10)]), KEY)
    assert table[["factor", "finder_seed", "edges"]].to_numpy().tolist() == [[1, 0, 10], [1, 1, 9], [10, 0, 11]]
    assert len(added(tmp_path / "none.csv", pd.DataFrame([row_of(10)]), KEY)) == 1
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"regret\.csv lacks the columns algorithm, factor"):
        added(path, pd.DataFrame([row_of(10)]), KEY)


def test_a_ladder_on_which_no_search_reaches_the_target_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, [*LADDER_RUN, "--algorithms", "random", "--set", "circuit.target_loss=0.01"])
    assert done.exit_code == 0, done.output
    assert "0 of 2" in done.output
    rows = pd.read_csv("results/regret.csv")
    assert rows["regret"].isna().all()
    assert not rows["on_front"].any()
    assert not read_best_known(Path("results/best_known.csv"))


def certified_again(store):
    """Every circuit of the finder in a store is 1-minimal: no node of it can be removed alone."""
    made = searches(configure("smoke", ["weight_sparse"], ["for_while"], [0], CHANGES), [0], 1, ["exchanges"])
    certified = [each for each in made if "minimal_nodes" in measured(each.cell, store)]
    for each in certified:
        config, setting = each.run.circuit, setting_of(each.cell, each.run.circuit, store)
        search = Search.of(
            setting.model, setting.prompts, setting.ablation_values, setting.graph, config.target_loss, config.budget
        )
        kept = Circuit.load(store.artifact(each.cell.key) / "circuit.safetensors").row(search.sites)
        trials = search.trials()
        assert measured(each.cell, store)["minimal_nodes"].status == "ok"
        assert float(trials.excess(kept, kept[None])[0]) <= 0
        assert not len(removable(trials, kept))
    assert certified


def test_the_command_measures_regret_and_runs_the_smallest_circuits_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, list(LADDER_RUN))
    assert done.exit_code == 0, done.output
    rows = pd.read_csv("results/regret.csv")
    assert set(rows["task"]) == {"for_while"}
    assert len(rows) == 2 * 5
    reached = rows.dropna(subset="regret")
    assert (reached["regret"] >= 0).all()
    assert (reached.groupby("graph")["regret"].min() == 0).all()
    held = rows[rows["status"] == "ok"]
    assert len(held)
    assert held["robust_faithfulness"].le(held["faithfulness"] + 1e-6).all()
    assert {"circuit_loss", "faithfulness:resample", "faithfulness:counterfactual"} <= set(rows)
    assert held.groupby("graph")["on_front"].any().all()
    path = Path("results/best_known.csv")
    best = read_best_known(path)
    assert {row.of.graph for row in best} == set(reached["graph"])
    assert {row.checked for row in best} == {"yes"}
    before = path.read_bytes()
    again = CliRunner().invoke(main, list(LADDER_RUN))
    assert again.exit_code == 0
    assert path.read_bytes() == before

    certified_again(Store(Path("store")))

    folder = {path.name: path.read_bytes() for path in Path("results").iterdir()}
    other = CliRunner().invoke(main, [*LADDER_RUN, "--set", "circuit.area_factor=3.0"])
    assert other.exit_code == 2
    assert "belongs to other settings: circuit.area_factor is 2.0 there and 3.0 here" in other.stderr
    assert {path.name: path.read_bytes() for path in Path("results").iterdir()} == folder

    elsewhere = best[0].of._replace(model="f" * 16)
    write_best_known(path, [*best, replace(best[0], of=elsewhere, edges=1)])
    CliRunner().invoke(main, list(LADDER_RUN))
    assert [row.checked for row in read_best_known(path) if row.of == elsewhere] == ["not here"]

    write_best_known(path, [replace(row, edges=row.edges - 1) for row in best])
    claimed = path.read_bytes()
    refused = CliRunner().invoke(main, list(LADDER_RUN))
    assert refused.exit_code == 2
    assert "has edges and nodes" in refused.stderr
    assert len(refused.stderr.splitlines()[-1:]) == 1
    assert path.read_bytes() == claimed
    with Path("results/regret.csv").open() as file:
        assert len(list(csv.reader(file))) == 11
