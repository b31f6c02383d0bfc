"""The penalty of a learned mask, and what it does to the masks of a planted model."""

from dataclasses import replace

import pytest
import torch

from benchmark.discovery import finder, learned_mask
from benchmark.discovery.learned_mask import ADAPTATION, INITIAL_COEFFICIENT, Penalty, learned_orders
from benchmark.discovery.search import Budget, Search
from benchmark.ground_truth.planted_models import known_model
from benchmark.interventions.ablation import at_means


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
    found = known.search(budget, torch.Generator().manual_seed(0), target=0.15)
    assert found.status == "ok"
    return sum(int(mask.sum()) for mask in found.circuit.masks.values())


def test_an_adapted_penalty_leaves_fewer_nodes_than_a_penalty_that_is_too_small():
    assert nodes_cut(()) < nodes_cut((1e-6,))


def orders(**settings):
    """The orders that masks give for a small planted model."""
    known = known_model(1, torch.Generator().manual_seed(0))
    budget = Budget(**settings)
    search = Search.of(known.model, known.prompts, lambda batch: at_means(known.means), "unit", 0.15, budget)
    return learned_orders(search, budget, torch.Generator().manual_seed(0))


def test_a_large_budget_learns_several_masks_of_different_noise(monkeypatch):
    monkeypatch.setattr(learned_mask, "MASK_TOKENS", 2_000)
    assert len(orders(tokens=1_000)) == len(orders(tokens=3_999)) == 1
    first, second = orders(tokens=4_000)
    assert not first.equal(second)
    assert len(orders(tokens=4_000, coefficients=(1e-3,))) == 1


@pytest.mark.parametrize(("lowest", "starts"), [(0.29, 2), (0.31, 1)])
def test_a_search_starts_once_more_only_if_some_circuit_came_near_the_target(monkeypatch, lowest, starts):
    known, cuts, begun = known_model(1, torch.Generator().manual_seed(0)), finder._cuts, []

    def missed(*arguments):
        begun.append(arguments)
        return [replace(cuts(*arguments)[0], status="not_reached", lowest_loss=lowest)]

    monkeypatch.setattr(finder, "_cuts", missed)
    found = known.search(Budget(tokens=1_000), torch.Generator().manual_seed(0), target=0.15)
    assert (found.status, len(begun)) == ("not_reached", starts)
