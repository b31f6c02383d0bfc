"""A circuit as plain data, and the same nodes and edges again out of every format that can be read back."""

import json
import subprocess
import sys
from dataclasses import replace

import networkx as nx
import pandas as pd
import pytest
import string_closing
import tiny_dense
import torch

from benchmark.export import circuit_graph, read_graph, to_networkx, to_pandas, write_graph
from benchmark.export.graph import ENDS, Activations, Example
from benchmark.files import CorruptFileError
from benchmark.metrics import edge_count, node_count
from benchmark.model.circuit import Circuit
from benchmark.model.graph import TERMINALS, node_sites
from benchmark.model.interface import Connection
from benchmark.records.table import Record

SEEN = Activations(0.25, -1.0, 2.0, 0.5, (3, 5), (0.0, 1.0), (Example(("a", "\n"), (0.0, 2.0), 1),), ("x",), ())


def records(**fields):
    same = {"method": "planted", "task": "single_double_quote", "seed": 0}
    return (
        Record(metric="edges", value=9.0, ablation="mean", **same, **fields),
        Record(metric="faithfulness", value=0.5, ablation="mean", **same),
        Record(metric="faithfulness", value=0.25, ablation="zero", **same),
        Record(metric="cpr", status="undefined", reason="empty equals whole", **same),
    )


@pytest.fixture(scope="module")
def planted():
    """The string-closing circuit of Gao et al. 2025: 12 nodes and 9 edges."""
    with torch.no_grad():
        model = string_closing.model()
    names = {"graph": "channel", "method": "planted", "task": "single_double_quote", "seed": 0}
    return circuit_graph(model, string_closing.circuit(model), **names, records=records())


@pytest.fixture(scope="module", params=["channel", "unit"])
def drawn(request):
    """Random circuits of a random dense model, with what is known of their nodes."""
    model, graph = tiny_dense.random_dense(), request.param
    generator = torch.Generator().manual_seed(5)
    circuit = Circuit(
        {each.name: torch.rand(each.size, generator=generator) < 0.3 for each in node_sites(model, graph)}
    )
    made = circuit_graph(model, circuit, graph=graph, method="dense", task="for_while", seed=3)
    known = {node.name: SEEN for node in made.nodes[::2]}
    edges = tuple(replace(edge, verified=number % 3 == 0) for number, edge in enumerate(made.edges))
    return model, circuit, replace(made, activations=known, edges=edges, records=records(low=8.0, high=9.5))


def kept(circuit):
    return {(site, index) for site, nodes in circuit.kept().items() for index in nodes}


# The description


def test_the_paper_s_circuit_has_12_nodes_and_9_edges_with_the_planted_weights(planted):
    assert len(planted.nodes) == 12
    assert {(node.site, node.index) for node in planted.nodes} == {
        (site, index) for site, nodes in string_closing.KEPT.items() for index in nodes
    }
    assert planted.terminals == ()
    weights = {(edge.source, edge.target): edge.weight for edge in planted.edges}
    assert weights == {
        ("blocks.0.mlp_in[0]", "blocks.0.neuron[5]"): 8.0,
        ("blocks.0.mlp_in[1]", "blocks.0.neuron[5]"): 8.0,
        ("blocks.0.mlp_in[0]", "blocks.0.neuron[9]"): -8.0,
        ("blocks.0.mlp_in[1]", "blocks.0.neuron[9]"): 8.0,
        ("blocks.0.neuron[5]", "blocks.0.mlp_out[2]"): 1.0,
        ("blocks.0.neuron[9]", "blocks.0.mlp_out[3]"): 1.0,
        ("blocks.1.attn_in[2]", "blocks.1.k[3]"): 8.0,
        ("blocks.1.attn_in[3]", "blocks.1.v[7]"): 4.0,
        ("blocks.1.v[7]", "blocks.1.attn_out[4]"): 1.0,
    }
    assert {edge.verified for edge in planted.edges} == {None}


def test_its_nodes_and_edges_are_those_that_the_metrics_count(drawn):
    model, circuit, graph = drawn
    assert len(graph.nodes) == node_count(circuit)
    assert len(graph.edges) == edge_count(circuit, model.connections(graph.graph))
    assert {(node.site, node.index) for node in graph.nodes} == kept(circuit)
    weight = {(each.source, each.target): each.weight for each in model.connections(graph.graph)}
    for edge in graph.edges:
        source, target = graph.by_name[edge.source], graph.by_name[edge.target]
        assert edge.weight == float(weight[source.site, target.site][target.index, source.index])


