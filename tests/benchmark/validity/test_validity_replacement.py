"""Identities of `CachedRun`: its stored states and joint runs against one plain forward pass each."""

from functools import cache

import numpy as np
import pytest
import torch
from next_token import next_token_eval
from tiny_dense import VOCABULARY, random_clt, random_dense, random_tokens

from benchmark.interventions.ablation import corpus_means, keep_only
from benchmark.interventions.replacement import CachedRun, EvalBatch, Node
from benchmark.model.circuit import Circuit
from benchmark.model.interface import forward, record, stage_count, unedited

MODELS = ("transformer", "clt, errors available", "clt, errors ablated")
ROWS = 6


@cache
def made(name):
    dense = random_dense()
    return dense if name == "transformer" else random_clt(dense, name.removeprefix("clt, ").replace(" ", "_"))


def scene():
    return next_token_eval(random_tokens(ROWS), random_tokens(ROWS, seed=4))


def half(model):
    """An edit that keeps every other node."""
    masks = {site.name: torch.arange(site.size) % 2 == 0 for site in model.sites}
    return keep_only(Circuit(masks), corpus_means(model, random_tokens(ROWS, seed=5)))


def some_nodes(model):
    """One node of each site, and so of each stage; of the even ones, which `half` keeps."""
    nodes = [Node(site.name, 2 * (index % ((site.size + 1) // 2))) for index, site in enumerate(model.sites)]
    assert {site.stage for site in model.sites} == set(range(stage_count(model)))
    return nodes


def random_values(seed):
    return np.random.default_rng(seed).normal(size=(ROWS, random_tokens().shape[1])).astype(np.float32)


def plain_losses(model, changes, base=unedited):
    """Loss of each window by one forward pass from the tokens, with an edit that sets the nodes."""

    def edit(site, values):
        edited = base(site, values).clone()
        for node, new in changes.items():
            if node.site == site.name:
                edited[..., node.index] = torch.from_numpy(new)
        return edited

    asked = scene()
    with torch.no_grad():
        return asked.loss(forward(model, asked.tokens, edit), torch.arange(ROWS)).numpy()


def test_loss_is_the_mean_cross_entropy_of_the_next_token():
    asked = scene()
    logits = torch.randn(ROWS, asked.tokens.shape[1], VOCABULARY)
    rows = torch.tensor([4, 1])
    targets = random_tokens(ROWS, seed=4)
    expected = [-logits[row].log_softmax(-1).gather(1, targets[row, :, None]).mean() for row in rows]
    torch.testing.assert_close(asked.loss(logits[rows], rows), torch.stack(expected))


@pytest.mark.parametrize("base", [unedited, half])
@pytest.mark.parametrize("name", MODELS)
def test_a_node_set_to_its_own_values_changes_no_loss(name, base):
    model = made(name)
    run = CachedRun(model, scene(), base if base is unedited else base(model))
    nodes = some_nodes(model)
    losses = run.losses([{node: run.node(node)} for node in nodes])
    for node, found in zip(nodes, losses, strict=True):
        np.testing.assert_allclose(found, run.true, atol=1e-5, err_msg=str(node))


@pytest.mark.parametrize("base", [unedited, half])
@pytest.mark.parametrize("name", MODELS)
def test_replaced_nodes_give_the_losses_of_a_forward_pass_with_an_edit(name, base):
    model = made(name)
    edit = base if base is unedited else base(model)
    run = CachedRun(model, scene(), edit)
    np.testing.assert_allclose(run.true, plain_losses(model, {}, edit), atol=1e-5)
    changes = [{node: random_values(seed)} for seed, node in enumerate(some_nodes(model))]
    moved = 0
    for change, found in zip(changes, run.losses(changes), strict=True):
        np.testing.assert_allclose(found, plain_losses(model, change, edit), atol=1e-5, err_msg=str(change.keys()))
        moved += not np.allclose(found, run.true, atol=1e-4)
    assert moved > len(changes) / 2


@pytest.mark.parametrize("name", MODELS)
def test_changes_at_several_stages_at_once_give_what_each_gives_alone(name):
    model = made(name)
    run = CachedRun(model, scene())
    nodes = some_nodes(model)[::-1]
    changes = [{}, *({node: random_values(seed)} for seed, node in enumerate(nodes))]
    together = run.losses(changes)
    for change, found in zip(changes, together, strict=True):
        np.testing.assert_allclose(found, CachedRun(model, scene()).losses([change])[0], atol=1e-6)
    np.testing.assert_array_equal(together[0], run.true)


@pytest.mark.parametrize("name", MODELS)
def test_two_nodes_at_once_are_an_edit_that_sets_both(name):
    model = made(name)
    run = CachedRun(model, scene())
    nodes = some_nodes(model)
    pairs = [(nodes[index], nodes[-1 - index // 2]) for index in range(len(nodes) - 1)]
    first = model.sites[0].name
    pairs.append((Node(first, 0), Node(first, 1)))
    changes = [{one: random_values(1), other: random_values(2)} for one, other in pairs]
    for change, found in zip(changes, run.losses(changes), strict=True):
        np.testing.assert_allclose(found, plain_losses(model, change), atol=1e-5)


@pytest.mark.parametrize("rows", [1, 5, 100])
def test_how_many_rows_run_at_once_changes_nothing(rows):
    model = made("transformer")
    change = {some_nodes(model)[3]: random_values(0)}
    run = CachedRun(model, scene(), rows=rows)
    np.testing.assert_allclose(run.losses([change, {}])[0], plain_losses(model, change), atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_values_are_those_after_the_base_edit(name):
    model = made(name)
    run = CachedRun(model, scene(), half(model))
    expected = record(model, scene().tokens, half(model))
    found = run.values([site.name for site in model.sites])
    for node in some_nodes(model):
        torch.testing.assert_close(found[node.site], expected[node.site])
        np.testing.assert_allclose(run.node(node), expected[node.site][..., node.index].numpy(), atol=1e-5)


def test_rows_of_a_cluster_count_together_and_logits_are_asked_where_they_are_wanted():
    model = made("transformer")
    tokens, positions = random_tokens(ROWS), torch.arange(ROWS)[:, None]
    asked = EvalBatch(tokens, positions, lambda logits, row: logits[:, 0, 0], cluster=2)
    with torch.no_grad():
        logits = forward(model, tokens)[torch.arange(ROWS), positions[:, 0], 0]
    np.testing.assert_allclose(CachedRun(model, asked).true, logits.unflatten(0, (3, 2)).mean(1).numpy(), atol=1e-5)
