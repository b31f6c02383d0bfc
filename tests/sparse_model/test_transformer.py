import inspect
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from benchmark.model.graph import TERMINALS
from benchmark.model.interface import CircuitModel, forward, record, run_stages
from sparse_model.config import TransformerConfig
from sparse_model.transformer import Transformer, load_transformer

VOCABULARY, CONTEXT = 23, 12


def transformer(seed=0, **changes):
    settings = {"layers": 2, "d_model": 32, "vocabulary": VOCABULARY, "context": CONTEXT, **changes}
    model = Transformer(TransformerConfig(**settings)).initialise(torch.Generator().manual_seed(seed))
    with torch.no_grad():  # biases, sinks and positions begin at zero: move them, so that they are tested too
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 or name == "W_pos":
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name))) * 0.3)
            else:
                parameter.mul_(8)
    return model.requires_grad_(False)


def tokens(batch=3, length=CONTEXT, seed=1):
    return torch.randint(0, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(seed))


OPTIONS = [
    {"positional": positional, "sink": sink}
    for positional in ("none", "learned", "concatenated")
    for sink in (False, True)
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_without_options_it_equals_transformer_lens():
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    ours = transformer(activation_density=1.0, bigram=False)
    theirs = HookedTransformer(
        HookedTransformerConfig(
            n_layers=2,
            d_model=32,
            d_head=16,
            n_heads=2,
            d_mlp=128,
            d_vocab=VOCABULARY,
            n_ctx=CONTEXT,
            act_fn="gelu",
            normalization_type="RMS",
            eps=torch.finfo(torch.float32).eps,
        )
    )
    theirs.load_state_dict(as_transformer_lens(ours), strict=False)
    torch.testing.assert_close(ours(tokens()), theirs(tokens()), atol=1e-5, rtol=1e-5)


def as_transformer_lens(model):
    state = {"embed.W_E": model.W_E, "unembed.W_U": model.W_U.T, "unembed.b_U": torch.zeros(VOCABULARY)}
    state |= {"ln_final.w": model.ln_final.weight, "pos_embed.W_pos": torch.zeros(CONTEXT, 32)}
    for layer, block in enumerate(model.blocks):
        at = f"blocks.{layer}"
        state |= {f"{at}.ln1.w": block.ln1.weight, f"{at}.ln2.w": block.ln2.weight}
        for name in "QKV":
            weight, bias = getattr(block, f"W_{name}"), getattr(block, f"b_{name}")
            state[f"{at}.attn.W_{name}"] = weight.view(2, 16, 32).transpose(1, 2)
            state[f"{at}.attn.b_{name}"] = bias.view(2, 16)
        state |= {f"{at}.attn.W_O": block.W_O.T.reshape(2, 16, 32), f"{at}.attn.b_O": block.b_O}
        state |= {f"{at}.mlp.W_in": block.W_in.T, f"{at}.mlp.b_in": block.b_in}
        state |= {f"{at}.mlp.W_out": block.W_out.T, f"{at}.mlp.b_out": block.b_out}
    return state


@pytest.mark.parametrize("options", OPTIONS)
def test_it_is_a_circuit_model_whose_cache_has_the_sites_in_order(options):
    model = transformer(**options)
    logits, cache = model.run_with_cache(tokens())
    assert isinstance(model, CircuitModel)
    assert list(cache.keys()) == [site.name for site in model.sites]
    seen = record(model, tokens())
    for site in model.sites:
        assert cache[site.name].shape == (3, CONTEXT, site.size)
        assert torch.equal(cache[site.name], seen[site.name])
    assert torch.equal(logits, forward(model, tokens()))


@pytest.mark.parametrize("options", OPTIONS)
def test_running_on_from_a_stored_state_equals_running_from_the_start(options):
    model = transformer(**options)
    state = model.start(tokens())
    for stage in range(4):
        assert torch.equal(forward(model, tokens(), state=state, stage=stage), model(tokens()))
        before = {name: value.clone() for name, value in state.items()}
        following = run_stages(model, state, first=stage, last=stage + 1)
        assert all(torch.equal(state[name], before[name]) for name in state)
        state = following


def test_logits_at_asked_positions_are_those_of_the_whole_sequence():
    model, positions = transformer(sink=True), torch.tensor([[0, 5], [3, 3], [11, 2]])
    whole = model(tokens())
    asked = forward(model, tokens(), positions=positions)
    torch.testing.assert_close(asked, whole[torch.arange(3)[:, None], positions])


@pytest.mark.parametrize("options", OPTIONS)
def test_an_edit_at_every_site_takes_effect_there_and_nowhere_before(options):
    model = transformer(**options)
    clean, logits = record(model, tokens()), model(tokens())
    for index, edited in enumerate(model.sites):
        triple = tripled(edited)
        seen = record(model, tokens(), triple)
        assert not torch.allclose(forward(model, tokens(), triple), logits), edited
        assert torch.equal(seen[edited.name], clean[edited.name] * 3)
        assert all(torch.equal(seen[site.name], clean[site.name]) for site in model.sites[:index])


def tripled(edited):
    return lambda site, values: values * 3 if site == edited else values


def test_hooks_and_edits_at_a_site_are_the_same():
    model, name = transformer(), "blocks.0.v"
    hooked = model.run_with_hooks(tokens(), fwd_hooks=[(name, lambda values, hook: values * 2)])
    edited = forward(model, tokens(), lambda site, values: values * 2 if site.name == name else values)
    assert torch.equal(hooked, edited)


@pytest.mark.parametrize("options", OPTIONS)
def test_every_site_keeps_a_quarter_of_its_entries(options):
    model = transformer(**options)
    for name, values in record(model, tokens()).items():
        kept = (values != 0).sum(-1)
        assert (kept <= values.shape[-1] // 4).all(), name
        assert kept.float().mean() > 0.9 * (values.shape[-1] // 4), name


def test_only_the_named_sites_are_sparse():
    model = transformer(activation_sites=("v",))
    for name, values in record(model, tokens()).items():
        assert ((values == 0).float().mean() > 0.5) == name.endswith(".v"), name


def test_the_sink_is_one_more_key_whose_value_is_zero_and_whose_logit_is_learned():
    model = transformer(sink=True)
    q, k, v = torch.randn(3, 2, CONTEXT, 32, generator=torch.Generator().manual_seed(0))
    heads = [each.view(2, CONTEXT, 2, 16).transpose(1, 2) for each in (q, k, v)]
    keys, values = (F.pad(each, (0, 0, 1, 0)) for each in heads[1:])
    mask = torch.full((CONTEXT, CONTEXT), -math.inf).triu(1).repeat(1, 2, 1, 1)
    mask = torch.cat([model.blocks[0].sink.view(1, 2, 1, 1).expand(1, 2, CONTEXT, 1), mask], dim=-1)
    expected = F.scaled_dot_product_attention(heads[0], keys, values, attn_mask=mask)
    torch.testing.assert_close(model.attend(0, q, k, v), expected.transpose(1, 2).flatten(2))


def test_later_tokens_change_no_earlier_logits():
    model, first = transformer(sink=True, positional="learned"), tokens()
    second = first.clone()
    second[:, 6:] = (second[:, 6:] + 1) % VOCABULARY
    torch.testing.assert_close(model(first)[:, :6], model(second)[:, :6])
    assert not torch.allclose(model(first)[:, 6:], model(second)[:, 6:])


def test_the_bigram_table_is_added_to_the_logits_by_current_token():
    model = transformer()
    without = Transformer(model.config.model_copy(update={"bigram": False}))
    without.load_state_dict({name: value for name, value in model.state_dict().items() if name != "bigram"})
    torch.testing.assert_close(model(tokens()), without(tokens()) + model.bigram[tokens()])


def test_the_channel_graph_has_the_six_matrices_of_each_block():
    model = transformer()
    found = {(each.source, each.target): each.weight for each in model.connections("channel")}
    assert len(found) == 12
    for layer, block in enumerate(model.blocks):
        at = f"blocks.{layer}."
        for source, target, weight in (
            ("attn_in", "q", block.W_Q),
            ("attn_in", "k", block.W_K),
            ("attn_in", "v", block.W_V),
            ("v", "attn_out", block.W_O),
            ("mlp_in", "neuron", block.W_in),
            ("neuron", "mlp_out", block.W_out),
        ):
            assert torch.equal(found[at + source, at + target], weight)


@pytest.mark.parametrize("options", OPTIONS)
def test_every_connection_fits_its_sites(options):
    model = transformer(**options)
    sizes = {site.name: site.size for site in model.sites} | dict.fromkeys(TERMINALS, 1)
    for graph in ("channel", "unit"):
        for each in model.connections(graph):
            assert each.weight.shape == (sizes[each.target], sizes[each.source])


def test_an_unknown_graph_is_an_error_that_names_the_choices():
    with pytest.raises(ValueError, match="unknown graph 'token'; choose from channel, unit"):
        inspect.unwrap(Transformer.connections)(transformer(), "token")  # past the run-time check of the annotation


def test_gradients_at_density_one_are_those_of_plain_layers():
    model = transformer(layers=1, activation_density=1.0, bigram=False).requires_grad_(True)
    block, residual = model.blocks[0], torch.randn(2, 5, 32, requires_grad=True)
    plain = block.W_out @ F.gelu(
        block.W_in @ nn.functional.rms_norm(residual, (32,), block.ln2.weight).mT + block.b_in[:, None]
    )
    expected = torch.autograd.grad((plain.mT + block.b_out).square().sum(), [residual, block.W_in, block.b_out])
    found = model.mlp(0, model.mlp_input(0, residual, lambda site, values: values), lambda site, values: values)
    for ours, theirs in zip(
        torch.autograd.grad(found.square().sum(), [residual, block.W_in, block.b_out]), expected, strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_saved_transformer_is_loaded_for_evaluation_without_gradients(tmp_path):
    from sparse_model.training import save_transformer

    model = transformer(positional="concatenated", sink=True)
    save_transformer(model, tmp_path, curve=[])
    loaded = load_transformer(tmp_path)
    assert torch.equal(loaded(tokens()), model(tokens()))
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


@settings(max_examples=20)
@given(st.integers(1, CONTEXT), st.integers(1, 4))
def test_any_length_and_batch_runs_and_agrees_with_the_prefix_of_a_longer_one(length, batch):
    model = transformer(positional="learned")
    torch.testing.assert_close(model(tokens(batch)[:, :length]), model(tokens(batch))[:, :length], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("positional", ["learned", "concatenated"])
def test_a_sequence_longer_than_the_positions_is_an_error_with_both_lengths(positional):
    model = Transformer(TransformerConfig(vocabulary=9, context=4, d_model=16, positional=positional))
    with pytest.raises(ValueError, match="5 tokens are more than the context of 4 positions"):
        model(torch.zeros(1, 5, dtype=torch.int64))
