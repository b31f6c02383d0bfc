"""`bench export` on a finished run: every format, and every refusal in one line."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
import toy_run
from click.testing import CliRunner
from toy_run import TASK

from benchmark.cli import main
from benchmark.export import read_graph, stored_graph
from benchmark.metrics import edge_count, node_count
from benchmark.running.finished import load_model


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of the weight-sparse model with two seeds, the circuit of the second of which was not found."""
    folder = tmp_path_factory.mktemp("run")
    toy_run.toy_run(folder, "weight_sparse", seeds=(0, 1))
    return folder


@pytest.fixture
def export(finished, tmp_path, monkeypatch):
    """Calls the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    places = ("--results", str(finished / "results"), "--store", str(finished / "store"))

    def call(*arguments):
        return CliRunner().invoke(main, ["export", *arguments, *places])

    return call


ONE = ("weight_sparse", TASK, "--graph", "unit", "--seed", "0")


@pytest.mark.parametrize("graph", ["channel", "unit"])
def test_the_export_has_the_nodes_and_edges_of_the_stored_circuit(export, finished, graph):
    done = export("weight_sparse", TASK, "--graph", graph, "--seed", "0", "--to", "json")
    assert done.exit_code == 0, done.output
    name = f"weight_sparse-native-{graph}-{TASK}-0.json"
    assert done.stdout == f"{name}\n"
    found = read_graph(Path(name))
    model = load_model(finished / "results", "weight_sparse", seed=0, store=finished / "store")
    circuit = toy_run.circuit_of(model, graph)
    assert len(found.nodes) == node_count(circuit)
    assert len(found.edges) == edge_count(circuit, model.connections(graph))
    assert {node.name for node in found.nodes} == {
        f"{site}[{index}]" for site, nodes in circuit.kept().items() for index in nodes
    }
    assert {edge.verified for edge in found.edges} == {True, False}
    assert found.scores == {"edges": 7.0, "faithfulness": 0.5, "cpr": "undefined: empty equals whole"}
    assert set(found.activations) == {node.name for node in found.nodes}


def test_activations_are_those_of_the_model_on_the_corpus(finished):
    names = {"graph": "unit", "seed": 0, "store": finished / "store"}
    found = stored_graph(finished / "results", *ONE[:2], **names, examples=True).activations
    for seen in found.values():
        assert seen.low <= seen.mean <= seen.high
        assert seen.low <= seen.quantiles[49] <= seen.high
        away = [abs(example.values[example.at] - seen.mean) for example in seen.examples]
        assert away == sorted(away, reverse=True)
        assert all(
            max(abs(v - seen.mean) for v in each.values) <= far for each, far in zip(seen.examples, away, strict=True)
        )
        assert len({len(example.tokens) - len(example.values) for example in seen.examples}) == 1
    assert any(seen.raised for seen in found.values())


@pytest.mark.parametrize("form", ["svg", "csv", "parquet", "graphml", "dot", "circuit-tracer", "mib"])
def test_every_format_is_written_under_a_name_of_its_own(export, form):
    done = export(*ONE, "--to", form)
    assert done.exit_code == 0, done.output
    for path in done.stdout.splitlines():
        assert path.startswith(f"weight_sparse-native-unit-{TASK}-0")
        assert Path(path).stat().st_size > 0
    if form == "svg":
        ElementTree.parse(done.stdout.strip())


def test_out_names_the_file_and_force_replaces_it(export):
    assert export(*ONE, "--to", "dot", "--out", "new/circuit.dot").stdout == "new/circuit.dot\n"
    again = export(*ONE, "--to", "dot", "--out", "new/circuit.dot")
    assert (again.exit_code, again.stderr) == (
        2,
        "Error: new/circuit.dot is already there; choose another --out, or replace it with --force\n",
    )
    assert export(*ONE, "--to", "dot", "--out", "new/circuit.dot", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nobody", TASK, "--to", "svg"), "unknown method 'nobody'; choose from "),
        (("weight_sparse", "nothing", "--to", "svg"), "unknown task 'nothing'; choose from single_double_quote"),
        (("weight_sparse", TASK, "--to", "pdf"), "unknown format 'pdf' for circuits; choose from circuit-tracer, mib"),
        (
            ("weight_sparse", "--to", "pdf"),
            "unknown format 'pdf' for what weight_sparse trains; choose from pretrained",
        ),
        (
            ("weight_sparse", "--to", "svg"),
            "unknown format 'svg' for what weight_sparse trains; choose from pretrained",
        ),
        (("weight_sparse", "--to", "pretrained", "--graph", "unit"), "--variant and --graph go with a TASK"),
        (
            ("random_weights", "--to", "pretrained"),
            "random_weights trains nothing that can be exported; give a TASK to export a circuit",
        ),
        (("dense", TASK, "--to", "svg"), f"no circuit of dense and task {TASK} in "),
        (("weight_sparse", "else_elif", "--to", "svg"), "no circuit of weight_sparse and task else_elif in "),
        (("weight_sparse", TASK, "--to", "svg"), f"several circuits for {TASK}; choose a --graph from channel, unit"),
        ((*ONE[:4], "--to", "svg"), f"several circuits for {TASK}; choose a --seed from 0, 1"),
        ((*ONE[:4], "--seed", "7", "--to", "svg"), f"no circuit for {TASK} with seed 7; choose from 0, 1"),
        ((*ONE, "--variant", "odd", "--to", "svg"), f"no circuit for {TASK} with variant odd; choose from native"),
        ((*ONE[:4], "--seed", "1", "--to", "svg"), "seed 1, was not found: not_reached: the lowest loss is 0.3"),
        (
            ("weight_sparse", "--to", "pretrained"),
            "weight_sparse was trained with several seeds; choose a --seed from 0, 1",
        ),
        (("dense", "--to", "pretrained"), "method 'dense' is not in the run in folder "),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line_that_names_the_choices(export, arguments, message):
    done = export(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(Path().iterdir()) == []


def test_a_folder_without_a_run_is_named(export, tmp_path):
    done = CliRunner().invoke(main, ["export", "weight_sparse", TASK, "--to", "svg", "--results", "nowhere"])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "there is no run in folder 'nowhere': `bench run --out nowhere` makes one" in done.stderr


def test_a_store_without_the_circuit_is_named(export, tmp_path, finished):
    places = ("--results", str(finished / "results"), "--store", "elsewhere")
    done = CliRunner().invoke(main, ["export", *ONE, "--to", "svg", *places])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "is not in store 'elsewhere'" in done.stderr


def test_the_help_fits_into_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(main, ["export", "--help"], terminal_width=80)
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    for form in ("svg", "json", "csv, parquet", "graphml", "dot", "circuit-tracer", "mib", "pretrained", "sae-lens"):
        assert f"\n    {form} " in done.stdout


def test_the_example_in_the_documentation_runs(finished, tmp_path, monkeypatch):
    page = (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8")
    program = page.split("```python\n")[1].split("```")[0].replace("single_double_quote", TASK)
    for name in ("results", "store"):
        (tmp_path / name).symlink_to(finished / name)
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(program, found)
    assert set(found["network"]) == set(found["nodes"]["node"])
    assert Path("circuit.graphml").stat().st_size > 0
