import math
from functools import cache
from importlib import import_module

import bracket_counting
import pytest
import superposed_features
import torch
from planted import MODULES, Planted, Truth, circuit, loss, without

from benchmark import metrics
from benchmark.discovery.cutting import FoundCircuit
from benchmark.discovery.finder import find_circuit
from benchmark.discovery.search import Budget
from benchmark.interventions.ablation import corpus_means, keep_only
from benchmark.metrics.recovery import Recovery
from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites
from benchmark.model.interface import record, unedited

PERFECT = Recovery(precision=1.0, recall=1.0)


every_model = pytest.mark.parametrize("module", MODULES)


@cache
def planted(module: str) -> Planted:
    return import_module(module).planted()


@cache
def means(module: str) -> dict[str, torch.Tensor]:
    return corpus_means(planted(module).model, planted(module).means_tokens)


def find(model: Planted, ranking: str, seed: int) -> FoundCircuit:
    return find_circuit(
        model.model,
        model.task,
        corpus_means(model.model, model.means_tokens),
        graph=model.graph,
        target=0.15,
        ranking=ranking,
        budget=Budget(tokens=60_000, batch_pairs=16, shrink=ranking == "mask"),
        generator=torch.Generator().manual_seed(seed),
    )


@cache
def found(module: str, ranking: str, seed: int = 1) -> FoundCircuit:
    return find(planted(module), ranking, seed)


def circuit_loss(module: str, kept: Circuit) -> float:
    """Task loss of a circuit on test prompts."""
    return loss(planted(module).model, planted(module).task.test, keep_only(kept, means(module)))


def outside(module: str) -> list[tuple[str, int]]:
    """The nodes that are in no truth and vary on the task's prompts."""
    model, truths = planted(module), planted(module).truths
    values = record(model.model, model.task.test.tokens)
    return [
        (site.name, node)
        for site in model.sites
        for node in (values[site.name].flatten(0, 1).std(0) > 1e-3).nonzero().flatten().tolist()
        if not any(truth.nodes.masks[site.name][node] for truth in truths)
    ]


@every_model
def test_whole_model_does_the_task_and_the_empty_circuit_guesses(module):
    model = planted(module)
    assert loss(model.model, model.task.test, unedited) < 0.02
    assert circuit_loss(module, Circuit.empty(model.sites)) >= math.log(2) - 1e-6


@every_model
def test_every_truth_does_the_task_alone(module):
    for truth in planted(module).truths:
        assert circuit_loss(module, truth.nodes) < 0.02


@every_model
def test_no_node_of_a_truth_can_be_spared(module):
    for truth in planted(module).truths:
        for site, nodes in truth.nodes.kept().items():
            for node in nodes:
                assert circuit_loss(module, without(truth.nodes, site, node)) > 0.2, (site, node)


@every_model
def test_many_nodes_outside_are_live_and_none_matters_alone_or_with_the_others(module):
    model, distractors = planted(module), outside(module)
    assert len(distractors) > 50
    whole = Circuit.whole(model.sites)
    uncut, rest = circuit_loss(module, whole), whole
    for site, node in distractors:
        assert abs(circuit_loss(module, without(whole, site, node)) - uncut) < 0.01, (site, node)
        rest = without(rest, site, node)
    assert abs(circuit_loss(module, rest) - uncut) < 0.01


@every_model
def test_edges_of_a_truth_are_all_nonzero_weights_between_its_nodes(module):
    model = planted(module)
    for truth in model.truths:
        assert model.edges_of(truth.nodes) == truth.edges
        assert metrics.edge_count(truth.nodes, model.model.connections(model.graph)) == len(truth.edges)


@every_model
def test_learned_mask_finds_a_truth_and_nothing_else(module):
    model, result = planted(module), found(module, "mask")
    assert result.status == "ok"
    assert model.recovery(result.circuit) == PERFECT
    assert model.edges_of(result.circuit) in [truth.edges for truth in model.truths]


def test_attribution_and_random_rankings_find_less_of_the_truth_than_a_learned_mask():
    def mean_f1(ranking: str) -> float:
        scores = [planted(module).recovery(found(module, ranking).circuit).f1 for module in MODULES]
        return sum(scores) / len(scores)

    assert mean_f1("random") < 0.2 < mean_f1("attribution") < 0.95 < mean_f1("mask")


def test_shrinking_finds_a_gate_that_is_saturated_on_and_off_where_the_mask_has_no_gradient():
    steep = bracket_counting.planted(steepness=200.0)
    assert steep.recovery(find(steep, "mask", seed=1).circuit) == PERFECT


def test_recovery_is_that_of_the_nearest_truth():
    copies = planted("redundant_copies")
    for truth in copies.truths:
        assert isinstance(truth, Truth)
        assert copies.recovery(truth.nodes) == PERFECT
    both = {name: mask | copies.alternatives[0].nodes.masks[name] for name, mask in copies.nodes.masks.items()}
    assert copies.recovery(Circuit(both)) == Recovery(precision=0.5, recall=1.0)


# What is particular to a model


@pytest.mark.parametrize("brackets", [1, 2])
@pytest.mark.parametrize("length", [7, 10, 20, 60])
def test_depth_dilutes_as_one_over_the_length(brackets, length):
    model = planted("bracket_counting").model
    tokens = torch.tensor([bracket_counting.prompt(brackets, length, bracket_counting.DIGITS)])
    values = record(model, tokens)
    depth = values["blocks.0.attn_out"][0, -1, bracket_counting.DEPTH]
    assert float(depth) == pytest.approx(bracket_counting.averaged_depth(brackets, length), abs=1e-5)
    nested = values["blocks.1.attn_out"][0, -1, bracket_counting.NESTED] + 0.5
    assert float(nested) == pytest.approx(bracket_counting.nested_share(brackets, length), abs=0.05)


def test_context_hides_a_nested_list_from_the_crossing_length_on():
    crossing = bracket_counting.crossing_length(2)
    prompts = [bracket_counting.prompt(2, length, bracket_counting.DIGITS) for length in range(7, 40)]
    model = planted("bracket_counting").model
    logits = [model(torch.tensor([prompt]))[0, -1] for prompt in prompts]
    twice = [bool(each[bracket_counting.CLOSE_TWICE] > each[bracket_counting.CLOSE]) for each in logits]
    assert crossing == 7 + twice.index(False)
    assert not any(twice[crossing - 7 :])


def test_every_neuron_of_the_superposition_fires_on_three_of_six_features():
    model = planted("superposed_features").model
    tokens = torch.tensor([[feature] for feature in superposed_features.FEATURES])
    fires = record(model, tokens)["blocks.0.neuron"][:, 0, :4] > 1
    assert fires.sum(0).tolist() == [3, 3, 3, 3]
    for feature, pair in enumerate(superposed_features.PAIRS):
        assert fires[feature].nonzero().flatten().tolist() == list(pair)


def test_boolean_answer_needs_both_bits():
    model = planted("boolean_function")
    for node in (0, 1):
        alone = without(model.nodes, "blocks.0.v", node)
        assert circuit_loss("boolean_function", alone) > 0.5
    neither = circuit(node_sites(model.model, "unit"), {"blocks.1.neuron": model.nodes.kept()["blocks.1.neuron"]})
    assert circuit_loss("boolean_function", neither) >= math.log(2) - 0.01
