import math

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from tiny_dense import (
    CHANNELS,
    CONTEXT,
    LAYERS,
    random_corpus,
    random_dense,
    random_heads,
    random_lorsa,
    random_tokens,
)
from torch.testing import assert_close

from baselines.activations import Normaliser
from baselines.lorsa import LORSA, LorsaConfig
from baselines.lorsa.activations import attention_activations
from baselines.lorsa.coder import SparseAttentionCoder
from baselines.lorsa.files import load_heads, save_heads
from baselines.lorsa.heads import SparseHeads, mix
from baselines.lorsa.replacement import ReplacedAttention
from benchmark.files import CorruptFileError
from benchmark.metrics import fvu
from benchmark.model.graph import EMBEDDING, LOGITS
from benchmark.model.interface import forward, record, run_stages

CONFIG = LorsaConfig(features=24, k=6, qk_heads=4, tokens=80, batch=20)


def silent(*arguments):
    pass


def naive_pattern(queries, keys):
    later = torch.ones(len(queries), len(keys)).triu(1).bool()
    logits = (queries @ keys.T / math.sqrt(queries.shape[1])).masked_fill(later, -math.inf)
    return logits.softmax(-1)


@pytest.mark.parametrize("of_value", [2, 8, 11], ids=["narrower values", "equal", "wider values"])
def test_mixing_equals_three_naive_lines_and_so_do_its_gradients(of_value):
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(2, 7, 3 * 8, generator=generator, requires_grad=True) for _ in range(2))
    v = torch.randn(2, 7, 3 * of_value, generator=generator, requires_grad=True)
    naive = torch.stack(
        [
            torch.cat(
                [
                    naive_pattern(q[row, :, 8 * g : 8 * g + 8], k[row, :, 8 * g : 8 * g + 8])
                    @ v[row, :, of_value * g : of_value * (g + 1)]
                    for g in range(3)
                ],
                dim=1,
            )
            for row in range(2)
        ]
    )
    ours, weights = mix(q, k, v, 3), torch.randn(naive.shape, generator=generator)
    assert_close(ours, naive)
    expected = torch.autograd.grad((naive * weights).sum(), (q, k, v))
    for gradient, known in zip(torch.autograd.grad((ours * weights).sum(), (q, k, v)), expected, strict=True):
        assert_close(gradient, known, atol=1e-5, rtol=1e-4)


def test_as_many_heads_as_k_are_active_at_every_position_unless_fewer_are_positive():
    heads = random_heads(torch.Generator().manual_seed(0), features=40)
    rows = torch.randn(3, 9, CHANNELS, generator=torch.Generator().manual_seed(1))
    before, active = heads.before(rows), heads(rows)
    assert torch.equal((active != 0).sum(-1), (before > 0).sum(-1).clamp(max=5))
    assert (active != 0).sum(-1).max() == 5
    assert_close(active.sort(-1).values[..., -5:], before.topk(5).values.clamp(min=0).flip(-1))


def test_the_first_position_sees_itself_alone_and_later_rows_do_not_matter():
    heads, rows = random_heads(torch.Generator().manual_seed(0), features=12), torch.randn(2, 6, CHANNELS)
    assert_close(heads.before(rows)[:, 0], rows[:, 0] @ heads.weight.T + heads.bias, atol=1e-5, rtol=1e-5)
    other = torch.cat([rows[:, :4], torch.randn(2, 2, CHANNELS)], dim=1)
    assert_close(heads.before(other)[:, :4], heads.before(rows)[:, :4])


def exact(dense, variant):
    """A head for every channel of the dense values, all active at any sign, and one circuit for every dense head."""
    heads = [
        SparseHeads(
            block.W_V.clone(),
            block.b_V.clone(),
            (block.W_Q.clone(), block.b_Q.clone()),
            (block.W_K.clone(), block.b_K.clone()),
            groups=dense.config.heads,
            k=CHANNELS,
        )
        for block in dense.blocks
    ]
    for each in heads:
        each.negative = "kept"
    outputs, biases = [[block.W_O.clone()] for block in dense.blocks], [block.b_O.clone() for block in dense.blocks]
    return ReplacedAttention(dense, heads, outputs, biases, [torch.zeros(CHANNELS)] * LAYERS, variant)


