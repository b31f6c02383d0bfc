"""Dictionaries in the place of layers of TransformerLens models."""

import json

import pytest
import torch
from test_edge_ablation import edge_order, joined, means_of, units
from test_saved import write_sae
from tiny_dense import random_corpus, random_dense, random_encoder
from torch.testing import assert_close
from transformer_lens import HookedTransformer, HookedTransformerConfig

from baselines.activations import activations
from baselines.base import ReplaceableModel
from baselines.dictionary import Dictionary, Encoder
from baselines.hooked_base import HookedBase
from baselines.replaced_stream import ReplacedStream
from baselines.replacement import ReplacedMLPs, dense_of
from baselines.saved import SAVED_SAE, SavedConfig
from benchmark.interventions.edge_ablation import AblatedEdges
from benchmark.model.hooked import HookedCircuitModel
from benchmark.model.interface import forward, record

pytestmark = pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated:DeprecationWarning")

CHANNELS, LAYERS, FEATURES = 16, 3, 12

ARCHITECTURES = {
    "layer norms": {"normalization_type": "LN", "positional_embedding_type": "standard", "act_fn": "gelu"},
    "folded layer norms": {
        "normalization_type": "LNPre",
        "positional_embedding_type": "standard",
        "act_fn": "gelu_new",
    },
    "llama": {
        "normalization_type": "RMS",
        "positional_embedding_type": "rotary",
        "rotary_dim": 8,
        "act_fn": "silu",
        "gated_mlp": True,
        "n_key_value_heads": 1,
    },
    "no norms": {"normalization_type": None, "positional_embedding_type": "standard", "act_fn": "relu"},
    "norms on both sides": {
        "normalization_type": "RMS",
        "positional_embedding_type": "rotary",
        "rotary_dim": 8,
        "act_fn": "gelu",
        "gated_mlp": True,
        "use_normalization_before_and_after": True,
    },
}
ALL = pytest.mark.parametrize("name", ARCHITECTURES)


def hooked(name, **changes):
    sizes = {"n_layers": LAYERS, "d_model": CHANNELS, "n_ctx": 10, "d_head": 8, "n_heads": 2, "d_vocab": 24}
    sizes |= {"d_mlp": 20, "seed": 0, "device": "cpu"}
    cfg = HookedTransformerConfig(**{**sizes, **ARCHITECTURES[name], **changes})
    model = HookedTransformer(cfg)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.normal_(1.0 if key.endswith(".w") else 0.0, 0.3, generator=generator)
    return model


def tokens():
    return torch.randint(24, (3, 10), generator=torch.Generator().manual_seed(3))


def replaced(kind, base, variant="errors_available"):
    generator = torch.Generator().manual_seed(1)
    encoders = [random_encoder(generator, FEATURES, CHANNELS) for _ in range(LAYERS)]
    count = LAYERS if kind is ReplacedMLPs else 1
    decoders = [
        [0.1 * torch.randn(CHANNELS, FEATURES, generator=generator) for _ in range(min(count, LAYERS - layer))]
        for layer in range(LAYERS)
    ]
    biases = [torch.randn(CHANNELS, generator=generator) for _ in range(LAYERS)]
    return kind.of(Dictionary(encoders, decoders, biases), base, [torch.zeros(CHANNELS)] * LAYERS, variant)


@ALL
def test_activations_are_those_of_transformer_lens(name):
    model = hooked(name)
    _, cache = model.run_with_cache(tokens())
    found = activations(HookedBase(model), tokens())
    for layer in range(LAYERS):
        for ours, theirs in (("resid_post", "hook_resid_post"), ("mlp_out", "hook_mlp_out")):
            assert_close(found[f"blocks.{layer}.{ours}"], cache[f"blocks.{layer}.{theirs}"], atol=1e-5, rtol=1e-5)
        if name in ("folded layer norms", "no norms"):
            known = cache[f"blocks.{layer}." + ("hook_resid_mid" if name == "no norms" else "ln2.hook_normalized")]
            assert_close(found[f"blocks.{layer}.mlp_in"], known, atol=1e-5, rtol=1e-5)


