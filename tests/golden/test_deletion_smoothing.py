"""Deletion smoothing: which nodes are in significantly more than half of the circuits, and on planted truth."""

from functools import cache

import pytest
import torch
from planted import MODULES
from test_trials import planted

from benchmark.discovery.deletion_smoothing import inclusions, stable
from benchmark.discovery.finder import find_circuit
from benchmark.discovery.search import Budget
from benchmark.discovery.settings import FEWEST_DRAWS, CircuitConfig
from benchmark.interventions.ablation import corpus_means
from benchmark.scoring.case import DiscoveredCircuit, Setting
from benchmark.scoring.sizes import sizes

DRAWS = 6


@cache
def found(module, draws=DRAWS, seed=0):
    made = planted(module)
    return find_circuit(
        made.model,
        made.task,
        corpus_means(made.model, made.means_tokens),
        graph=made.graph,
        target=0.15,
        budget=Budget(tokens=60_000, deletion_draws=draws),
        generator=torch.Generator().manual_seed(seed),
    )


@pytest.mark.parametrize(("draws", "least"), [(5, 5), (8, 7), (20, 15), (100, 59)])
def test_a_node_is_stable_from_the_count_on_that_chance_reaches_once_in_twenty(draws, least):
    counts = torch.arange(draws + 1)
    assert stable(counts, draws).tolist() == (counts >= least).tolist()


def test_too_few_draws_are_refused_as_no_node_could_be_stable():
    assert stable(torch.tensor([FEWEST_DRAWS]), FEWEST_DRAWS).all()
    assert not stable(torch.tensor([FEWEST_DRAWS - 1]), FEWEST_DRAWS - 1).any()
    with pytest.raises(ValueError, match="deletion_draws is 4; it is 0, or at least 5"):
        CircuitConfig(deletion_draws=4)


def test_every_search_lacks_other_pairs_and_none_of_the_test_prompts():
    task, seen = planted("two_hop").task, []

    def find(prompts):
        seen.append(prompts)
        return torch.tensor([True, len(seen) % 2 == 0])

    counts = inclusions(find, task, 4, 0.5, torch.Generator().manual_seed(0))
    assert counts.tolist() == [4, 2]
    assert all(prompts.test is task.test for prompts in seen)
    rows = {tuple(map(tuple, prompts.train.tokens.tolist())) for prompts in seen}
    assert len(rows) == 4
    whole = set(map(tuple, task.train.tokens.tolist()))
    for kept in rows:
        assert set(kept) < whole
        assert len(kept) % 2 == 0


def test_at_least_one_pair_is_left():
    task, seen = planted("two_hop").task, []
    find = lambda prompts: (seen.append(prompts), torch.ones(1, dtype=torch.bool))[1]  # noqa: E731
    inclusions(find, task, 3, 0.999, torch.Generator().manual_seed(0))
    assert all(len(prompts.train) >= 2 and len(prompts.validation) >= 2 for prompts in seen)


@pytest.mark.parametrize(
    "module", [MODULES[0], *(pytest.param(module, marks=pytest.mark.slow) for module in MODULES[1:])]
)
def test_nodes_of_a_truth_are_stable(module):
    smooth, truths = found(module), planted(module).truths
    kept = {name: set(nodes) for name, nodes in smooth.circuit.kept().items()}
    every = [{name: set(nodes) for name, nodes in truth.nodes.kept().items()} for truth in truths]
    assert all(nodes <= set.union(*(truth.get(name, set()) for truth in every)) for name, nodes in kept.items())
    assert smooth.minimal is None
    if len(truths) == 1:
        assert smooth.status == "ok"
        assert kept == every[0]
        assert list(smooth.curve) == [sum(map(len, kept.values()))]


def test_a_circuit_of_one_size_has_no_interval_of_its_edges():
    made = planted(MODULES[0])
    means = corpus_means(made.model, made.means_tokens)
    setting = Setting(made.model, made.model, means, made.graph, made.task, made.means_tokens, seed=0)
    case = DiscoveredCircuit.of(setting, found(MODULES[0]), CircuitConfig(deletion_draws=DRAWS))
    edges = next(row for row in sizes(case) if row.metric == "edges")
    assert (edges.interval, edges.low, edges.high) == ("", None, None)
