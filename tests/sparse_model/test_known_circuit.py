"""Transformers trained by interchange interventions: what is checked of them, and that they learn."""

import pytest
import torch

import benchmark.ground_truth.trained_models
import sparse_model.known_circuit
from benchmark.ground_truth.causal_model import BooleanChain
from benchmark.ground_truth.trained_models import NotLearnedError, Skipped, TrainedModel, trained_models
from benchmark.interventions.ablation import random_circuit
from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites
from benchmark.model.interface import CircuitModel
from sparse_model.known_circuit import (
    Recipe,
    accuracies,
    check_accuracies,
    fit,
    interchange_loss,
    known_models,
    native,
    one_node_each,
    trained,
    untrained,
)

CHAIN = BooleanChain(("xor", "and"))
SHORT = Recipe(first_steps=3, last_steps=3, batch=16)


def generator():
    return torch.Generator().manual_seed(0)


def test_every_variable_begins_with_nodes_of_its_own():
    aligned = untrained(CHAIN, Recipe(), generator())
    kept = [{name: len(nodes) for name, nodes in place.kept().items()} for place in aligned.places]
    assert kept == [*[{"blocks.0.v": 2}] * 3, {"blocks.0.neuron": 4}, {"blocks.1.neuron": 4}]
    assert sum(int(mask.sum()) for mask in aligned.circuit.masks.values()) == 14


def test_one_node_each_is_one_of_those_that_a_variable_had():
    aligned = untrained(CHAIN, Recipe(), generator())
    single = one_node_each(aligned, generator())
    for before, after in zip(aligned.places, single.places, strict=True):
        (name, nodes), (same, (node,)) = *before.kept().items(), *after.kept().items()
        assert same == name
        assert node in nodes


def test_a_few_steps_lower_the_loss():
    aligned = untrained(CHAIN, Recipe(), generator())
    before = interchange_loss(aligned, 256, generator()).item()
    fit(aligned, 15, Recipe(), generator())
    assert interchange_loss(aligned, 256, generator()).item() < before


def test_a_model_that_has_not_learned_is_not_given_away(monkeypatch):
    with pytest.raises(NotLearnedError, match=r"xor and: interchange accuracy 0\.\d+, strict .* at least 0.97"):
        trained(("xor", "and"), 0, SHORT)
    monkeypatch.setattr(sparse_model.known_circuit, "TASKS", (("xor", "and"),))
    monkeypatch.setattr(sparse_model.known_circuit, "trained", lambda gates, seed: trained(gates, seed, SHORT))
    (skipped,) = known_models()
    assert isinstance(skipped, Skipped)
    assert skipped.reason.startswith("xor and: interchange accuracy")


@pytest.mark.parametrize("both", [(0.96, 1.0), (1.0, 0.96), (float("nan"), 1.0), (1.0, float("nan"))])
def test_both_accuracies_must_be_high(both):
    with pytest.raises(NotLearnedError):
        check_accuracies("it", *both)
    check_accuracies("it", 0.97, 0.97)


def test_trained_models_are_found_through_their_entry_points(monkeypatch):
    class Entry:
        value = "outside:models"

        def load(self):
            return lambda: iter([Skipped("theirs", "not today")])

    offered = {benchmark.ground_truth.trained_models.GROUP: [Entry()]}
    monkeypatch.setattr(benchmark.ground_truth.trained_models, "entry_points", lambda group: offered[group])
    assert trained_models() == [Skipped("theirs", "not today")]


@pytest.mark.slow
def test_a_trained_transformer_computes_in_its_known_nodes_and_in_no_others():
    aligned = trained(("or", "and"), 0)
    interchange, strict = accuracies(aligned, torch.Generator().manual_seed(5))
    assert interchange >= 0.97
    assert strict >= 0.97
    known = native(aligned, 0)
    assert isinstance(known, TrainedModel)
    assert isinstance(known.model, CircuitModel)
    assert known.truth(known.circuit) == 1
    wrong = random_circuit(known.circuit, generator())
    assert known.truth(wrong) < 0.5
    assert known.truth(Circuit.empty(node_sites(known.model, "unit"))) == 0
