"""Ablating an edge takes out of the target exactly what it brings beyond its mean, in every kind of model."""

import pytest
import torch
from tiny_dense import random_clt, random_dense, random_lorsa, random_saes, random_tokens, random_transcoders
from torch.testing import assert_close

from benchmark.discovery.edge_attribution import attributions, source_means
from benchmark.interventions.ablation import corpus_means
from benchmark.interventions.edge_ablation import AblatedEdges, kept_ends
from benchmark.model.circuit import Circuit
from benchmark.model.edge_hooks import norm_scale
from benchmark.model.graph import EMBEDDING, LOGITS, node_sites
from benchmark.model.interface import forward, record, run_stages
from benchmark.tasks.prompts import PromptBatch

MODELS_OF = {
    "dense": lambda: random_dense(),
    "transcoders": lambda: random_transcoders(random_dense(), "errors_ablated"),
    "clt": lambda: random_clt(random_dense(), "errors_ablated"),
    "lorsa": lambda: random_lorsa(random_dense(), "errors_ablated"),
    "saes": lambda: random_saes(random_dense(), "errors_ablated"),
}
MODELS = pytest.mark.parametrize("kind", MODELS_OF)


def joined(model, graph="unit"):
    whole = Circuit.whole(node_sites(model, graph))
    return [each for each in (kept_ends(one, whole) for one in model.connections(graph)) if each is not None]


def edges_of(parts):
    return sum(len(each.targets) * len(each.sources) for each in parts)


def means_of(model, tokens):
    return {**corpus_means(model, tokens), **source_means(model, tokens)}


def run(model, tokens, ablation, edit=lambda site, values: values):
    return forward(model, tokens, edit, ablated_edges=ablation)


@MODELS
def test_no_ablated_edge_changes_nothing(kind):
    model, tokens = MODELS_OF[kind](), random_tokens()
    parts = joined(model)
    ablation = AblatedEdges.keeping(parts, torch.arange(edges_of(parts)), edges_of(parts), means_of(model, tokens))
    assert_close(run(model, tokens, ablation), forward(model, tokens), atol=1e-5, rtol=1e-5)


def units(model, tokens, ablation):
    seen = {}

    def watch(site, values):
        seen[site.name] = values
        return values

    run(model, tokens, ablation, watch)
    return seen


@pytest.mark.parametrize("kind", ["dense", "transcoders", "clt", "lorsa"])
def test_one_ablated_edge_takes_its_virtual_weight_times_its_sources_distance_from_the_mean(kind):
    model, tokens = MODELS_OF[kind](), random_tokens()
    parts, means = joined(model), means_of(model, tokens)
    site = "blocks.1.neuron" if kind == "dense" else "blocks.1.feature"
    source = "blocks.0.neuron" if kind == "dense" else "blocks.0.feature"
    order, at = edge_order(parts, source, site, target=5, node=3)
    ablation = AblatedEdges.keeping(parts, order, len(order) - 1, means)
    weight = parts[at].connection.weight[5, 3]
    seen = {}

    class Watching:
        def __call__(self, target, direct, stream, scale):
            if target == site:
                seen["brought"] = ablation(target, direct, stream, scale)
                seen["expected"] = weight * (stream[source][..., 3] - means[source][3]) * scale[..., 0]
            return ablation(target, direct, stream, scale)

        def opaque(self, target, source):
            return None

        def mean(self, source):
            return means[source]

    run(model, tokens, Watching())
    assert_close(seen["brought"][..., 5], seen["expected"])
    others = [index for index in range(seen["brought"].shape[-1]) if index != 5]
    assert float(seen["brought"][..., others].abs().max()) == 0


def edge_order(parts, source, target_site, target, node):
    """All edges with one of them last, and the connection that it is of."""
    begin = 0
    for at, each in enumerate(parts):
        if each.pair == (source, target_site):
            edge = begin + target * len(each.sources) + node
            order = torch.arange(edges_of(parts))
            return torch.cat([order[order != edge], order[order == edge]]), at
        begin += len(each.targets) * len(each.sources)
    raise AssertionError((source, target_site))


