"""Edges that are tested, on circuits whose edges are known, and a decoy that only mean ablation believes."""

import boolean_function
import bracket_counting
import cancelling
import planted_string_closing
import pytest
import redundant_copies
import superposed_features
import torch
import two_hop

from benchmark import metrics
from benchmark.discovery.attribution import integrated_edge_order
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.edges import verify_edges
from benchmark.discovery.rankings import RANKINGS
from benchmark.interventions.ablation import corpus_means, keep_only
from benchmark.interventions.edge_ablation import VERIFIED_EDGES, load_edges, save_edges
from benchmark.model.graph import node_sites
from benchmark.model.interface import unedited
from benchmark.scoring.case import CircuitUnderTest
from benchmark.scoring.robustness import robustness
from benchmark.tasks.answers import answer_logits

MODELS = (
    planted_string_closing,
    bracket_counting,
    two_hop,
    boolean_function,
    redundant_copies,
    superposed_features,
)


def verified(planted, circuit, ranked=None):
    means = corpus_means(planted.model, planted.means_tokens)
    connections = list(planted.model.connections(planted.graph))
    batch = planted.task.validation
    criterion = Criterion.mean(0.15, batch)
    return verify_edges(
        planted.model, circuit, connections, means, batch, planted.means_tokens, criterion, ranked=ranked
    )


@pytest.mark.parametrize("module", MODELS, ids=lambda module: module.__name__)
def test_verified_edges_are_the_true_edges_of_the_planted_circuit(module):
    planted = module.planted()
    found = verified(planted, planted.nodes)
    assert (found.status, found.edges) == ("ok", len(planted.edges))
    assert {
        (source_site, source, target_site, target)
        for (source_site, target_site), edges in found.kept.items()
        for source, target in edges.tolist()
    } == planted.edges


def test_verified_edges_are_saved_and_read_back(tmp_path):
    edges = verified(two_hop.planted(), two_hop.planted().nodes).kept
    save_edges(edges, tmp_path / VERIFIED_EDGES)
    read = load_edges(tmp_path / VERIFIED_EDGES)
    assert read.keys() == edges.keys()
    assert all(torch.equal(read[pair], indices) for pair, indices in edges.items())
    save_edges({}, tmp_path / VERIFIED_EDGES)
    assert load_edges(tmp_path / VERIFIED_EDGES) == {}


@pytest.mark.parametrize("module", MODELS, ids=lambda module: module.__name__)
def test_edges_ranked_by_integrated_gradients_are_cut_to_as_many(module):
    planted = module.planted()
    found = verified(planted, planted.nodes, RANKINGS.named("integrated_gradients").edge_order)
    assert (found.status, found.edges) == ("ok", len(planted.edges))


@pytest.mark.parametrize("order", [lambda order: order[:-1], lambda order: order.clamp(max=1)])
def test_an_order_that_leaves_out_edges_is_refused(order):
    planted = two_hop.planted()
    with pytest.raises(ValueError, match="the ranking did not return an order of all"):
        verified(planted, planted.nodes, lambda trials: order(integrated_edge_order(trials)))


def test_edges_in_the_worst_order_are_not_cut_at_all():
    planted = two_hop.planted()
    true = verified(planted, planted.nodes)
    worst = verified(planted, planted.nodes, lambda trials: integrated_edge_order(trials).flip(0))
    assert worst.edges > true.edges


@pytest.mark.parametrize("module", [two_hop, boolean_function], ids=lambda module: module.__name__)
def test_the_edges_that_are_kept_do_the_task_on_test_prompts_too(module):
    planted = module.planted()
    ablation = verified(planted, planted.nodes).ablation
    edit = keep_only(planted.nodes, corpus_means(planted.model, planted.means_tokens))
    logits = answer_logits(planted.model, planted.task.test, edit, ablation)
    assert metrics.task_loss(logits, planted.task.test.answer, planted.task.test.other) <= 0.2


def test_many_edges_of_live_distractors_are_counted_and_fewer_verified():
    """Not only the true ones: an edge's attribution does not ask whether what flows along it matters to the task."""
    planted = two_hop.planted()
    whole = type(planted.nodes).whole(node_sites(planted.model, planted.graph))
    counted = metrics.edge_count(whole, planted.model.connections(planted.graph))
    assert len(planted.edges) <= verified(planted, whole).edges < counted / 2


def test_a_circuit_that_mean_ablation_believes_is_caught_by_the_others():
    with torch.no_grad():
        model = cancelling.model()
    batch = cancelling.batch(32, torch.Generator().manual_seed(0))
    tokens = cancelling.means_tokens(torch.Generator().manual_seed(1))
    rows = scores(model, cancelling.unit_circuit(model, cancelling.DECOY_CIRCUIT), "unit", tokens, batch)
    assert rows["circuit_loss", "mean"] < 0.15
    assert rows["robust_faithfulness", ""] < 0.5
    assert rows["faithfulness", "resample"] < 0.5


def test_an_honest_circuit_is_faithful_under_every_ablation_and_random_ones_are_not():
    planted = two_hop.planted()
    rows = scores(planted.model, planted.nodes, planted.graph, planted.means_tokens, planted.task.test)
    assert rows["robust_faithfulness", ""] > 0.9
    assert rows["random_circuit_loss", "mean"] > 0.6


def scores(model, circuit, graph, means_tokens, batch):
    means, sites = corpus_means(model, means_tokens), node_sites(model, graph)
    explained = answer_logits(model, batch, unedited)
    trial = CircuitUnderTest(model, sites, circuit, means, batch, explained, torch.Generator().manual_seed(0))
    with torch.no_grad():
        rows = {(row.metric, row.ablation): row.value for row in robustness(trial)}
        logits = answer_logits(model, batch, keep_only(circuit, means))
    return rows | {("circuit_loss", "mean"): metrics.task_loss(logits, batch.answer, batch.other)}