def test_edges_are_verified_exactly_where_the_run_says_so():
    with torch.no_grad():
        model = string_closing.model()
    verified = {("blocks.0.mlp_in", "blocks.0.neuron"): torch.tensor([[0, 5], [1, 9]])}
    names = {"graph": "channel", "method": "planted", "task": "single_double_quote"}
    graph = circuit_graph(model, string_closing.circuit(model), **names, verified=verified)
    assert {(edge.source, edge.target) for edge in graph.edges if edge.verified} == {
        ("blocks.0.mlp_in[0]", "blocks.0.neuron[5]"),
        ("blocks.0.mlp_in[1]", "blocks.0.neuron[9]"),
    }
    assert {edge.verified for edge in graph.edges} == {True, False}


def test_the_ends_of_the_unit_graph_are_no_nodes_but_their_edges_are_edges():
    assert ENDS == TERMINALS
    with torch.no_grad():
        model = string_closing.model()
    units = {site.name for site in node_sites(model, "unit")}
    circuit = Circuit({name: mask for name, mask in string_closing.circuit(model).masks.items() if name in units})
    graph = circuit_graph(model, circuit, graph="unit", method="planted", task="single_double_quote")
    assert [end.name for end in graph.terminals] == ["embed", "logits"]
    assert len(graph.nodes) == 5
    assert {(edge.source, edge.target) for edge in graph.edges} == {
        ("embed", "blocks.0.neuron[5]"),
        ("embed", "blocks.0.neuron[9]"),
        ("blocks.0.neuron[5]", "blocks.1.k[3]"),
        ("blocks.0.neuron[9]", "blocks.1.v[7]"),
        ("blocks.1.v[7]", "logits"),
    }
    assert (graph.heads, graph.d_model) == (1, 16)
    assert next(iter(graph.by_name)) == "embed"
    assert list(graph.by_name)[-1] == "logits"


def test_a_metric_under_several_ablations_has_them_in_its_name_and_a_missing_value_says_why(planted):
    assert planted.scores == {
        "edges": 9.0,
        "faithfulness mean": 0.5,
        "faithfulness zero": 0.25,
        "cpr": "undefined: empty equals whole",
    }


def test_two_connections_between_the_same_sites_are_refused(monkeypatch):
    model = tiny_dense.random_dense()
    twice = [Connection("blocks.0.v", "blocks.1.k", torch.ones(16, 16))] * 2
    monkeypatch.setattr(model, "connections", lambda graph: twice)
    with pytest.raises(ValueError, match=r"two connections join blocks\.0\.v and blocks\.1\.k; a graph has one edge"):
        circuit_graph(model, Circuit.whole(model.sites), graph="channel", method="m", task="t")


