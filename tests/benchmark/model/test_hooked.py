"""A TransformerLens model gives its own logits as a circuit model, and its edges are ablated exactly."""

import pytest
import torch
from emulated_device import emulated_device
from torch.testing import assert_close
from transformer_lens import HookedTransformer, HookedTransformerConfig

from benchmark.discovery.edge_attribution import source_means
from benchmark.interventions.ablation import corpus_means
from benchmark.interventions.edge_ablation import AblatedEdges, kept_ends
from benchmark.model.circuit import Circuit
from benchmark.model.devices import choose_device, device_of, placed
from benchmark.model.graph import node_sites
from benchmark.model.hooked import HookedCircuitModel
from benchmark.model.interface import EdgeAblatable, forward, record

pytestmark = pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated:DeprecationWarning")

TOKENS = torch.randint(50, (3, 9), generator=torch.Generator().manual_seed(1))


def hooked(**changes):
    torch.manual_seed(0)
    shape = {"n_layers": 2, "d_model": 12, "n_heads": 3, "d_head": 4, "n_ctx": 16, "d_vocab": 50, "act_fn": "gelu"}
    return HookedTransformer(HookedTransformerConfig(**{**shape, "normalization_type": "RMS", **changes}))


OPTIONS = [{}, {"positional_embedding_type": "rotary", "rotary_dim": 4}, {"attn_only": True, "act_fn": None}]


@pytest.mark.parametrize("changes", OPTIONS)
def test_nothing_edited_gives_the_models_own_logits(changes):
    model = hooked(**changes)
    assert_close(forward(HookedCircuitModel(model), TOKENS), model(TOKENS), atol=1e-5, rtol=1e-5)


def test_logits_are_made_at_the_asked_positions():
    model = hooked()
    positions = torch.tensor([[2], [8], [0]])
    asked = forward(HookedCircuitModel(model), TOKENS, positions=positions)
    assert_close(asked[:, 0], model(TOKENS)[torch.arange(3), positions[:, 0]], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("changes", OPTIONS)
def test_an_ablated_edge_moves_its_target_by_the_virtual_weight_times_the_sources_distance_from_its_mean(changes):
    model = HookedCircuitModel(hooked(**changes))
    assert isinstance(model, EdgeAblatable)
    whole = Circuit.whole(node_sites(model, "unit"))
    parts = [each for each in (kept_ends(one, whole) for one in model.connections("unit")) if each is not None]
    means = {**corpus_means(model, TOKENS), **source_means(model, TOKENS)}
    sizes = [len(each.targets) * len(each.sources) for each in parts]
    chosen = next(index for index, each in enumerate(parts) if each.pair == ("blocks.0.v", "blocks.1.q"))
    order = torch.cat([torch.arange(sum(sizes)).roll(-sum(sizes[:chosen]))[1:], torch.tensor([sum(sizes[:chosen])])])
    ablation = AblatedEdges.keeping(parts, order, sum(sizes) - 1, means)
    clean, moved = record(model, TOKENS), {}

    def watch(site, values):
        moved[site.name] = values
        return values

    residual = model.model.run_with_cache(TOKENS)[1]["blocks.1.hook_resid_pre"]
    forward(model, TOKENS, watch, ablated_edges=ablation)
    scale = torch.rsqrt(residual.square().mean(-1) + model.model.cfg.eps)
    z = model.model.run_with_cache(TOKENS)[1]["blocks.0.attn.hook_z"].flatten(2)
    weight = parts[chosen].connection.weight
    expected = scale * weight[0, 0] * (z[..., 0] - means["blocks.0.v"][0])
    difference = clean["blocks.1.q"] - moved["blocks.1.q"]
    assert_close(difference[..., 0], expected, atol=1e-5, rtol=1e-4)
    assert_close(difference[..., 1:], torch.zeros_like(difference[..., 1:]), atol=1e-6, rtol=0)


def test_where_every_edge_is_kept_the_logits_stay():
    model = HookedCircuitModel(hooked())
    whole = Circuit.whole(node_sites(model, "unit"))
    parts = [each for each in (kept_ends(one, whole) for one in model.connections("unit")) if each is not None]
    means = {**corpus_means(model, TOKENS), **source_means(model, TOKENS)}
    count = sum(len(each.targets) * len(each.sources) for each in parts)
    nothing = AblatedEdges.keeping(parts, torch.arange(count), count, means)
    assert_close(forward(model, TOKENS, ablated_edges=nothing), forward(model, TOKENS), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"normalization_type": "LN"}, "normalization 'LN'"),
        ({"gated_mlp": True}, "a gated MLP"),
        ({"n_key_value_heads": 1}, "grouped-query attention"),
        ({"parallel_attn_mlp": True}, "parallel attention and MLP"),
        ({"positional_embedding_type": "shortformer"}, "positions 'shortformer'"),
    ],
)
def test_what_cannot_be_ablated_exactly_is_refused_by_name(changes, part):
    with pytest.raises(ValueError, match=f"cannot be ablated exactly: it has {part}"):
        HookedCircuitModel(hooked(**changes))


@pytest.mark.parametrize("changes", OPTIONS[:2])
def test_it_moves_to_another_number_type_and_with_the_chosen_device(changes):
    expected = forward(HookedCircuitModel(hooked(**changes)), TOKENS)
    assert forward(HookedCircuitModel(hooked(**changes)).to(torch.bfloat16), TOKENS).dtype == torch.bfloat16
    with emulated_device() as device:
        choose_device(str(device))
        try:
            moved = placed(HookedCircuitModel(hooked(**changes)))
        finally:
            choose_device("cpu")
        assert device_of(moved) == device
        assert_close(forward(moved, TOKENS).cpu(), expected, rtol=1e-4, atol=1e-4)
