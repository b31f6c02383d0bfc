"""Trials run the last sublayer at the answers only, which must not change a loss, whatever the model."""

from dataclasses import replace

import pytest
import torch
from tiny_dense import CONTEXT, VOCABULARY, random_clt, random_dense, random_saes, random_tokens, random_transcoders

from benchmark.discovery.candidates import NodeTrials
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.edge_attribution import source_means
from benchmark.discovery.edge_trials import EdgeTrials
from benchmark.interventions.ablation import ablate, ablation_values, corpus_means, interpolate, octave_means
from benchmark.interventions.edge_ablation import AblatedEdges, kept_ends
from benchmark.model.circuit import Circuit, by_site
from benchmark.model.graph import node_sites
from benchmark.model.interface import forward, state_at
from benchmark.tasks.answers import answer_logits, prompt_losses
from benchmark.tasks.prompts import PromptBatch

MODELS = {
    "dense": (random_dense, "channel"),
    "concatenated positions": (lambda: random_dense(positional="concatenated"), "channel"),
    "learned positions": (lambda: random_dense(positional="learned", sink=True), "unit"),
    "clt": (lambda: random_clt(random_dense(positional="concatenated"), "errors_available"), "unit"),
    "transcoders": (lambda: random_transcoders(random_dense(), "errors_ablated"), "unit"),
    "saes": (lambda: random_saes(random_dense(positional="concatenated"), "errors_available"), "unit"),
}


@pytest.fixture(params=MODELS)
def made(request):
    make, graph = MODELS[request.param]
    return make(), graph


def prompts():
    """Prompts of different lengths, so that answers are read at different positions."""
    generator = torch.Generator().manual_seed(5)
    last = torch.randint(3, CONTEXT, (12,), generator=generator)
    answer, other = torch.randint(VOCABULARY, (2, 12), generator=generator)
    return PromptBatch(random_tokens(12), last, answer, other)


def node_trials(model, graph, ablation="mean"):
    batch, tokens = prompts(), random_tokens()
    values = ablation_values(ablation, model, corpus_means(model, tokens), octave_means(model, tokens), seed=1)
    return NodeTrials(model, node_sites(model, graph), values, batch, Criterion.mean(0.1, batch))


def subsets(count):
    return torch.rand(5, count, generator=torch.Generator().manual_seed(6)) < 0.7


@pytest.mark.parametrize("ablation", ["mean", "zero", "off", "position_mean", "resample", "counterfactual"])
def test_losses_of_circuits_are_those_of_whole_runs(made, ablation):
    trials = node_trials(*made, ablation)
    kept = subsets(len(trials.stage))
    found = trials.losses(kept[0], kept, torch.arange(len(trials.batch)))
    for losses, row in zip(found, kept, strict=True):
        edit = ablate(Circuit(by_site(trials.sites, row)), trials.ablation_values(trials.batch))
        expected = prompt_losses(answer_logits(trials.model, trials.batch, edit), trials.batch)
        torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-4)


def test_losses_of_edges_are_those_of_whole_runs(made):
    model, graph = made
    nodes = node_trials(model, graph)
    kept = Circuit(by_site(nodes.sites, subsets(len(nodes.stage))[0]))
    connections = [each for each in model.connections(graph) if each.weight is not None]
    joined = [each for each in (kept_ends(one, kept) for one in connections) if each is not None]
    means = {**corpus_means(model, random_tokens()), **source_means(model, random_tokens())}
    shared = {name: getattr(nodes, name) for name in ("model", "sites", "ablation_values", "batch", "criterion")}
    assert joined
    trials = EdgeTrials(**shared, circuit=kept, joined=joined, means=means)
    candidates = subsets(len(trials.stage))
    found = trials.losses(candidates[0], candidates, torch.arange(len(trials.batch)))
    edit = ablate(kept, nodes.values)
    for losses, row in zip(found, candidates, strict=True):
        order = torch.cat([row.nonzero().flatten(), (~row).nonzero().flatten()])
        ablated = AblatedEdges.keeping(joined, order, int(row.sum()), means)
        expected = prompt_losses(answer_logits(model, trials.batch, edit, ablated), trials.batch)
        torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-4)


def test_only_values_that_are_the_same_at_all_positions_allow_it(made):
    model, graph = made
    last = model.sites[-1].stage
    assert {name: node_trials(model, graph, name).alone_from for name in ("mean", "off", "zero", "position_mean")} == {
        "mean": last,
        "off": last,
        "zero": last,
        "position_mean": None,
    }


def test_fewer_positions_are_run(made):
    model, graph = made
    trials, seen = node_trials(model, graph), []
    whole = trials.ablation_values(trials.batch)
    object.__setattr__(trials, "values", lambda site, at: seen.append((site.stage, at.shape[-2])) or whole(site, at))
    every = torch.ones(2, len(trials.stage), dtype=torch.bool)
    every[1, 0] = False
    assert trials.alone_from is not None
    assert not trials._by_prompt
    seen.clear()  # what was asked of whole prompts to find that out
    trials.losses(every[0], every, torch.arange(4))
    last = model.sites[-1].stage
    assert {positions for stage, positions in seen if stage == last} == {1}
    assert {positions for stage, positions in seen if stage < last} <= {CONTEXT}


def test_a_state_at_some_positions_gives_the_logits_there():
    model, tokens = random_dense(positional="concatenated"), random_tokens()
    positions = torch.tensor([[3], [0], [9]])
    state, last = model.start(tokens), model.independent_from
    for stage in range(last):
        state = model.advance(state, stage, lambda site, values: values)
    found = forward(model, tokens, state=state_at(state, positions), stage=last)
    torch.testing.assert_close(found, forward(model, tokens, positions=positions), rtol=1e-5, atol=1e-5)


def test_logits_and_gradients_of_masks_are_those_of_whole_runs(made):
    trials = node_trials(*made)
    mask = torch.rand(len(trials.stage), generator=torch.Generator().manual_seed(8)).requires_grad_()
    edit = interpolate(by_site(trials.sites, mask), trials.values)
    found, expected = (
        answer_logits(trials.model, trials.batch, edit, alone_from=stage) for stage in (trials.alone_from, None)
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(9))
    gradients = [torch.autograd.grad((logits * weights).sum(), mask)[0] for logits in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-3)


def test_ablation_values_that_depend_on_those_of_their_site_need_all_positions(made):
    trials = replace(node_trials(*made), ablation_values=lambda batch: lambda site, values: values.mean((0, 1)))
    assert trials.alone_from is None
    every = torch.ones(2, len(trials.stage), dtype=torch.bool)
    every[1, 0] = False
    assert trials.losses(every[0], every, torch.arange(4)).isfinite().all()
