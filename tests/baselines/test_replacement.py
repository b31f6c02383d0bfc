from itertools import pairwise

import pytest
import torch
from tiny_dense import (
    CHANNELS,
    LAYERS,
    random_clt,
    random_dense,
    random_lorsa,
    random_saes,
    random_tokens,
    random_transcoders,
)
from torch.testing import assert_close

from baselines.dictionary import Encoder
from benchmark.model.graph import EMBEDDING, LOGITS, TERMINALS
from benchmark.model.interface import Site, forward, record, stage_count
from sparse_model.transformer import RMSNorm

REPLACED = pytest.mark.parametrize("replaced", [random_transcoders, random_clt, random_saes, random_lorsa])
VARIANTS = pytest.mark.parametrize("variant", ["errors_ablated", "errors_available"])


@REPLACED
@pytest.mark.parametrize("settings", [{}, {"sink": True}, {"positional": "learned"}])
def test_nothing_ablated_and_errors_available_gives_the_dense_models_logits(replaced, settings):
    dense, tokens = random_dense(**settings), random_tokens()
    assert_close(forward(replaced(dense, "errors_available"), tokens), forward(dense, tokens), atol=1e-5, rtol=1e-5)


def test_transcoders_of_a_model_with_concatenated_positions_give_its_logits():
    dense, tokens = random_dense(positional="concatenated", d_positional=4), random_tokens()
    model = random_clt(dense, "errors_available")
    assert_close(forward(model, tokens), forward(dense, tokens), atol=1e-5, rtol=1e-5)
    widths = {tuple(each.weight.shape) for each in model.connections("unit") if each.weight is not None}
    ends = {(1, 12), (1, CHANNELS), (12, 1), (CHANNELS, 1)}
    assert widths == {(a, b) for a in (12, CHANNELS) for b in (12, CHANNELS)} | ends


@REPLACED
def test_an_error_of_one_layer_changed_by_hand_changes_the_logits(replaced):
    dense, tokens = random_dense(), random_tokens()
    model = replaced(dense, "errors_available")
    moved = forward(model, tokens, lambda site, values: values + 1 if site.kind == "error" else values)
    assert (moved - forward(dense, tokens)).abs().max() > 0.1


@REPLACED
@VARIANTS
def test_everything_ablated_gives_logits_that_depend_on_the_last_token_alone(replaced, variant):
    model = replaced(random_dense(), variant)
    tokens = random_tokens(rows=6)
    tokens[:, -1] = 5
    constant = {site.name: torch.randn(site.size, generator=torch.Generator().manual_seed(4)) for site in model.sites}
    last = forward(model, tokens, lambda site, values: constant[site.name].expand_as(values))[:, -1]
    assert_close(last, last[:1].expand_as(last), atol=1e-5, rtol=1e-5)
    tokens[:, -1] = 6
    other = forward(model, tokens, lambda site, values: constant[site.name].expand_as(values))[:, -1]
    assert (other - last).abs().max() > 0.01


@REPLACED
def test_a_hook_acts_like_an_edit(replaced):
    model, tokens = replaced(random_dense(), "errors_available"), random_tokens()
    site = next(site for site in model.sites if site.kind == "feature")
    hooked = model.run_with_hooks(tokens, fwd_hooks=[(site.name, lambda values, hook: values * 0)])
    assert_close(hooked, forward(model, tokens, lambda at, values: values * 0 if at.name == site.name else values))


@VARIANTS
def test_sites_of_replaced_mlps_are_attention_features_and_errors(variant):
    model = random_clt(random_dense(), variant)
    errors = ("error",) if variant == "errors_available" else ()
    expected = [f"blocks.{layer}.{hook}" for layer in range(LAYERS) for hook in ("q", "k", "v", "feature", *errors)]
    assert [site.name for site in model.sites] == expected
    assert [site.stage for site in model.sites] == sorted(site.stage for site in model.sites)
    assert stage_count(model) == 2 * LAYERS


def test_sites_of_a_replaced_stream_lie_at_the_mlp_stages():
    model = random_saes(random_dense(), "errors_available")
    assert [(site.name, site.kind, site.stage) for site in model.sites[:2]] == [
        ("blocks.0.resid_post.feature", "feature", 1),
        ("blocks.0.resid_post.error", "error", 1),
    ]
    assert len(model.sites) == 2 * LAYERS


@pytest.mark.parametrize("replaced", [random_transcoders, random_clt, random_lorsa])
@VARIANTS
def test_a_virtual_weight_is_the_change_at_the_target_when_the_source_moves_by_one(replaced, variant, monkeypatch):
    """With the norms' scales and the nonlinearities left out, everything but the source held, at the only position."""
    monkeypatch.setattr(RMSNorm, "forward", lambda self, values: values * self.weight)
    monkeypatch.setattr(Encoder, "fire", lambda self, before: before)
    monkeypatch.setattr(torch.nn.functional, "gelu", lambda before: before)
    model, tokens = replaced(random_dense(), variant).double(), random_tokens(rows=1)[:, :1]
    clean = record(model, tokens)
    connections = [each for each in model.connections("unit") if each.weight is not None]
    connections = [each for each in connections if not {each.source, each.target} & set(TERMINALS)]
    for source in {each.source for each in connections}:
        arrived = {}

        def hold(site: Site, values: torch.Tensor, source=source, arrived=arrived) -> torch.Tensor:
            arrived[site.name] = values
            moved = clean[site.name].clone()
            if site.name == source:
                moved[..., 3] += 1
            return moved

        forward(model, tokens, hold)
        for connection in connections:
            if connection.source == source:
                change = (arrived[connection.target] - clean[connection.target])[0, 0]
                assert_close(change, connection.weight[:, 3], atol=1e-9, rtol=1e-9)