def test_heads_that_predict_exactly_give_the_dense_logits_without_errors():
    dense, tokens = random_dense(), random_tokens()
    model = exact(dense, "errors_ablated")
    assert_close(forward(model, tokens), forward(dense, tokens), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("edited", ["feature", "q", "k"])
def test_editing_heads_that_predict_exactly_gives_the_same_logits_in_both_variants(edited):
    tokens = random_tokens()

    def edit(site, values):
        return values * torch.linspace(0.5, 1.5, site.size) if site.name == f"blocks.1.{edited}" else values

    first, second = (
        forward(exact(random_dense(), variant), tokens, edit) for variant in ("errors_ablated", "errors_available")
    )
    assert_close(first, second, atol=1e-4, rtol=1e-4)
    assert (first - forward(exact(random_dense(), "errors_ablated"), tokens)).abs().max() > 0.05


def test_an_edited_query_changes_the_stream_by_what_it_changes_in_the_heads():
    model, tokens = random_lorsa(random_dense(), "errors_available"), random_tokens()

    def edit(site, values):
        return values + 0.5 if site.name == "blocks.0.q" else values

    streams, heads = (
        [run_stages(model, model.start(tokens), each, last=1)["residual"] for each in (edit, lambda _, values: values)],
        [record(model, tokens, each)["blocks.0.feature"] for each in (edit, lambda _, values: values)],
    )
    change = (heads[0] - heads[1]) @ model.decoders[0][0].T
    assert change.abs().max() > 0.01
    assert_close(streams[0] - streams[1], change, atol=1e-5, rtol=1e-4)


def test_queries_keys_heads_errors_and_neurons_are_the_sites():
    model = random_lorsa(random_dense(), "errors_available")
    hooks = ("q", "k", "feature", "error", "neuron")
    assert [site.name for site in model.sites] == [
        f"blocks.{layer}.{hook}" for layer in range(LAYERS) for hook in hooks
    ]
    assert [site.stage for site in model.sites[:5]] == [0, 0, 0, 0, 1]
    assert model.averaged_sites == {f"blocks.{layer}.feature" for layer in range(LAYERS)}


def test_no_connection_is_opaque_without_errors_and_errors_hide_the_dense_attention():
    assert all(each.weight is not None for each in random_lorsa(random_dense(), "errors_ablated").connections("unit"))
    connections = list(random_lorsa(random_dense(), "errors_available").connections("unit"))
    into = [each for each in connections if each.target == "blocks.1.error"]
    before = [f"blocks.0.{hook}" for hook in ("neuron", "feature", "error")]
    assert {each.source for each in into} == {EMBEDDING, *before}
    assert {each.block.weights for each in into} == {4 * CHANNELS * CHANNELS}
    pairs = {(each.source, each.target) for each in connections}
    assert {("blocks.0.feature", "blocks.0.neuron"), ("blocks.0.neuron", "blocks.1.q")} <= pairs
    assert {("blocks.0.feature", LOGITS), (EMBEDDING, "blocks.0.feature")} <= pairs
    assert not any(source.endswith((".q", ".k")) for source, _ in pairs)


def normalisers(width, generator):
    return [Normaliser(torch.randn(width, generator=generator), 0.7) for _ in range(LAYERS)]


def small_coder(dense=None, config=CONFIG):
    generator = torch.Generator().manual_seed(1)
    sources, targets = normalisers(CHANNELS, generator), normalisers(CHANNELS, generator)
    return SparseAttentionCoder(config, dense or random_dense(), sources, generator), sources, targets


def test_query_key_circuits_begin_as_those_of_the_dense_heads_in_turn():
    dense, tokens = random_dense(), random_tokens()
    coder, sources, targets = small_coder(dense)
    rows = attention_activations(dense, tokens)["blocks.2.attn_in"]
    queries, known = coder.dictionary(sources, targets).encoders[2].queries(rows), record(dense, tokens)["blocks.2.q"]
    assert dense.config.heads == 2
    assert_close(queries, torch.cat([known, known], dim=-1), atol=1e-4, rtol=1e-4)


def test_values_and_outputs_begin_within_the_dense_head_of_their_circuit():
    dense = random_dense()
    coder, *_ = small_coder(dense)
    values, outputs = dense.blocks[0].W_V[8:16], dense.blocks[0].W_O[:, 8:16].T  # the second head: circuits 1 and 3
    for own, of_head in ((coder.W_V[0, 6:12], values), (coder.W_O[0, 18:24], outputs)):
        assert_close(own @ torch.linalg.pinv(of_head) @ of_head, own.detach(), atol=1e-4, rtol=1e-4)
        assert_close(own.norm(dim=1), torch.ones(6))


def test_heads_for_raw_activations_predict_what_the_coder_predicts():
    coder, sources, targets = small_coder()
    with torch.no_grad():
        coder.b_V.normal_(generator=torch.Generator().manual_seed(2))
        coder.b_O.normal_(generator=torch.Generator().manual_seed(3))
        coder.W_O.mul_(torch.linspace(0.5, 2, 24)[:, None])
    dictionary = coder.dictionary(sources, targets)
    rows = torch.randn(2, CONTEXT, CHANNELS, generator=torch.Generator().manual_seed(4))
    features = coder.features(1, coder.before(1, sources[1](rows)))
    given = dictionary.encoders[1](rows) @ dictionary.decoders[1][0].T + dictionary.biases[1]
    assert_close(targets[1](given), features @ coder.W_O[1] + coder.b_O[1], atol=1e-4, rtol=1e-4)


def test_dead_heads_learn_to_predict_what_is_missed_and_others_do_not_when_none_is_dead():
    coder, *_ = small_coder()
    generator = torch.Generator().manual_seed(5)
    inputs, targets = ([torch.randn(2, CONTEXT, CHANNELS, generator=generator) for _ in range(LAYERS)] for _ in "io")
    dead = torch.zeros(LAYERS, 24, dtype=torch.bool)
    dead[1, :2] = True
    with torch.no_grad():
        coder.W_O[1, :2] *= 1e-4  # too weak to be among the strongest
    coder.loss(inputs, targets, dead, 0).total.backward()
    assert coder.W_O.grad[1, :2].abs().sum() > 0
    coder.zero_grad()
    loss = coder.loss(inputs, targets, torch.zeros_like(dead), 0)
    loss.total.backward()
    assert coder.W_O.grad[1, :2].abs().sum() == 0
    assert loss.total.item() == pytest.approx(loss.error)


def test_a_revived_head_makes_good_half_of_what_is_missed_where_it_was_revived():
    coder, *_ = small_coder()
    generator = torch.Generator().manual_seed(6)
    inputs = [torch.randn(1, CONTEXT, CHANNELS, generator=generator) for _ in range(LAYERS)]
    missed = [torch.zeros(1, CONTEXT, CHANNELS) for _ in range(LAYERS)]
    missed[2][0, 4] = torch.randn(CHANNELS, generator=generator)  # the error is at one position
    dead = torch.zeros(LAYERS, 24, dtype=torch.bool)
    dead[2, 13] = True
    changed = coder.revive(dead, inputs, missed, generator)
    written = coder.before(2, inputs[2])[0, 4, 13] * coder.W_O[2, 13]
    assert_close(written, missed[2][0, 4] / 2, atol=1e-5, rtol=1e-4)
    assert [parameter is own for (parameter, _), own in zip(changed, (coder.W_V, coder.b_V, coder.W_O), strict=True)]


def trained(folder, **changes):
    folder.mkdir(exist_ok=True)
    settings = {"features": 32, "k": 6, "qk_heads": 4, "tokens": 200 * 320, "batch": 320, "measured_tokens": 640}
    config, needed = LorsaConfig(**{**settings, **changes}), {"dense": random_dense()}
    return LORSA.run_train(random_corpus(), config, 0, needed, folder, silent), needed


def test_training_lowers_fvu_and_the_model_loads_with_its_quality(tmp_path):
    facts, needed = trained(tmp_path / "long")
    short, _ = trained(tmp_path / "short", tokens=320)
    assert facts.dictionary["fvu"] < 0.6 * short.dictionary["fvu"] < 0.6
    assert set(facts.dictionary) == {"fvu", "l0", "dead_fraction", "loss_increase", "loss_recovered"}
    assert 0 < facts.dictionary["l0"] <= 6
    model = LORSA.run_load(tmp_path / "long", "errors_available", needed)
    tokens = random_tokens()
    assert_close(forward(model, tokens), forward(needed["dense"], tokens), atol=1e-5, rtol=1e-5)
    found = attention_activations(needed["dense"], tokens)
    heads = model.encoders[0](found["blocks.0.attn_in"])
    predicted = heads @ model.decoders[0][0].T + model.biases[0]
    assert fvu(found["blocks.0.attn_out"].flatten(0, 1), predicted.flatten(0, 1)) < 1


def test_files_read_back_are_those_that_were_written_and_damaged_ones_are_named(tmp_path):
    coder, sources, targets = small_coder()
    written = coder.dictionary(sources, targets)
    save_heads(written, tmp_path)
    read, rows = load_heads(tmp_path), torch.randn(1, 5, CHANNELS)
    for layer in range(LAYERS):
        assert_close(read.encoders[layer](rows), written.encoders[layer](rows), atol=0, rtol=0)
        assert_close(read.decoders[layer][0], written.decoders[layer][0].detach(), atol=0, rtol=0)
    path = tmp_path / "blocks.1.attn_out.safetensors"
    weights = load_file(path)
    for name, other in (("W_K", weights["W_K"][:-1]), ("b_Q", weights["b_Q"] * math.nan), ("W_V", weights["W_V"][1:])):
        save_file({**weights, name: other.contiguous()}, path)
        with pytest.raises(CorruptFileError, match=r"blocks\.1\.attn_out\.safetensors"):
            load_heads(tmp_path)


def test_heads_that_circuits_do_not_share_evenly_are_refused_with_the_choices():
    said = "features 30 is not a multiple of qk_heads 8; choose 24 or 32 features"
    with pytest.raises(ValidationError, match=said):
        LorsaConfig(features=30, k=2)


def test_a_batch_that_is_no_whole_number_of_windows_is_refused_before_anything_is_trained(tmp_path):
    said = f"batch 128 is not a multiple of the {CONTEXT} positions of a window; choose 120 or 130"
    with pytest.raises(ValueError, match=said):
        trained(tmp_path, batch=128)
    assert not list(tmp_path.iterdir())