@ALL
@pytest.mark.parametrize("kind", [ReplacedMLPs, ReplacedStream])
def test_with_errors_available_it_is_the_model_itself(name, kind):
    model = hooked(name)
    expected = model(tokens())
    assert_close(forward(replaced(kind, HookedBase(model)), tokens()), expected, atol=1e-4, rtol=1e-4)


@ALL
def test_no_ablated_edge_changes_nothing(name):
    model = replaced(ReplacedMLPs, HookedBase(hooked(name)), "errors_ablated")
    parts = joined(model)
    every = sum(len(each.targets) * len(each.sources) for each in parts)
    ablation = AblatedEdges.keeping(parts, torch.arange(every), every, means_of(model, tokens()))
    clean = forward(model, tokens())
    assert_close(forward(model, tokens(), ablated_edges=ablation), clean, atol=1e-4, rtol=1e-4)


@ALL
def test_an_ablated_edge_is_what_its_source_brings_through_the_norm(name, monkeypatch):
    monkeypatch.setattr(Encoder, "_fire", lambda self, before: before)
    base = HookedBase(hooked(name))
    model = replaced(ReplacedMLPs, base, "errors_ablated")
    parts, means = joined(model), means_of(model, tokens())
    source, target = "blocks.0.feature", "blocks.1.feature"
    order, _ = edge_order(parts, source, target, target=5, node=3)
    ablated = units(model, tokens(), AblatedEdges.keeping(parts, order, len(order) - 1, means))
    clean = record(model, tokens())
    state = model.start(tokens())
    for stage in range(3):
        state = model.advance(state, stage, lambda site, values: values)
    norm = base._sublayers[3].norm
    change = (clean[source][..., 3] - means[source][3])[..., None] * model.decoders[0][0][:, 3]
    factor = norm.scale(state["residual"])
    moved = change - change.mean(-1, keepdim=True) if norm.centred else change
    gain = getattr(norm.module, "w", torch.ones(CHANNELS))
    brought = (moved * gain * (1 if factor is None else factor)) @ model.encoders[1].weight[5]
    assert_close(clean[target][..., 5] - ablated[target][..., 5], brought, atol=1e-4, rtol=1e-4)
    others = torch.arange(FEATURES) != 5
    assert_close(clean[target][..., others], ablated[target][..., others], atol=1e-4, rtol=1e-4)


def test_both_kinds_of_models_can_have_their_layers_replaced():
    assert isinstance(random_dense(), ReplaceableModel)
    assert isinstance(dense_of({"hooked": HookedCircuitModel(hooked("llama"))}), ReplaceableModel)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"attn_only": True}, "no MLPs"),
        ({"parallel_attn_mlp": True}, "parallel attention and MLP"),
        ({"positional_embedding_type": "shortformer"}, "positions 'shortformer'"),
    ],
)
def test_what_cannot_be_replaced_layer_by_layer_is_named(changes, part):
    with pytest.raises(ValueError, match=f"layers of the HookedTransformer cannot be replaced: it has {part}"):
        HookedBase(hooked("layer norms", **changes))


def test_it_moves_to_double_precision_with_its_dictionary():
    model = replaced(ReplacedMLPs, HookedBase(hooked("llama"))).double()
    assert forward(model, tokens()).dtype == torch.float64


def test_a_saved_sae_is_scored_on_a_model_of_transformer_lens(tmp_path):
    for layer in range(LAYERS):
        write_sae(tmp_path / "source" / str(layer), f"blocks.{layer}.hook_resid_post")
    needed = {"hooked": HookedCircuitModel(hooked("layer norms"))}
    config = SavedConfig(path=str(tmp_path / "source"), measured_tokens=200)
    (tmp_path / "artifact").mkdir()
    facts = SAVED_SAE.run_train(random_corpus(), config, 0, needed, tmp_path / "artifact", lambda *_: None)
    assert facts.dictionary["l0"] == pytest.approx(3, abs=0.5)
    assert facts.bigram_parameters == 0
    quality = json.loads((tmp_path / "artifact" / "quality.json").read_text())
    assert list(quality["layers"]) == [f"blocks.{layer}.resid_post" for layer in range(LAYERS)]
    model = SAVED_SAE.run_load(tmp_path / "artifact", "errors_available", needed)
    assert_close(forward(model, tokens()), hooked("layer norms")(tokens()), atol=1e-4, rtol=1e-4)
