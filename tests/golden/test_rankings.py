"""Rankings on planted circuits: effects that add up, edges as exact as ablating them, and a search without gradients.

The first two are the checks that TransformerLens makes of its own attribution patching.
"""

from dataclasses import replace
from functools import cache

import pytest
import torch
from planted import MODULES
from test_trials import edge_trials, node_trials, planted

from benchmark.discovery.attribution import integrated_orders
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.random_removal import removal_orders
from benchmark.discovery.search import Budget, Search, sample_of
from benchmark.interventions.ablation import at_means, corpus_means
from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites

BUDGET = Budget(tokens=60_000)

LONG = Budget(tokens=400_000)

every_model = pytest.mark.parametrize("module", MODULES)


@cache
def search(module):
    made = planted(module)
    means, sample = corpus_means(made.model, made.means_tokens), sample_of(made.task, BUDGET)
    sites, criterion = node_sites(made.model, made.graph), Criterion(0.15, sample.form)
    return Search(made.model, made.task, lambda batch: at_means(means), sites, sample, criterion, made.graph)


def losses(trials, *sets):
    rows = torch.arange(len(trials.batch))
    return trials.losses(sets[0], torch.stack(sets), rows).mean(1).tolist()


@every_model
@pytest.mark.parametrize("kind", [node_trials, edge_trials])
def test_integrated_effects_add_up_to_what_keeping_everything_changes(module, kind):
    trials = kind(module)
    everything = torch.ones(len(trials.stage), dtype=torch.bool)
    nothing, whole = losses(trials, ~everything, everything)
    assert float(trials.integrated_effects(100).sum()) == pytest.approx(whole - nothing, abs=0.02)


@every_model
def test_the_integrated_effect_of_a_single_edge_is_what_ablating_it_changes(module):
    """With one edge alone on the path, integrating the derivative from ablated to kept gives the exact difference."""
    trials = edge_trials(module)
    everything = torch.ones(len(trials.stage))
    for edge in everything.nonzero().flatten()[:2].tolist():
        path = [everything.clone() for _ in range(40)]
        for step, shares in enumerate(path):
            shares[edge] = (step + 0.5) / len(path)
        integrated = sum(float(trials.effects(shares)[edge]) for shares in path) / len(path)
        without = everything.bool()
        without[edge] = False
        ablated, kept = losses(trials, without, everything.bool())
        assert integrated == pytest.approx(kept - ablated, abs=0.02)


@every_model
def test_nodes_of_a_truth_come_first_by_integrated_gradients(module):
    (order,) = integrated_orders(search(module), BUDGET, torch.Generator())
    assert order.sort().values.equal(torch.arange(search(module).size))
    nodes = {int(node) for truth in planted(module).truths for node in truth.nodes.row(search(module).sites).nonzero()}
    first = set(order[: len(nodes)].tolist())
    assert len(first & nodes) / len(nodes) >= 0.5


@pytest.mark.parametrize(
    "module", [MODULES[0], *(pytest.param(module, marks=pytest.mark.slow) for module in MODULES[1:])]
)
def test_random_removals_from_the_whole_model_leave_a_truth(module):
    (order,) = removal_orders(search(module), LONG, torch.Generator().manual_seed(0))
    assert order.sort().values.equal(torch.arange(search(module).size))
    sizes = [int(truth.nodes.row(search(module).sites).sum()) for truth in planted(module).truths]
    kept = Circuit.first(search(module).sites, order, min(sizes)).row(search(module).sites)
    assert float(search(module).trials(10**9).excess(kept, kept[None])[0]) <= 0


def test_a_model_that_misses_the_target_is_ranked_at_random():
    whole = search("two_hop")
    impossible = replace(whole, criterion=Criterion(-1.0, whole.sample.form))
    first, second = (removal_orders(impossible, BUDGET, torch.Generator().manual_seed(seed))[0] for seed in (0, 1))
    assert first.sort().values.equal(second.sort().values)
    assert not first.equal(second)