def test_describing_a_graph_imports_neither_torch_nor_networkx_nor_pandas():
    program = (
        "import sys\n"
        "from benchmark.export import circuit_tracer, drawing, formats, mib, networks, own, tables\n"
        "assert not {'torch', 'networkx', 'pandas', 'numpy'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# There and back


def test_networkx_has_exactly_its_nodes_and_edges(drawn):
    _, circuit, graph = drawn
    made = to_networkx(graph)
    inner = {name: about for name, about in made.nodes(data=True) if about["kind"] != "terminal"}
    assert {(about["site"], about["index"]) for about in inner.values()} == kept(circuit)
    assert {(*ends, weight) for *ends, weight in made.edges(data="weight")} == {
        (edge.source, edge.target, edge.weight) for edge in graph.edges
    }
    assert all(made.edges[edge.source, edge.target]["verified"] == edge.verified for edge in graph.edges)
    assert {name for name, about in inner.items() if "mean" in about} == set(graph.activations)
    assert nx.is_directed_acyclic_graph(made)
    assert (made.graph["method"], made.graph["seed"], made.graph["scores"]["edges"]) == ("dense", 3, 9.0)
    assert set(to_networkx(graph, terminals=False)) == set(inner)


def test_an_opaque_edge_has_no_weight_in_networkx_and_an_empty_one_in_tables(planted):
    opaque = replace(planted, edges=(replace(planted.edges[0], weight=None), *planted.edges[1:]))
    ends = opaque.edges[0].source, opaque.edges[0].target
    assert "weight" not in to_networkx(opaque).edges[ends]
    assert to_pandas(opaque)[1]["weight"].isna().tolist() == [True, *[False] * 8]


def test_pandas_has_exactly_its_nodes_and_edges(drawn):
    _, circuit, graph = drawn
    nodes, edges = to_pandas(graph)
    inner = nodes[nodes["kind"] != "terminal"]
    assert set(zip(inner["site"], inner["index"], strict=True)) == kept(circuit)
    assert inner["mean"].notna().sum() == len(graph.activations)
    assert list(edges.itertuples(index=False, name=None)) == [
        (edge.source, edge.target, edge.weight, edge.verified) for edge in graph.edges
    ]
    assert nodes.attrs["task"] == "for_while"


def test_graphml_is_read_by_networkx_as_the_same_graph(drawn, tmp_path):
    _, _, graph = drawn
    (path,) = write_graph(graph, "graphml", tmp_path / "circuit.graphml")
    read, made = nx.read_graphml(path), to_networkx(graph)
    assert dict(read.nodes(data=True)) == dict(made.nodes(data=True))
    assert list(read.edges(data=True)) == list(made.edges(data=True))
    assert read.graph["score edges"] == 9.0
    assert read.graph["score cpr"] == "undefined: empty equals whole"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_tables_are_read_by_pandas_as_the_same_tables(drawn, tmp_path, form):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    _, _, graph = drawn
    write_graph(graph, form, tmp_path / "tables")
    for name, table in zip(("nodes", "edges"), to_pandas(graph), strict=True):
        path = tmp_path / "tables" / f"{name}.{form}"
        read = pd.read_csv(path, dtype={"verified": "boolean"}) if form == "csv" else pd.read_parquet(path)
        pd.testing.assert_frame_equal(read, table, check_dtype=False)


def test_parquet_without_pyarrow_says_what_to_install(planted, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmark.export.tables.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pyarrow, which is not installed: pip install pyarrow, or choose csv"):
        write_graph(planted, "parquet", tmp_path / "tables")
    assert list(tmp_path.iterdir()) == []


def test_json_has_everything_and_is_read_back_as_the_same_graph(drawn, tmp_path):
    _, _, graph = drawn
    (path,) = write_graph(graph, "json", tmp_path / "circuit.json")
    assert read_graph(path) == graph


def test_another_json_file_is_not_taken_for_a_circuit(tmp_path):
    path = tmp_path / "circuit.json"
    path.write_text(json.dumps({"method": "dense"}))
    with pytest.raises(CorruptFileError, match="does not fit: variant is missing"):
        read_graph(path)


# Files


@pytest.mark.parametrize("form", ["circuit-tracer", "graphml", "csv", "parquet", "dot", "svg", "json"])
def test_the_same_circuit_gives_the_same_bytes(drawn, tmp_path, form):
    _, _, graph = drawn
    first, second = write_graph(graph, form, tmp_path / "a"), write_graph(graph, form, tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_nothing_is_written_over_without_force(planted, tmp_path):
    path = tmp_path / "new" / "circuit.svg"
    write_graph(planted, "svg", path)
    path.write_text("mine")
    with pytest.raises(ValueError, match="already there; choose another --out, or replace it with --force"):
        write_graph(planted, "svg", path)
    assert path.read_text() == "mine"
    write_graph(planted, "svg", path, force=True)
    assert path.read_text().startswith("<svg")
    assert [file.name for file in path.parent.iterdir()] == ["circuit.svg"]


def test_a_folder_that_has_files_is_written_to_with_force_alone_and_other_files_stay(planted, tmp_path):
    (tmp_path / "empty").mkdir()
    write_graph(planted, "csv", tmp_path / "empty")
    mine = tmp_path / "empty" / "mine.txt"
    mine.write_text("mine")
    (tmp_path / "empty" / "edges.csv").write_text("old")
    with pytest.raises(ValueError, match="already there"):
        write_graph(planted, "csv", tmp_path / "empty")
    assert (tmp_path / "empty" / "edges.csv").read_text() == "old"
    write_graph(planted, "csv", tmp_path / "empty", force=True)
    assert (tmp_path / "empty" / "edges.csv").read_text().startswith("source,target,weight,verified\n")
    assert sorted(file.name for file in mine.parent.iterdir()) == ["edges.csv", "mine.txt", "nodes.csv", "scores.csv"]


@pytest.mark.parametrize(("form", "out", "message"), [("csv", "file", "is a file"), ("svg", "folder", "is a folder")])
def test_a_file_is_not_taken_for_a_folder_nor_a_folder_for_a_file(planted, tmp_path, form, out, message):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=message):
        write_graph(planted, form, tmp_path / out, force=True)


def test_a_format_that_fails_leaves_nothing_behind(planted, tmp_path):
    with pytest.raises(ValueError, match="choose --graph unit"):
        write_graph(planted, "mib", tmp_path / "new" / "circuit.json")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_names_the_choices(planted, tmp_path):
    with pytest.raises(ValueError, match="unknown format 'pdf' for circuits; choose from circuit-tracer, mib, graphml"):
        write_graph(planted, "pdf", tmp_path / "circuit.pdf")