def test_cross_layer_features_reach_later_layers_through_all_their_decoders():
    model = random_clt(random_dense(), "errors_ablated")
    weights = {(each.source, each.target): each.weight for each in model.connections("unit")}
    read = model.encoders[2].weight * model.dense.blocks[2].ln2.weight
    expected = read @ (model.decoders[0][0] + model.decoders[0][1])
    assert_close(weights["blocks.0.feature", "blocks.2.feature"], expected)
    assert ("blocks.1.feature", "blocks.1.feature") not in weights
    assert ("blocks.0.v", "blocks.0.feature") in weights


def test_edges_into_an_error_are_opaque_and_hide_the_mlps_weights():
    model = random_clt(random_dense(), "errors_available")
    into = [each for each in model.connections("unit") if each.target == "blocks.1.error"]
    assert {each.source for each in into} == {
        EMBEDDING,
        *(f"blocks.{layer}.{hook}" for layer, hook in [(0, "v"), (0, "feature"), (0, "error"), (1, "v")]),
    }
    assert {each.block.weights for each in into} == {2 * 4 * CHANNELS * CHANNELS}
    assert {each.block.name for each in into} == {"blocks.1.mlp"}


def test_neighbouring_boundaries_of_saes_are_joined_by_the_block_between_them():
    connections = list(random_saes(random_dense(), "errors_available").connections("unit"))
    opaque = [each for each in connections if each.weight is None]
    assert len(opaque) == 2 + 4 * (LAYERS - 1)
    assert {each.block.weights for each in opaque} == {(4 + 2 * 4) * CHANNELS * CHANNELS}
    alone = list(random_saes(random_dense(), "errors_ablated").connections("unit"))
    features = [f"blocks.{layer}.resid_post.feature" for layer in range(LAYERS)]
    assert [(each.source, each.target) for each in alone] == list(pairwise([EMBEDDING, *features, LOGITS]))


@REPLACED
def test_weight_to_the_logits_is_the_root_mean_square_change_when_the_source_moves_by_one(replaced, monkeypatch):
    monkeypatch.setattr(RMSNorm, "forward", lambda self, values: values * self.weight)
    model, tokens = replaced(random_dense(), "errors_available").double(), random_tokens(rows=1)[:, :1]
    clean, before = record(model, tokens), forward(model, tokens)
    for connection in model.connections("unit"):
        if connection.target == LOGITS:

            def move(site: Site, values: torch.Tensor, source=connection.source) -> torch.Tensor:
                moved = clean[site.name].clone()
                moved[..., 3] += site.name == source
                return moved

            change = (forward(model, tokens, move) - before)[0, 0]
            assert_close(connection.weight[0, 3], change.square().mean().sqrt(), atol=1e-9, rtol=1e-9)


def test_weight_from_the_embeddings_is_the_root_mean_square_read_over_the_vocabulary():
    model = random_clt(random_dense(), "errors_ablated")
    weights = {each.target: each.weight for each in model.connections("unit") if each.source == EMBEDDING}
    read = model.encoders[1].weight * model.dense.blocks[1].ln2.weight
    tokens = torch.stack([model.dense.W_E[token] @ read[5] for token in range(len(model.dense.W_E))])
    assert_close(weights["blocks.1.feature"][5, 0], tokens.square().mean().sqrt())
    assert set(weights) == {site.name for site in model.sites}


@REPLACED
def test_a_graph_or_variant_that_does_not_exist_is_refused_with_the_choices(replaced):
    with pytest.raises(ValueError, match="no graph 'channel'; choose from unit"):
        replaced(random_dense(), "errors_ablated").connections("channel")
    with pytest.raises(ValueError, match="'native'; choose from errors_ablated, errors_available"):
        replaced(random_dense(), "native")


@REPLACED
def test_nothing_is_trainable_and_gradients_reach_the_edits(replaced):
    model, tokens = replaced(random_dense(), "errors_available"), random_tokens()
    assert not any(parameter.requires_grad for parameter in (*model.parameters(), *model.dense.parameters()))
    gain = torch.ones((), requires_grad=True)
    forward(model, tokens, lambda site, values: values * gain).square().mean().backward()
    assert gain.grad.abs() > 0


@REPLACED
def test_the_dense_model_moves_along_and_keeps_its_own_hook_names(replaced):
    dense = random_dense()
    model = replaced(dense, "errors_available").double()
    assert dense.W_E.dtype == torch.float64
    assert forward(model, random_tokens()).dtype == torch.float64
    assert "blocks.0.attn_in" in dense.hook_dict
    assert dense.hook_dict["blocks.0.attn_in"].name == "blocks.0.attn_in"
