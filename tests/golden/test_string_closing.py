import pytest
import string_closing
import torch

from benchmark import metrics
from benchmark.discovery.finder import find_circuit
from benchmark.discovery.search import Budget
from benchmark.interventions.ablation import corpus_means, keep_only
from benchmark.model.circuit import Circuit
from benchmark.model.interface import unedited
from benchmark.tasks.answers import answer_logits, prompt_losses
from benchmark.tasks.prompts import TaskPrompts


@pytest.fixture(scope="module")
def model():
    with torch.no_grad():
        return string_closing.model()


@pytest.fixture(scope="module")
def prompts():
    generator = torch.Generator().manual_seed(0)
    return TaskPrompts(*(string_closing.batch(pairs, generator) for pairs in (64, 16, 16)))


@pytest.fixture(scope="module")
def means(model, prompts):
    return corpus_means(model, prompts.train.tokens)


def loss(model, batch, edit):
    return float(prompt_losses(answer_logits(model, batch, edit), batch).mean())


def test_whole_model_closes_strings_and_the_empty_circuit_guesses(model, prompts, means):
    assert loss(model, prompts.test, unedited) < 0.01
    empty = Circuit.empty(model.sites)
    assert loss(model, prompts.test, keep_only(empty, means)) >= 0.693


def test_planted_circuit_does_the_task_alone_with_12_nodes_and_9_edges(model, prompts, means):
    circuit = string_closing.circuit(model)
    assert loss(model, prompts.test, keep_only(circuit, means)) < 0.01
    assert metrics.node_count(circuit) == 12
    assert metrics.edge_count(circuit, model.connections("channel")) == 9


def found(model, prompts, means, ranking, graph="channel", shrink=True):
    return find_circuit(
        model,
        prompts,
        means,
        graph=graph,
        target=0.15,
        ranking=ranking,
        budget=Budget(tokens=60_000, batch_pairs=16, shrink=shrink),
        generator=torch.Generator().manual_seed(1),
    )


def test_learned_mask_finds_the_planted_circuit_and_no_more(model, prompts, means):
    result = found(model, prompts, means, "mask")
    assert result.status == "ok"
    kept, planted = result.circuit.kept(), string_closing.circuit(model).kept()
    assert all(set(nodes) <= set(planted.get(name, [])) for name, nodes in kept.items())
    assert loss(model, prompts.test, keep_only(result.circuit, means)) <= 0.2


def test_a_cut_of_a_random_ranking_needs_many_more_nodes_and_shrinking_removes_them(model, prompts, means):
    learned, cut = (
        metrics.node_count(found(model, prompts, means, name, shrink=False).circuit) for name in ("mask", "random")
    )
    assert cut > 5 * learned
    assert metrics.node_count(found(model, prompts, means, "random").circuit) <= learned


def test_unit_graph_joins_the_neurons_to_key_and_value_through_the_stream(model):
    weights = {
        (connection.source, connection.target): connection.weight
        for connection in model.connections("unit")
        if connection.weight.any()
    }
    inside = {("blocks.0.neuron", "blocks.1.k"), ("blocks.0.neuron", "blocks.1.v")}
    assert set(weights) == inside | {("embed", "blocks.0.neuron"), ("blocks.1.v", "logits")}
    assert weights["blocks.0.neuron", "blocks.1.k"][3, string_closing.DETECTOR] == 8.0
    assert weights["blocks.0.neuron", "blocks.1.v"][7, string_closing.CLASSIFIER] == 4.0


def test_unit_graph_counts_what_units_read_of_tokens_and_what_logits_read_of_them(model):
    """Both neurons read the tokens and are read, by key and value; the value is read by the logits."""
    units = [site for site in model.sites if site.kind not in ("residual_read", "residual_write")]
    kept = {name: mask for name, mask in string_closing.circuit(model).masks.items() if name in {s.name for s in units}}
    assert metrics.edge_count(Circuit(kept), model.connections("unit")) == 2 + 2 + 1


def test_unknown_ranking_names_the_choices(model, prompts, means):
    with pytest.raises(ValueError, match="unknown ranking 'alphabetical'; choose from mask, attribution, integrated"):
        found(model, prompts, means, "alphabetical")
