"""How much work a search does, counted in stages times tokens, so that no change makes it dearer unnoticed.

A limit is what the search did when the limit was last set, plus a tenth. Lower it when a change saves work; raise it
only for a change that is worth the work, and say so in the commit.
"""

import pytest
import torch

from benchmark.discovery.edges import verify_edges
from benchmark.discovery.search import Budget
from benchmark.ground_truth.planted_models import known_model

BUDGET = Budget(tokens=12_000, learning_rate=0.05, certified_pairs=24)

NODES, EDGES = 45.6, 7.1
"""Thousands of tokens that pass a stage while the nodes of a circuit are searched for, and while its edges are."""


@pytest.fixture
def counted(monkeypatch):
    """A planted model of more than 100 nodes, and the tokens of every stage that it has run."""
    known, tokens = known_model(2, torch.Generator().manual_seed(0), copies=2, width=24), []
    model, advance = known.model, type(known.model).advance

    def advanced(self, state, *arguments, **named):
        tokens.append(next(iter(state.values())).shape[:2].numel())
        return advance(self, state, *arguments, **named)

    monkeypatch.setattr(type(model), "advance", advanced)
    return known, tokens


def found(known):
    return known.search(BUDGET, torch.Generator().manual_seed(0), target=0.15)


def test_a_search_for_nodes_runs_no_more_tokens_than_it_used_to(counted):
    known, tokens = counted
    assert found(known).minimal
    assert 0.5 * NODES < sum(tokens) / 1000 <= 1.1 * NODES


def test_a_search_for_edges_runs_no_more_tokens_than_it_used_to(counted):
    known, tokens = counted
    circuit = found(known)
    tokens.clear()
    connections, corpus = known.model.connections("unit"), known.prompts.train.tokens
    verified = verify_edges(
        known.model,
        circuit.circuit,
        connections,
        known.means,
        circuit.sample,
        corpus,
        circuit.criterion,
        tokens=BUDGET.tokens,
    )
    assert verified.minimal
    assert 0.5 * EDGES < sum(tokens) / 1000 <= 1.1 * EDGES
