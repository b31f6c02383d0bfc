"""Circuits and means as released with Gao et al. 2025 are ours node by node, and wrong ones are refused by name."""

import pytest
import string_closing
import torch
from hypothesis import HealthCheck, given, settings
from mutated import damaged
from released_files import STRING_CLOSING, viz_data

from benchmark import metrics
from benchmark.discovery.finder import find_circuit
from benchmark.files import CorruptFileError
from benchmark.interventions.ablation import corpus_means
from benchmark.tasks.prompts import TaskPrompts
from sparse_model.pytorch_file import read_nested
from sparse_model.released import circuits
from sparse_model.released.circuits import read_circuit, read_means, site_of


@pytest.fixture(scope="module")
def model():
    with torch.no_grad():
        return string_closing.model()


@pytest.fixture
def imported(tmp_path, model):
    """Read a circuit that is written first."""

    def read(content):
        torch.save(content, tmp_path / "viz_data.pt")
        return read_circuit(tmp_path / "viz_data.pt", model.sites)

    return read


def test_the_papers_string_closing_circuit_has_12_nodes_and_9_edges(model, imported):
    found = imported(viz_data())
    assert metrics.node_count(found.circuit) == 12
    assert metrics.edge_count(found.circuit, model.connections("channel")) == 9
    assert found.circuit.kept() == string_closing.KEPT
    assert found.final == 1
    assert found.config == {"n_layer": 2, "d_model": 16, "dropout": 0.0}


def test_masks_are_read_as_the_indices_that_they_mark(model, imported):
    masks = {location: torch.zeros(16, dtype=torch.bool) for location in STRING_CLOSING}
    for location, mask in masks.items():
        mask[STRING_CLOSING[location]] = True
    found = imported(viz_data(circuit_data={**masks, "prune_config": {"k": 12}}))
    assert found.circuit.kept() == string_closing.KEPT
    assert found.final == 1


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({"0.attn.y": [1]}, "unknown location '0.attn.y'; choose from LAYER.attn.act_in, LAYER.attn.q"),
        ({"00.mlp.act_in": [1]}, "unknown location '00.mlp.act_in'"),
        ({7: [1]}, "unknown location 7"),
        ({"2.mlp.act_in": [1]}, "nodes at 2.mlp.act_in, which the model does not have"),
        ({"0.mlp.act_in": [16]}, "keeps node 16 at 0.mlp.act_in, which has 16 nodes"),
        ({"0.mlp.act_in": [-1]}, "keeps node -1 at 0.mlp.act_in"),
        ({"0.mlp.act_in": [3, 3]}, "keeps a node at 0.mlp.act_in twice"),
        ({"final_resid": [3]}, "has a circuit without nodes"),
    ],
)
def test_a_circuit_of_another_model_is_refused_by_its_location(imported, kept, said):
    with pytest.raises(CorruptFileError) as refused:
        imported(viz_data(kept))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("circuit_data", "said"),
    [
        ({"0.mlp.act_in": torch.zeros(2)}, "has no row of indices at 0.mlp.act_in"),
        ({"0.mlp.act_in": torch.zeros(3, dtype=torch.bool)}, "a mask of shape [3] at 0.mlp.act_in of 16 nodes"),
        ({"0.mlp.act_in": torch.zeros(1, dtype=torch.long).expand(10**9)}, "has no row of indices"),
        ({"0.mlp.act_in": [1]}, "has no row of indices"),
        ({"0.mlp.act_in": torch.ones(1, 1, dtype=torch.long)}, "has no row of indices"),
        ([], "has no circuit"),
    ],
)
def test_what_is_no_list_of_nodes_is_refused(imported, circuit_data, said):
    with pytest.raises(CorruptFileError) as refused:
        imported(viz_data(circuit_data=circuit_data))
    assert said in str(refused.value)


class Outsider:
    pass


def test_a_file_with_objects_is_refused_and_one_that_is_no_dictionary(tmp_path, imported):
    with pytest.raises(CorruptFileError, match=r"contains more than tensors, numbers and text .*Outsider"):
        imported(viz_data(samples=Outsider()))
    with pytest.raises(CorruptFileError, match="contains a list; it should contain a dictionary"):
        imported([1])


def test_a_file_larger_than_the_limit_is_refused(tmp_path, imported, monkeypatch):
    monkeypatch.setattr(circuits, "LARGEST_FILE", 1000)
    with pytest.raises(CorruptFileError, match=r"bytes, and such a file at most 1,000"):
        imported(viz_data())


