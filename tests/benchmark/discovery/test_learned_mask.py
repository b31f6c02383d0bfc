"""The penalty of a learned mask, and what it does to the masks of a planted model."""

import pytest
import torch

from benchmark.discovery.finder import find_circuit
from benchmark.discovery.learned_mask import ADAPTATION, INITIAL_COEFFICIENT, Penalty
from benchmark.discovery.search import Budget
from benchmark.ground_truth.planted_models import known_model


def test_an_adapted_penalty_grows_below_the_target_and_shrinks_above_it():
    penalty = Penalty(target=0.1)
    penalty.adapt(0.05)
    assert penalty.coefficient == pytest.approx(INITIAL_COEFFICIENT * ADAPTATION)
    penalty.adapt(1.0)
    assert penalty.loss == pytest.approx(0.8 * 0.05 + 0.2 * 1.0)
    assert penalty.coefficient == pytest.approx(INITIAL_COEFFICIENT)


def test_a_fixed_penalty_stays():
    penalty = Penalty(target=None, coefficient=0.02)
    for loss in (0.0, 5.0):
        penalty.adapt(loss)
    assert penalty.coefficient == 0.02


def nodes_cut(coefficients):
    """Size of the circuit that a mask alone leaves of a planted model of more than 100 nodes."""
    known = known_model(2, torch.Generator().manual_seed(0), copies=2, width=24)
    budget = Budget(tokens=12_000, learning_rate=0.05, coefficients=coefficients, shrink=False)
    found = find_circuit(
        known.model,
        known.prompts,
        known.means,
        graph="unit",
        target=0.15,
        budget=budget,
        generator=torch.Generator().manual_seed(0),
    )
    assert found.status == "ok"
    return sum(int(mask.sum()) for mask in found.circuit.masks.values())


def test_an_adapted_penalty_leaves_fewer_nodes_than_a_penalty_that_is_too_small():
    assert nodes_cut(()) < nodes_cut((1e-6,))