def test_all_edges_into_the_logits_cut_is_every_source_at_its_mean_there():
    model, tokens = random_dense(), random_tokens()
    parts, means = joined(model), means_of(model, tokens)
    mine = [index for index, each in enumerate(parts) if each.connection.target == LOGITS]
    sizes = [len(each.targets) * len(each.sources) for each in parts]
    starts = torch.tensor([0, *sizes]).cumsum(0)
    last = torch.cat([torch.arange(starts[index], starts[index + 1]) for index in mine])
    order = torch.cat([torch.tensor([e for e in range(sum(sizes)) if e not in set(last.tolist())]), last])
    ablation = AblatedEdges.keeping(parts, order, sum(sizes) - len(last), means)
    state = run_stages(model, model.start(tokens), ablated_edges=ablation)
    moved = state["residual"].clone()
    for layer, block in enumerate(model.blocks):
        for name, weight in ((f"blocks.{layer}.v", block.W_O), (f"blocks.{layer}.neuron", block.W_out)):
            moved -= (state[f"wrote {name}"] - means[name]) @ weight.T
    scaled = moved * norm_scale(state["residual"]) * model.ln_final.weight
    expected = scaled @ model.W_U.T + model.bigram[tokens]
    assert_close(model.read_out(state, None, ablation), expected, atol=1e-4, rtol=1e-4)


def test_a_feature_behind_an_opaque_block_is_computed_from_a_run_with_its_cut_sources_at_their_means():
    model, tokens = random_saes(random_dense(), "errors_ablated"), random_tokens()
    parts, means = joined(model), means_of(model, tokens)
    source, target = "blocks.0.resid_post.feature", "blocks.1.resid_post.feature"
    order, _ = edge_order(parts, source, target, target=4, node=2)
    ablation = AblatedEdges.keeping(parts, order, len(order) - 1, means)
    ablated = record(
        model,
        tokens,
        lambda site, values: (
            torch.where(torch.arange(values.shape[-1]) == 2, means[source][2], values)
            if site.name == source
            else values
        ),
    )[target]
    clean, seen = record(model, tokens)[target], units(model, tokens, ablation)[target]
    assert_close(seen[..., 4], ablated[..., 4], atol=1e-5, rtol=1e-5)
    others = torch.arange(seen.shape[-1]) != 4
    assert_close(seen[..., others], clean[..., others], atol=1e-5, rtol=1e-5)


def test_embeddings_are_a_source_that_can_be_cut():
    model = random_dense()
    assert EMBEDDING in {each.connection.source for each in joined(model)}


def test_what_reaches_a_head_that_averages_positions_counts_at_all_of_them_up_to_where_it_is_active():
    model, tokens = random_lorsa(random_dense(), "errors_ablated"), random_tokens()
    batch = PromptBatch(tokens, torch.tensor([9, 7, 8]), tokens[:, 0], tokens[:, 1])
    source, target = "blocks.0.feature", "blocks.1.feature"

    def edit(site, values):
        return values * (torch.arange(10) == 5)[:, None] if site.name == target else values

    parts, means = joined(model), means_of(model, tokens)
    found = dict(
        zip((each.pair for each in parts), attributions(model, parts, means, batch, lambda _: edit), strict=True)
    )
    values, stream = record(model, tokens, edit), run_stages(model, model.start(tokens), edit, last=2)["residual"]
    flows = ((values[source] - means[source]).abs() * norm_scale(stream))[:, :6]  # [prompt, position, source]
    active = (values[target][:, 5] != 0).float()  # [prompt, target]
    weight = next(each.connection.weight for each in parts if each.pair == (source, target))
    expected = weight.abs() * (active.T @ flows.sum(1)) / (6 * active.sum(0)).clamp(min=1)[:, None]
    assert 0 < active.mean() < 1
    assert_close(found[source, target], expected, atol=1e-5, rtol=1e-4)
