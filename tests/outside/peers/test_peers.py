"""Other tools' own code reads what we export, each in an environment that can have it."""

import json
import os
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

import pytest
import string_closing
import tiny_dense
import torch

from benchmark.export import circuit_graph, write_graph
from benchmark.export.graph import Activations, Example
from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent

SEEN = Activations(0.25, -1.0, 2.0, 0.5, (3, 5), (0.0, 1.0), (Example((" while", ":\n"), (0.0, 2.0), 1),), ("x",))


def said(*command, **environment):
    """What a script prints as JSON."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def graph_of(name):
    """The paper's circuit in the channel graph, or a random one in the unit graph of a dense model or a CLT."""
    if name == "planted":
        with torch.no_grad():
            model = string_closing.model()
        circuit, graph = string_closing.circuit(model), "channel"
    else:
        dense, graph = tiny_dense.random_dense(), "unit"
        model = dense if name == "dense" else tiny_dense.random_clt(dense, "errors_ablated")
        circuit = Circuit({site.name: torch.arange(site.size) % 5 == 0 for site in node_sites(model, graph)})
    made = circuit_graph(model, circuit, graph=graph, method=name, task="for_while", seed=0)
    return replace(made, activations={node.name: SEEN for node in made.nodes})


@pytest.fixture(scope="module")
def circuit_tracer(tmp_path_factory):
    """The Python of an environment with circuit-tracer, whose front end needs pydantic alone."""
    folder = tmp_path_factory.mktemp("circuit-tracer")
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    for packages in (["--no-deps", "circuit-tracer==0.5.0"], ["pydantic"]):
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("circuit-tracer cannot be installed here")
    return python


@pytest.mark.parametrize("name", ["planted", "dense", "clt"])
def test_circuit_tracer_s_models_and_server_read_the_graph_and_every_node_s_file(circuit_tracer, tmp_path, name):
    graph = graph_of(name)
    write_graph(graph, "circuit-tracer", tmp_path / "graphs")
    read = said(str(circuit_tracer), str(HERE / "read_circuit_tracer.py"), str(tmp_path / "graphs"))
    assert read == {
        "nodes": len(graph.nodes) + len(graph.terminals),
        "links": len(graph.edges),
        "features": len(graph.nodes),
    }


def test_eap_ig_s_graph_reads_the_importances_and_ranks_the_circuit_s_edges_first(tmp_path):
    source = os.environ.get("EAP_IG_SOURCE")
    if source is None:
        pytest.skip("EAP_IG_SOURCE is not set to the folder src of https://github.com/hannamw/EAP-IG")
    (path,) = write_graph(graph_of("dense"), "mib", tmp_path / "importances.json")
    written = json.loads(path.read_text())
    read = said(sys.executable, str(HERE / "read_mib.py"), str(path), PYTHONPATH=source)
    assert read["nodes"] == sorted(name for name, node in written["nodes"].items() if node["in_graph"])
    assert read["scores"].keys() == {name for name, edge in written["edges"].items() if edge["in_graph"]}
    for name, score in read["scores"].items():
        assert score == pytest.approx(written["edges"][name]["score"], rel=1e-6)
    assert read["all edges"] == len(written["edges"])
    assert read["strongest"] == sorted(read["scores"])
    assert read["node scores"] == {name: node["score"] for name, node in written["nodes"].items() if name != "logits"}
