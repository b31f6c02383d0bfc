"""The finder against brute force over all subsets, and against circuits that are the smallest by construction."""

from dataclasses import replace
from functools import cache
from itertools import combinations, islice

import pytest
import torch

from benchmark.discovery import finder
from benchmark.discovery.candidates import NodeTrials
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.cutting import cut_order
from benchmark.discovery.edge_attribution import source_means
from benchmark.discovery.edge_trials import EdgeTrials
from benchmark.discovery.edges import verify_edges
from benchmark.discovery.search import Budget, sample_of
from benchmark.discovery.shrinking import removable
from benchmark.ground_truth.planted_models import known_model
from benchmark.interventions.ablation import at_means
from benchmark.interventions.edge_ablation import kept_ends
from benchmark.model.circuit import Circuit

TARGET = 0.15
BUDGET = Budget(tokens=12_000, batch_pairs=16, learning_rate=0.05, exchanges=16)


@cache
def small(seed):
    """A model of at most 20 nodes."""
    return known_model(1 + seed % 2, torch.Generator().manual_seed(seed), copies=1, width=6 - 2 * (seed % 2))


def trials_of(known):
    sample = sample_of(known.prompts, BUDGET)
    criterion = Criterion(TARGET, sample.form)
    return NodeTrials(known.model, known.sites, lambda batch: at_means(known.means), sample, criterion)


def found_in(known, seed=0, budget=BUDGET):
    return known.search(budget, torch.Generator().manual_seed(seed), target=TARGET)


@cache
def found_in_small(seed):
    """What the finder finds in a small model."""
    return found_in(small(seed))


def size(circuit: Circuit):
    return sum(int(mask.sum()) for mask in circuit.masks.values())


def smallest(known):
    """Size of the smallest circuit at the target, by trying every subset of the nodes."""
    trials = trials_of(known)
    nodes = len(trials.stage)
    assert nodes <= 20
    every = (torch.arange(2**nodes)[:, None] >> torch.arange(nodes)) & 1
    for count in range(nodes + 1):
        subsets = every[every.sum(1) == count].bool()
        if (trials.excess(subsets[0], subsets) <= 0).any():
            return count
    return None


def found_smallest(seeds):
    """For each seed whether the finder's circuit is the smallest."""
    return [size(found_in_small(seed).circuit) == smallest(small(seed)) for seed in seeds]


def batched(items, size):
    """Lists of at most that many items."""
    items = iter(items)
    while part := list(islice(items, size)):
        yield part


def verified(known, circuit):
    """What the finder leaves of the edges of a circuit, and the trials that it makes."""
    sample, windows = sample_of(known.prompts, BUDGET), known.windows
    criterion, connections = Criterion(TARGET, sample.form), list(known.model.connections("unit"))
    found = verify_edges(
        known.model, circuit, connections, known.means, sample, windows, criterion, tokens=BUDGET.tokens
    )
    joined = [each for each in (kept_ends(one, circuit) for one in connections) if each is not None]
    trials = EdgeTrials(
        model=known.model,
        sites=known.model.sites,
        ablation_values=lambda batch: at_means(known.means),
        batch=sample,
        criterion=criterion,
        circuit=circuit,
        joined=joined,
        means={**known.means, **source_means(known.model, windows)},
    )
    return found, trials


def fewest_edges(trials):
    """Size of the smallest set of edges at the target, by trying every subset of the edges that are not zero."""
    weights = [each.connection.weight[each.targets][:, each.sources].flatten() for each in trials.joined]
    nonzero = torch.cat(weights).nonzero().flatten().tolist()
    assert len(nonzero) <= 20
    every = torch.ones(len(trials.stage), dtype=torch.bool)
    for count in range(len(nonzero) + 1):
        for chosen in batched(combinations(nonzero, count), 500):
            subsets = torch.zeros(len(chosen), len(every), dtype=torch.bool)
            for subset, edges in zip(subsets, chosen, strict=True):
                subset[list(edges)] = True
            if (trials.excess(every, subsets) <= 0).any():
                return count
    return None


