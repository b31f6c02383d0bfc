"""What must hold exactly for every dictionary method, whatever its weights (DESIGN: errors)."""

import pytest
import torch

from baselines.dictionary import Encoder
from baselines.lorsa.heads import SparseHeads
from baselines.lorsa.replacement import ReplacedAttention
from baselines.replaced_stream import ReplacedStream
from baselines.replacement import ReplacedMLPs
from benchmark.interventions.ablation import corpus_means, keep_only
from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites
from benchmark.model.interface import forward, record, run_stages, stage_count
from sparse_model.config import TransformerConfig
from sparse_model.transformer import Transformer

LAYERS, WIDTH, FEATURES, VOCABULARY = 3, 16, 24, 13
KINDS = ("sae", "transcoder", "clt", "lorsa")


def dense(linear_mlps=False):
    config = TransformerConfig(
        layers=LAYERS, d_model=WIDTH, activation_density=1.0, vocabulary=VOCABULARY, context=12, d_mlp=FEATURES
    )
    model = Transformer(config).initialise(torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("blocks") and ".W_" in name:
                parameter.mul_(8)
        for block in model.blocks:
            block.ln2.weight.copy_(torch.linspace(0.5, 1.5, WIDTH))
            if linear_mlps:
                block.b_in.fill_(30.0)  # so far from zero that GELU is the identity to the last bit
    return model.requires_grad_(False)


def replaced(kind, variant, model=None):
    model = dense() if model is None else model
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return 0.3 * torch.randn(*shape, generator=generator)

    encoders = [Encoder(draw(FEATURES, WIDTH), draw(FEATURES), k=6) for _ in range(LAYERS)]
    errors = [draw(WIDTH) for _ in range(LAYERS)]
    biases = [draw(WIDTH) for _ in range(LAYERS)]
    if kind == "sae":
        decoders = [[draw(WIDTH, FEATURES)] for _ in range(LAYERS)]
        return ReplacedStream(model, encoders, decoders, biases, errors, variant)
    if kind == "lorsa":
        circuits = [[(draw(16, WIDTH), draw(16)) for _ in range(2)] for _ in range(LAYERS)]
        heads = [
            SparseHeads(each.weight.data, each.bias.data, *own, groups=4, k=6)
            for each, own in zip(encoders, circuits, strict=True)
        ]
        return ReplacedAttention(model, heads, [[draw(WIDTH, FEATURES)] for _ in heads], biases, errors, variant)
    reach = [1 if kind == "transcoder" else LAYERS - layer for layer in range(LAYERS)]
    decoders = [[draw(WIDTH, FEATURES) for _ in range(targets)] for targets in reach]
    return ReplacedMLPs(model, encoders, decoders, biases, errors, variant)


@pytest.fixture
def tokens():
    return torch.randint(VOCABULARY, (4, 9), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_ablated_and_errors_available_is_the_dense_model(kind, tokens):
    model = replaced(kind, "errors_available")
    torch.testing.assert_close(forward(model, tokens), forward(dense(), tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", ["errors_ablated", "errors_available"])
def test_everything_ablated_depends_on_the_last_token_alone(kind, variant, tokens):
    model = replaced(kind, variant)
    means = corpus_means(model, tokens)
    empty = keep_only(Circuit.empty(node_sites(model, "unit")), means)
    same_end = tokens.clone()
    same_end[:, -1] = 5
    last = forward(model, same_end, empty)[:, -1]
    torch.testing.assert_close(last, last[:1].expand_as(last), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", ["errors_ablated", "errors_available"])
def test_running_on_from_a_stored_state_is_running_from_the_start(kind, variant, tokens):
    model = replaced(kind, variant)
    whole = forward(model, tokens)
    for stage in range(stage_count(model) + 1):
        state = run_stages(model, model.start(tokens), last=stage)
        torch.testing.assert_close(forward(model, tokens, state=state, stage=stage), whole, atol=0, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_hook_points_are_the_sites_and_the_cache_holds_their_values(kind, tokens):
    model = replaced(kind, "errors_available")
    _, cache = model.run_with_cache(tokens)
    values = record(model, tokens)
    assert set(values) == {site.name for site in model.sites}
    for name, seen in values.items():
        torch.testing.assert_close(cache[name], seen, atol=0, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_ablating_a_feature_changes_the_stream_by_its_decoder_times_its_change(kind, tokens):
    model = replaced(kind, "errors_available")
    name = "blocks.0.resid_post.feature" if kind == "sae" else "blocks.0.feature"
    decoder = model.decoders[0][0]
    feature = int(record(model, tokens)[name].sum((0, 1)).argmax())

    def ablate(site, values):
        if site.name != name:
            return values
        return torch.where(torch.arange(values.shape[-1]) == feature, 0.0, values)

    last = next(site.stage for site in model.sites if site.name == name) + 1
    before = run_stages(model, model.start(tokens), last=last)["residual"]
    after = run_stages(model, model.start(tokens), ablate, last=last)["residual"]
    change = -record(model, tokens)[name][..., feature, None] * decoder[:, feature]
    torch.testing.assert_close(after - before, change, atol=1e-5, rtol=1e-4)


def test_clt_that_predicts_the_mlps_exactly_ablates_alike_in_both_variants(tokens):
    model = dense(linear_mlps=True)
    encoders = [Encoder(block.W_in.clone(), block.b_in.clone(), k=FEATURES) for block in model.blocks]
    decoders = [
        [block.W_out.clone(), *[torch.zeros(WIDTH, FEATURES) for _ in range(LAYERS - layer - 1)]]
        for layer, block in enumerate(model.blocks)
    ]
    biases = [block.b_out.clone() for block in model.blocks]
    variants = [
        ReplacedMLPs(model, encoders, decoders, biases, [torch.zeros(WIDTH)] * LAYERS, variant)
        for variant in ("errors_ablated", "errors_available")
    ]

    def ablate(site, values):
        return torch.where(torch.arange(values.shape[-1]) == 3, 29.0, values) if "0.feature" in site.name else values

    first, second = (forward(each, tokens, ablate) for each in variants)
    torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-5)
    assert not torch.allclose(first, forward(model, tokens), atol=1e-3)


@pytest.mark.parametrize("kind", ["transcoder", "clt"])
def test_virtual_weight_between_features_is_read_times_gain_times_writes(kind):
    model = replaced(kind, "errors_ablated")
    weights = {(each.source, each.target): each.weight for each in model.connections("unit")}
    source, target = "blocks.0.feature", "blocks.2.feature"
    written = sum(weight for weight in model.decoders[0][:2])  # what layer 0 writes into layers 0 and 1
    gain = model.dense.blocks[2].ln2.weight
    torch.testing.assert_close(weights[source, target][7, 5], model.encoders[2].weight[7] @ (gain * written[:, 5]))


def test_boundaries_of_saes_are_joined_by_opaque_blocks_from_the_tokens_on_and_the_last_to_the_logits():
    connections = list(replaced("sae", "errors_available").connections("unit"))
    assert {each.target for each in connections if each.weight is not None} == {"logits"}
    assert len(connections) == 2 + 4 * (LAYERS - 1) + 2
    assert {each.block.name for each in connections if each.block} == {"blocks.0", "blocks.1", "blocks.2"}


@pytest.mark.parametrize("kind", KINDS)
def test_channel_graph_of_a_dictionary_names_the_choices(kind):
    with pytest.raises(ValueError, match="no graph 'channel'; choose from unit"):
        list(replaced(kind, "errors_ablated").connections("channel"))
