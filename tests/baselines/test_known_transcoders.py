"""Transcoders of transformers whose circuit is known: what their circuits are held to."""

import pytest
import torch

import baselines.known_circuit
from baselines.known_circuit import ChainCorpus, dictionary, fitted, known_models, places_in
from benchmark.ground_truth.causal_model import BooleanChain
from benchmark.ground_truth.trained_models import Skipped
from benchmark.interventions.ablation import random_circuit
from benchmark.model.circuit import Circuit
from sparse_model.known_circuit import Recipe, trained, untrained

CHAIN = BooleanChain(("or", "and"))


def generator():
    return torch.Generator().manual_seed(0)


def test_the_corpus_is_prompts_and_their_answers_the_same_at_every_call():
    windows = ChainCorpus(CHAIN).windows("train")
    assert windows.shape[1] == CHAIN.bits + 2
    assert set(windows[:, -1].tolist()) == {CHAIN.no, CHAIN.no + 1}
    assert (windows[:, -2] == CHAIN.query).all()
    assert (ChainCorpus(CHAIN).windows("train") == windows).all()
    assert (ChainCorpus(CHAIN).windows("validation") != windows).any()


@pytest.mark.slow
def test_a_bit_is_its_value_channel_and_a_gate_the_features_of_its_layer():
    aligned = untrained(CHAIN, Recipe(values=1), generator())
    places = places_in(fitted(aligned, generator()), aligned)
    kept = [{name: len(nodes) for name, nodes in place.kept().items()} for place in places]
    assert kept == [*[{"blocks.0.v": 1}] * 3, {"blocks.0.feature": 64}, {"blocks.1.feature": 64}]


@pytest.mark.slow
def test_what_a_long_search_keeps_is_truer_than_a_random_circuit_and_none_is_worth_a_half():
    known = dictionary(trained(("or", "and"), 0), "or and, transcoder")
    assert not known.exact
    assert known.truth(Circuit.whole(known.sites)) >= 0.9
    assert known.truth(Circuit.empty(known.sites)) == 0.5
    assert known.truth(known.circuit) > known.truth(random_circuit(known.circuit, generator())) + 0.2


@pytest.mark.slow
def test_a_transcoder_that_lost_the_computation_is_left_out_with_a_reason(monkeypatch):
    aligned = untrained(CHAIN, Recipe(values=1, neurons=1), generator())
    monkeypatch.setattr(baselines.known_circuit, "TASKS", (("or", "and"),))
    monkeypatch.setattr(baselines.known_circuit, "trained", lambda gates, seed: aligned)
    (skipped,) = known_models()
    assert isinstance(skipped, Skipped)
    assert "with nothing ablated, less than 0.9" in skipped.reason
