"""Labels in the place of a circuit's nodes, where what the nodes mean is known."""

from unittest.mock import Mock

import cancelling
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE

from benchmark.concepts import Concept
from benchmark.corpus import Corpus
from benchmark.interventions.ablation import corpus_means
from benchmark.scoring import label_replacement
from benchmark.scoring.case import DiscoveredCircuit, Setting
from benchmark.tasks import TASKS
from benchmark.tasks.prompts import TaskPrompts
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
    assert (row.node, row.reason) == (f"blocks.0.neuron[{cancelling.NEURON}]", "")
    assert row.circuit.value == pytest.approx(1, abs=0.02)
    assert row.whole.value == pytest.approx(1, abs=0.02)


def test_labels_of_another_concept_do_not(found):
    row = found.concepts[1]
    assert row.circuit is None or not row.circuit.value > 0.5


def test_all_kept_nodes_that_a_concept_labels_are_replaced_at_once(found):
    assert found.kept == 2
    assert 1 <= found.labelled <= 2
    assert [step.nodes for step in found.curve] == sorted({step.nodes for step in found.curve})
    assert found.curve[-1].nodes == found.labelled


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
        return CircuitValidity([], 0, 0, [])

    monkeypatch.setattr(label_replacement, "circuit_validity", watched)
    label_replacement.label_replacement(case)
    assert given == [setting.prompts.train, setting.prompts.test]
