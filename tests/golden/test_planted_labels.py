"""Labels in the place of a circuit's nodes, where what the nodes mean is known."""

import dataclasses
from unittest.mock import Mock

import cancelling
import numpy as np
import planted_meanings
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE

from benchmark.concepts import Concept
from benchmark.corpus import Corpus
from benchmark.interventions.ablation import corpus_means, keep_only
from benchmark.interventions.replacement import Node
from benchmark.model.circuit import Circuit
from benchmark.scoring import label_replacement
from benchmark.scoring.case import DiscoveredCircuit, Setting
from benchmark.tasks import TASKS
from benchmark.tasks.prompts import TaskPrompts
from benchmark.validity.circuit_on_corpus import labels_on_corpus
from benchmark.validity.in_circuit import CircuitValidity, circuit_validity

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def tokenizer(size):
    return Tokenizer(BPE(vocab={letter: number for number, letter in enumerate(LETTERS[:size])}, merges=[]))


def signal(text):
    """0 at the low signal, 2 at the high one, 1 elsewhere."""
    levels = {LETTERS[cancelling.LOW]: 0, LETTERS[cancelling.HIGH]: 2}
    return [levels.get(letter, 1) for letter in text]


def switch(text):
    """Whether a letter is the left switch, which has nothing to do with the answer."""
    return [int(letter == LETTERS[cancelling.SWITCH_LEFT]) for letter in text]


CONCEPTS = [
    Concept("signal", "which signal", signal, "tests", level_names=("low", "none", "high")),
    Concept("switch", "the left switch", switch, "tests"),
]


@pytest.fixture(scope="module")
def found():
    with torch.no_grad():
        model = cancelling.model()
    means = corpus_means(model, cancelling.means_tokens(torch.Generator().manual_seed(1)))
    batches = tuple(cancelling.batch(32, torch.Generator().manual_seed(seed)) for seed in (2, 3))
    circuit = cancelling.unit_circuit(model, cancelling.HONEST_CIRCUIT)
    size = model.config.vocabulary
    arguments = (tokenizer(size), CONCEPTS, ["signal", "switch"], np.random.default_rng(0))
    return circuit_validity(model, circuit, means, batches, *arguments)


def test_labels_of_the_concept_that_a_kept_node_carries_stand_in_for_it(found):
    row = found.concepts[0]
    assert (row.node, row.reason) == (Node("blocks.0.neuron", cancelling.NEURON), "")
    assert row.circuit.value == pytest.approx(1, abs=0.02)
    assert row.whole.value == pytest.approx(1, abs=0.02)


def test_labels_of_another_concept_do_not(found):
    row = found.concepts[1]
    assert row.circuit is None or not row.circuit.value > 0.5


def test_all_kept_nodes_that_a_concept_labels_are_replaced_at_once(found):
    assert found.kept == 2
    assert 1 <= len(found.labels) <= 2
    assert [step.nodes for step in found.curve] == sorted({step.nodes for step in found.curve})
    assert found.curve[-1].nodes == len(found.labels)
    assert (Node("blocks.0.neuron", cancelling.NEURON), "signal") in found.labels


def test_nodes_are_chosen_on_train_prompts_and_scored_on_test_prompts(monkeypatch):
    batches = [cancelling.batch(4, torch.Generator().manual_seed(seed)) for seed in range(3)]
    setting = Mock(spec=Setting, graph="unit", seed=0, prompts=TaskPrompts(*batches))
    corpus = Mock(spec=Corpus, tokenizer=None)
    case = Mock(spec=DiscoveredCircuit, setting=setting, batch=batches[2], task=TASKS["for_while"], corpus=corpus)
    case.configure_mock(model=None, circuit=None, means=None, ablation="mean")
    case.folder = None
    given = []

    def watched(model, circuit, means, prompts, *arguments):
        given.extend(prompts)
        return CircuitValidity([], 0, [], [])

    monkeypatch.setattr(label_replacement, "circuit_validity", watched)
    monkeypatch.setattr(label_replacement, "_on_corpus", lambda *given: None)
    label_replacement.label_replacement(case)
    assert given == [setting.prompts.train, setting.prompts.test]


def on_corpus(name, kept, by_concept, labelled, **changes):
    """Labels on the language of a planted world, whose circuit keeps some of the nodes."""
    world = dataclasses.replace(getattr(planted_meanings, name)(), **changes)
    choice, score = world.sample(0), world.sample(1)
    site = planted_meanings.WORDS_SITE
    means = corpus_means(world.model, choice.tokens)
    circuit = Circuit({site: torch.tensor([index in kept for index in range(len(world.nodes[0]))])})
    edit = keep_only(circuit, means)
    nodes = {concept: Node(site, index) for concept, index in by_concept.items()}
    labels = {Node(site, index): concept for index, concept in labelled.items()}
    generator = np.random.default_rng(0)
    return labels_on_corpus(world.model, edit, choice, score, nodes, labels, world.concepts, generator)


def test_a_node_with_a_copy_matters_on_the_corpus_in_the_circuit_that_leaves_the_copy_out():
    found = on_corpus("backed_up", [0], {"A": 0}, {0: "A"})
    assert found.concepts["A"]["circuit"].score.value == pytest.approx(1, abs=1e-5)
    assert found.concepts["A"]["circuit"].harm > 0.1
    assert found.concepts["A"]["whole"].reason
    assert found.concepts["A"]["whole"].harm == pytest.approx(0, abs=1e-5)


def test_labels_of_all_nodes_at_once_are_one_replacement():
    found = on_corpus("backed_up", [0, 1], {"A": 0}, {0: "A", 1: "A"})
    assert found.concepts["A"]["circuit"].reason
    assert [found.joint[where].nodes for where in ("circuit", "whole")] == [2, 2]
    assert found.joint["whole"].score.value == pytest.approx(1, abs=1e-5)
    assert found.joint["circuit"].score.value == pytest.approx(found.joint["whole"].score.value)


def test_a_label_that_holds_elsewhere_too_scores_on_the_corpus_what_the_whole_check_says():
    alone = on_corpus("conjunction", [0], {"A": 0}, {})
    row = next(each for each in planted_meanings.conjunction().assessed().concepts if each.concept == "A")
    assert alone.concepts["A"]["whole"].score.value == pytest.approx(row.controls["label"].value, abs=0.02)
    assert alone.joint == {}


def test_a_circuit_without_labels_has_no_scores_on_the_corpus():
    found = on_corpus("exact", [0], {}, {})
    assert (found.concepts, found.joint) == ({}, {})


def test_a_concept_that_does_not_occur_on_the_corpus_is_refused_and_its_nodes_are_left_out():
    labels = {"A": [0, 0, 1, 1], "B": [0, 0, 0, 0]}
    found = on_corpus("one_unread", [0, 1], {"A": 0, "B": 1}, {0: "A", 1: "B"}, labels=labels)
    assert found.concepts.keys() == {"A"}
    assert "'B' is '0' everywhere" in found.refused["B"]
    assert found.joint["circuit"].nodes == 1
    assert on_corpus("one_unread", [1], {"B": 1}, {1: "B"}, labels=labels).joint == {}
