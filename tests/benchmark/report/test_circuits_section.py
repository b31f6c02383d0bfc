"""The section on circuits: what it draws of a run, and what it says where it cannot."""

import json
import shutil
from dataclasses import replace

import pytest
import toy_run
from toy_run import TASK

from benchmark.export.stored import stored_graph
from benchmark.report.page.circuits import _chosen, section
from benchmark.report.page.source import page_run

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of the weight-sparse model with two seeds, the circuit of the second of which was not found."""
    folder = tmp_path_factory.mktemp("run")
    toy_run.toy_run(folder, "weight_sparse", seeds=(0, 1))
    return folder


@pytest.fixture(scope="module")
def made(finished):
    return section(page_run(finished / "results", finished / "store"))


def drawn(made, graph):
    return next(each for each in made.data["circuits"] if each["graph"] == graph and "drawing" in each)


@pytest.mark.parametrize("graph", ["channel", "unit"])
def test_a_drawing_has_the_nodes_and_edges_of_the_stored_circuit(made, finished, graph):
    circuit = drawn(made, graph)
    names = {"graph": graph, "seed": 0, "store": finished / "store"}
    stored = stored_graph(finished / "results", "weight_sparse", TASK, **names)
    drawing, texts = circuit["drawing"], made.data["texts"]
    found = [texts[number] for number in drawing["nodes"]["name"]]
    assert sorted(found) == sorted(stored.by_name)
    edges = {
        (found[source], found[target]): weight
        for source, target, weight in zip(
            *(drawing["edges"][name] for name in ("source", "target", "weight")), strict=True
        )
    }
    assert edges == {(edge.source, edge.target): pytest.approx(edge.weight, rel=1e-2) for edge in stored.edges}
    assert drawing["all"]["edges"] == len(stored.edges)
    assert drawing["edges"]["verified"].count("1") == sum(edge.verified is True for edge in stored.edges)


def test_every_node_that_is_ever_active_has_examples_with_one_marked_token(made):
    circuit, texts = drawn(made, "unit"), made.data["texts"]
    cards = made.data["cards"][circuit["model"]]
    kinds = [texts[number] for number in circuit["drawing"]["nodes"]["kind"]]
    seen = 0
    for name, kind in zip(circuit["drawing"]["nodes"]["name"], kinds, strict=True):
        if kind != "terminal":
            card = cards[str(name)]
            assert sum(card["shares"]) == pytest.approx(1, abs=0.01)
            lines = [texts[line] for band in card["lines"] for line in band]
            assert bool(lines) == (card["shares"][3] < 1)
            assert all(line.count("⟦") == line.count("⟧") == 1 for line in lines)
            seen += len(lines)
    assert seen > 20


def test_what_is_told_of_a_circuit_is_what_the_run_measured(made):
    assert dict(drawn(made, "unit")["scores"]) == {"edges": "7", "faithfulness": "0.5"}


def test_circuits_of_other_seeds_and_prompts_that_cannot_be_posed_are_named(made):
    told = " ".join(made.missing)
    assert (
        "Circuits of seed 0 are drawn, those of seed 1 are not; `bench export METHOD TASK --to svg` draws one." in told
    )
    assert f"2 circuits of weight_sparse ({TASK}) are drawn without prompts and effects of ablation: task" in told


def test_without_a_store_circuits_are_listed_and_none_is_drawn(finished):
    made = section(page_run(finished / "results", None))
    assert made.data is None
    assert made.script == ""
    assert made.html.count("<tr>") == 1 + 4
    assert toy_run.NOT_REACHED in made.html
    assert any("`bench report --store DIR`" in sentence for sentence in made.missing)


def test_circuits_that_the_store_lacks_are_named_and_the_page_goes_on(finished, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(finished / "store", store)
    for file in store.glob("artifacts/*/circuit.safetensors"):
        file.write_bytes(b"damaged")
    made = section(page_run(finished / "results", store))
    assert made.data is None
    assert any(
        sentence.startswith("1 circuit of weight_sparse") and "not drawn" in sentence for sentence in made.missing
    )


def test_hostile_names_and_reasons_are_escaped_in_the_table(finished):
    run = page_run(finished / "results", None)
    rows = [replace(row, method=HOSTILE, reason=HOSTILE if row.status != "ok" else "") for row in run.records]
    made = section(replace(run, board=replace(run.board, records=rows)))
    assert HOSTILE not in made.html
    assert "&lt;/script&gt;&lt;img src=x" in made.html


def test_the_same_run_gives_the_same_data(made, finished):
    again = section(page_run(finished / "results", finished / "store"))
    assert json.dumps(again.data) == json.dumps(made.data)


def test_of_very_many_circuits_the_first_are_drawn_and_the_number_is_said(finished, monkeypatch):
    rows = [row for row in page_run(finished / "results", None).records if row.metric == "edges" and row.value]
    monkeypatch.setattr("benchmark.report.page.circuits.MOST_CIRCUITS", 1)
    chosen, missing = _chosen(rows)
    assert len(chosen) == 1
    assert missing == [
        f"The first 1 of {len(rows)} circuits are drawn; `bench export METHOD TASK --to svg` draws another."
    ]
