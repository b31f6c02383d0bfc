"""Dictionaries that scale their rows, and skip connections, in the place of layers of the dense model."""

import pytest
import torch
from test_edge_ablation import edge_order, joined, means_of, run, units
from tiny_dense import CHANNELS, LAYERS, random_dense, random_tokens
from torch.testing import assert_close

from baselines.dictionary import Dictionary, Encoder
from baselines.replaced_stream import ReplacedStream
from baselines.replacement import ReplacedMLPs
from baselines.row_scale import restored
from benchmark.interventions.edge_ablation import AblatedEdges
from benchmark.model.edge_hooks import norm_scale
from benchmark.model.interface import can_ablate_edges, forward, record

ROWS = pytest.mark.parametrize("rows", ["layer_norm", "constant_norm_rescale"])
FEATURES = 12


def drawn(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def encoder(seed, *, linear=0, **settings):
    weight = drawn(FEATURES + linear, CHANNELS, seed=seed)
    threshold = torch.full((FEATURES,), 0.1)
    return Encoder(weight, drawn(FEATURES + linear, seed=seed + 50), threshold=threshold, linear=linear, **settings)


def replaced(kind, variant="errors_ablated", **settings):
    encoders = [encoder(layer, **settings) for layer in range(LAYERS)]
    decoders = [[0.3 * drawn(CHANNELS, len(each.bias), seed=90)] for each in encoders]
    zeros = [torch.zeros(CHANNELS)] * LAYERS
    return kind.of(Dictionary(encoders, decoders, zeros), random_dense(), zeros, variant)


@ROWS
@pytest.mark.parametrize("kind", [ReplacedMLPs, ReplacedStream])
def test_with_errors_available_it_is_the_dense_model(kind, rows):
    model, tokens = replaced(kind, "errors_available", rows=rows), random_tokens()
    assert_close(forward(model, tokens), forward(model.dense, tokens), atol=1e-4, rtol=1e-4)


@ROWS
def test_an_sae_puts_its_reconstruction_back_at_the_scale_of_the_row(rows):
    model, tokens = replaced(ReplacedStream, rows=rows), random_tokens()
    state = model.advance(model.start(tokens), 0, lambda site, values: values)
    rows_after = model._after_mlp(state["residual"], 0)
    written = model.advance(state, 1, lambda site, values: values)["residual"]
    features = model.encoders[0](rows_after)
    assert_close(written, restored(rows, features @ model.decoders[0][0].T, rows_after))
    assert (written - features @ model.decoders[0][0].T).abs().max() > 0.1


@ROWS
def test_edges_of_an_sae_that_scales_back_are_not_ablated_but_those_of_a_transcoder_are(rows):
    assert not can_ablate_edges(replaced(ReplacedStream, rows=rows))
    assert can_ablate_edges(replaced(ReplacedStream))
    assert can_ablate_edges(replaced(ReplacedMLPs, rows=rows))


@ROWS
def test_an_ablated_edge_brings_its_weight_times_the_factors_of_the_norm_and_of_the_row(rows, monkeypatch):
    monkeypatch.setattr(Encoder, "_fire", lambda self, before: before)
    model, tokens = replaced(ReplacedMLPs, rows=rows), random_tokens()
    if rows == "layer_norm":
        for each in model.encoders:
            each.weight -= each.weight.mean(1, keepdim=True)
    parts, means = joined(model), means_of(model, tokens)
    source, target = "blocks.0.feature", "blocks.1.feature"
    order, _ = edge_order(parts, source, target, target=5, node=3)
    ablated = units(model, tokens, AblatedEdges.keeping(parts, order, len(order) - 1, means))
    clean = record(model, tokens)
    dense = model.dense
    state = model.start(tokens)
    for stage in range(3):
        state = model.advance(state, stage, lambda site, values: values)
    residual = state["residual"]
    mlp_in = dense.mlp_input(1, residual, lambda site, values: values)
    deviation = mlp_in.std(-1) + 1e-5 if rows == "layer_norm" else mlp_in.norm(dim=-1) / CHANNELS**0.5
    read = (model.encoders[1].weight[5] * dense.blocks[1].ln2.weight) @ model.decoders[0][0][:, 3]
    brought = (clean[source][..., 3] - means[source][3]) * read * norm_scale(residual)[..., 0] / deviation
    assert_close(clean[target][..., 5] - ablated[target][..., 5], brought, atol=1e-4, rtol=1e-4)
    others = torch.arange(FEATURES) != 5
    assert_close(clean[target][..., others], ablated[target][..., others], atol=1e-5, rtol=1e-5)


def test_a_skip_connection_is_nodes_that_are_linear_in_the_input():
    model, tokens = replaced(ReplacedMLPs, linear=CHANNELS), random_tokens()
    assert {site.size for site in model.sites if site.kind == "feature"} == {FEATURES + CHANNELS}
    features = record(model, tokens)["blocks.0.feature"]
    assert (features[..., :FEATURES] >= 0).all()
    assert (features[..., FEATURES:] < 0).any()
    state = model.advance(model.start(tokens), 0, lambda site, values: values)
    read = model.dense.mlp_input(0, state["residual"], lambda site, values: values)
    weight, bias = model.encoders[0].weight[FEATURES:], model.encoders[0].bias[FEATURES:]
    assert_close(features[..., FEATURES:], read @ weight.T + bias, atol=1e-5, rtol=1e-5)


def test_edges_into_the_channels_of_a_skip_connection_are_exact():
    model, tokens = replaced(ReplacedMLPs, linear=CHANNELS), random_tokens()
    parts, means = joined(model), means_of(model, tokens)
    source, target = "blocks.0.feature", "blocks.1.feature"
    order, at = edge_order(parts, source, target, target=FEATURES + 2, node=3)
    ablation = AblatedEdges.keeping(parts, order, len(order) - 1, means)
    clean, ablated = record(model, tokens), units(model, tokens, ablation)
    state = model.start(tokens)
    for stage in range(3):
        state = model.advance(state, stage, lambda site, values: values)
    weight = parts[at].connection.weight[FEATURES + 2, 3]
    brought = (clean[source][..., 3] - means[source][3]) * weight * norm_scale(state["residual"])[..., 0]
    change = (clean[target] - ablated[target])[..., FEATURES + 2]
    assert_close(change, brought, atol=1e-4, rtol=1e-4)
    assert torch.isfinite(run(model, tokens, ablation)).all()