def test_tuples_may_be_used_twice_but_not_unfold_for_ever(tmp_path):
    shared = ("a", "b")
    torch.save({"x": [shared, shared], shared: 1}, tmp_path / "shared.pt")
    assert read_nested(tmp_path / "shared.pt", 10**6) == {"x": [shared, shared], shared: 1}
    nested = ()
    for _ in range(20):
        nested = (nested, nested)
    torch.save({"x": [nested]}, tmp_path / "nested.pt")
    with pytest.raises(CorruptFileError, match="a tuple of tuples has more than 10,000 values"):
        read_nested(tmp_path / "nested.pt", 10**6)


def test_any_file_is_read_or_refused_in_one_line(tmp_path, model):
    torch.save(viz_data(), tmp_path / "viz_data.pt")
    sound = (tmp_path / "viz_data.pt").read_bytes()

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(damaged(sound))
    def check(content):
        (tmp_path / "viz_data.pt").write_bytes(content)
        said = ""
        try:
            read_circuit(tmp_path / "viz_data.pt", model.sites)
        except CorruptFileError as error:
            said = str(error)
        assert "\n" not in said

    check()


def test_means_are_read_by_location_and_other_locations_are_left_out(tmp_path, model):
    row = torch.arange(16.0)
    torch.save({"1.attn.q": row[None, None], "0.resid_in": row, "0.mlp.post_act": row.half()}, tmp_path / "means.pt")
    means = read_means(tmp_path / "means.pt", model.sites)
    assert means.keys() == {"blocks.1.q", "blocks.0.neuron"}
    assert all(values.equal(row) for values in means.values())


@pytest.mark.parametrize(
    ("means", "said"),
    [
        ({"1.attn.q": torch.zeros(15)}, "has no mean for each of 16 nodes at 1.attn.q"),
        ({"1.attn.q": torch.zeros(16, 1)}, "has no mean for each of 16 nodes"),
        ({"5.attn.q": torch.zeros(16)}, "has means at 5.attn.q, which the model does not have"),
        ({"1.attn.q": torch.full((16,), torch.nan)}, "has means that are not finite at blocks.1.q"),
        ({"final_resid": torch.zeros(16)}, "has no means by location"),
    ],
)
def test_means_of_another_model_are_refused(tmp_path, model, means, said):
    torch.save(means, tmp_path / "means.pt")
    with pytest.raises(CorruptFileError) as refused:
        read_means(tmp_path / "means.pt", model.sites)
    assert said in str(refused.value)


def test_every_hook_point_of_a_block_has_one_location(model):
    locations = [f"{layer}.{hook}" for layer in range(2) for hook in circuits.HOOK_OF_LOCATION]
    assert sorted(map(site_of, locations)) == sorted(site.name for site in model.sites)
    assert site_of("final_resid") is None


# The ranking


@pytest.fixture(scope="module")
def prompts():
    generator = torch.Generator().manual_seed(0)
    return TaskPrompts(*(string_closing.batch(pairs, generator) for pairs in (16, 16, 16)), task="string_closing")


def ranked(model, prompts, kept, graph="channel", target=0.15, task="string_closing"):
    model.circuits = {task: kept}
    return find_circuit(
        model,
        prompts,
        corpus_means(model, prompts.train.tokens),
        graph=graph,
        target=target,
        ranking="released",
        generator=torch.Generator().manual_seed(0),
    )


def test_a_released_circuit_is_taken_as_it_is(model, prompts, imported):
    kept = dict(STRING_CLOSING)
    kept["0.mlp.post_act"] = [5, 9, 11]  # one node more than is needed
    found = ranked(model, prompts, imported(viz_data(kept)).circuit)
    assert found.status == "ok"
    assert found.minimal is None
    assert metrics.node_count(found.circuit) == 13
    assert found.circuit.kept()["blocks.0.neuron"] == [5, 9, 11]
    assert found.order.sort().values.equal(torch.arange(len(found.order)))


def test_in_the_unit_graph_a_released_circuit_is_its_units(model, prompts, imported):
    found = ranked(model, prompts, imported(viz_data()).circuit, graph="unit")
    assert found.status == "ok"
    assert sum(map(len, found.circuit.kept().values())) == 5


def test_a_released_circuit_that_misses_the_target_is_not_reached(model, prompts, imported):
    kept = {**STRING_CLOSING, "1.attn.v": [6]}
    assert ranked(model, prompts, imported(viz_data(kept)).circuit).status == "not_reached"


def test_a_model_without_a_circuit_for_the_task_says_what_it_has(model, prompts, imported):
    with pytest.raises(ValueError, match="comes with circuits for for_while alone, not for task 'string_closing'"):
        ranked(model, prompts, imported(viz_data()).circuit, task="for_while")