def found_fewest_edges(seeds):
    """For each seed whether the edges that are left of the finder's circuit are the fewest."""
    results = []
    for seed in seeds:
        found, trials = verified(small(seed), found_in_small(seed).circuit)
        assert found.minimal
        results.append(found.edges == fewest_edges(trials))
    return results


def test_the_finder_leaves_the_fewest_edges_of_small_models():
    assert all(found_fewest_edges([0]))


@pytest.mark.slow
def test_the_finder_leaves_the_fewest_edges_of_small_models_in_95_percent_of_seeds():
    found = found_fewest_edges(range(0, 40, 2))
    assert sum(found) / len(found) >= 0.95


def test_the_finder_finds_the_smallest_circuit_of_small_models():
    assert all(found_smallest(range(4)))


@pytest.mark.slow
def test_the_finder_finds_the_smallest_circuit_of_small_models_in_95_percent_of_seeds():
    found = found_smallest(range(40))
    assert sum(found) / len(found) >= 0.95


@pytest.mark.slow
def test_the_finder_finds_circuits_as_small_as_the_planted_one_in_80_percent_of_seeds():
    found = []
    for seed in range(20):
        known = known_model(3 + seed % 2, torch.Generator().manual_seed(seed), copies=3, width=24)
        assert sum(site.size for site in known.sites) > 100
        found.append(size(found_in(known, seed).circuit) <= size(known.circuit))
    assert sum(found) / len(found) >= 0.8


@pytest.mark.parametrize("seed", [0, 1])
def test_a_circuit_that_is_called_minimal_loses_its_task_with_any_node_removed(seed):
    known, found = small(seed), found_in_small(seed)
    assert found.minimal
    trials = trials_of(known)
    kept = found.circuit.row(known.sites)
    assert float(trials.excess(kept, kept[None])[0]) <= 0
    assert not len(removable(trials, kept))


def test_the_order_begins_with_the_circuit():
    known, found = small(0), found_in_small(0)
    assert sorted(found.order.tolist()) == list(range(len(found.order)))
    first = Circuit.first(known.sites, found.order, size(found.circuit))
    assert all(first.masks[name].equal(mask) for name, mask in found.circuit.masks.items())


def test_the_same_seed_finds_the_same_circuit():
    first, second = (found_in(small(1), seed=5) for _ in range(2))
    assert first.order.equal(second.order)


def test_without_shrinking_the_circuit_is_a_prefix_of_the_ranking_and_no_smaller():
    known = small(1)
    cut = found_in(known, budget=replace(BUDGET, shrink=False))
    assert cut.minimal is None
    assert size(cut.circuit) >= size(found_in_small(1).circuit)


def test_the_mean_alone_is_judged_on_validation_prompts():
    known = small(1)
    assert found_in(known, budget=Budget(tokens=4_000, criterion="mean")).sample is known.prompts.validation


def first_not_reached(monkeypatch):
    """The cuts of a search, the first of which is said to have missed the criterion."""
    cuts = []

    def cut(search, order, slack):
        cuts.append(cut_order(search, order, slack))
        return cuts[-1] if cuts[1:] else replace(cuts[-1], status="not_reached")

    monkeypatch.setattr(finder, "cut_order", cut)
    return cuts


def test_a_search_that_reaches_no_circuit_ranks_the_nodes_once_more(monkeypatch):
    cuts = first_not_reached(monkeypatch)
    found = found_in(small(0))
    assert (len(cuts), found.status, found.minimal) == (2, "ok", True)
    assert not cuts[0].order.equal(cuts[1].order)


def test_without_shrinking_the_nodes_are_ranked_once(monkeypatch):
    cuts = first_not_reached(monkeypatch)
    assert found_in(small(0), budget=replace(BUDGET, shrink=False)).status == "not_reached"
    assert len(cuts) == 1
