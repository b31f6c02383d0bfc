import json
import math

import pytest
import torch
import torch.nn.functional as F

from sparse_model.config import TransformerConfig
from sparse_model.released.checkpoint import config_of, load_released
from sparse_model.released.config import released_config, unknown_keys

VOCABULARY, BLOCK, LAYERS, WIDTH, HEADS, MLP, POSITION = 29, 10, 2, 32, 2, 64, 8

SETTINGS = {
    "block_size": BLOCK,
    "vocab_size": VOCABULARY,
    "n_layer": LAYERS,
    "n_head": HEADS,
    "d_head": 16,
    "d_model": WIDTH,
    "d_mlp": MLP,
    "bias": True,
    "rms_norm": True,
    "activation_type": "gelu",
    "residual_activation_type": "identity",
    "afrac": 0.25,
    "afrac_loctypes": "attn_in,attn_out,mlp_in,mlp_out,mlp_neuron,attn_v,attn_k,attn_q",
    "tied_unembed": False,
    "enable_bigram_table": True,
    "learnable_bigram_table": True,
    "bigram_table_rank": None,
    "d_pos_emb": POSITION,
    "sink": True,
    "flash": True,
}
OPTIONS = [
    {},
    {"sink": False},
    {"d_pos_emb": None, "sink": False},
    {"afrac": None, "enable_bigram_table": False},
    {"afrac": 0.5, "sink": False, "enable_bigram_table": False},
    {"d_pos_emb": None},
    {"afrac_loctypes": "attn_in,attn_out,mlp_in,mlp_out,mlp_neuron,attn_v", "afrac": 0.125},
]


def checkpoint(settings):
    """Random weights under the released names."""
    generator, read = torch.Generator().manual_seed(0), WIDTH + (settings["d_pos_emb"] or 0)

    def draw(*shape):
        return torch.randn(shape, generator=generator) * 0.3

    vocabulary = settings["vocab_size"]
    weights = {"transformer.wte.weight": draw(vocabulary, WIDTH), "lm_head.weight": draw(vocabulary, WIDTH)}
    weights["transformer.wpe.weight"] = draw(settings["block_size"], settings["d_pos_emb"] or WIDTH)
    weights |= {"transformer.ln_f.weight": 1 + draw(WIDTH), "final_logits_bias": draw(vocabulary)}
    if settings["enable_bigram_table"]:
        weights["bigram_table"] = draw(vocabulary, vocabulary)
    for layer in range(LAYERS):
        at = f"transformer.h.{layer}."
        weights |= {f"{at}ln_1.weight": 1 + draw(WIDTH), f"{at}ln_2.weight": 1 + draw(WIDTH)}
        for name, target, source in (
            ("attn.c_attn", 3 * WIDTH, read),
            ("attn.c_proj", WIDTH, WIDTH),
            ("mlp.c_fc", MLP, read),
            ("mlp.c_proj", WIDTH, MLP),
        ):
            weights |= {f"{at}{name}.weight": draw(target, source), f"{at}{name}.bias": draw(target)}
        if settings["sink"]:
            weights[f"{at}attn.attn_imp.sink_logit"] = draw(HEADS)
        if settings["d_pos_emb"]:
            weights |= {f"{at}ln_p1.weight": 1 + draw(POSITION), f"{at}ln_p2.weight": 1 + draw(POSITION)}
    return weights


def logits(settings, weights, tokens):
    """The released architecture in a few lines, one sequence at a time, from the names in the checkpoint."""

    def sparse(values, place):
        if settings["afrac"] is None or place not in settings["afrac_loctypes"].split(","):
            return values
        threshold = values.abs().sort(descending=True).values[:, int(settings["afrac"] * values.shape[1]) - 1]
        return torch.where(values.abs() >= threshold[:, None], values, 0)

    def norm(values, gain):
        return values / (values.square().mean(1, keepdim=True) + torch.finfo(torch.float32).eps).sqrt() * gain

    def apply(name, values):
        return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def read(at, number, place):
        values = norm(x, weights[f"{at}ln_{number}.weight"])
        if settings["d_pos_emb"]:
            values = torch.cat([values, norm(positions, weights[f"{at}ln_p{number}.weight"])], 1)
        return sparse(values, place)

    x, positions = weights["transformer.wte.weight"][tokens], weights["transformer.wpe.weight"][: len(tokens)]
    if not settings["d_pos_emb"]:
        x = x + positions
    for layer in range(LAYERS):
        at = f"transformer.h.{layer}."
        q, k, v = apply(f"{at}attn.c_attn", read(at, 1, "attn_in")).split(WIDTH, 1)
        q, k, v = sparse(q, "attn_q"), sparse(k, "attn_k"), sparse(v, "attn_v")
        heads = []
        for head in range(HEADS):
            one = slice(16 * head, 16 * head + 16)
            weight = torch.exp(q[:, one] @ k[:, one].T / math.sqrt(16)).tril()
            sink = torch.exp(weights[f"{at}attn.attn_imp.sink_logit"][head]) if settings["sink"] else 0
            heads.append(weight @ v[:, one] / (weight.sum(1, keepdim=True) + sink))
        x = x + sparse(apply(f"{at}attn.c_proj", torch.cat(heads, 1)), "attn_out")
        neuron = sparse(F.gelu(apply(f"{at}mlp.c_fc", read(at, 2, "mlp_in"))), "mlp_neuron")
        x = x + sparse(apply(f"{at}mlp.c_proj", neuron), "mlp_out")
    result = norm(x, weights["transformer.ln_f.weight"]) @ weights["lm_head.weight"].T + weights["final_logits_bias"]
    return result + weights["bigram_table"][tokens] if settings["enable_bigram_table"] else result


def write(folder, settings, weights):
    (folder / "beeg_config.json").write_text(json.dumps(settings))
    torch.save(weights, folder / "final_model.pt")


@pytest.mark.parametrize("options", OPTIONS)
def test_logits_are_those_of_the_released_architecture(tmp_path, options):
    settings = {**SETTINGS, **options}
    check_logits(tmp_path, settings, checkpoint(settings))


def check_logits(folder, settings, weights):
    """Load a checkpoint and compare its logits; return the model."""
    write(folder, settings, weights)
    model = load_released(folder)
    tokens = torch.randint(0, VOCABULARY, (3, BLOCK), generator=torch.Generator().manual_seed(1))
    expected = torch.stack([logits(settings, weights, row) for row in tokens])
    torch.testing.assert_close(model(tokens), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    return model


def test_a_model_without_anything_of_single_tokens_has_no_bigram_table(tmp_path):
    settings = {**SETTINGS, "enable_bigram_table": False}
    weights = checkpoint(settings)
    weights["final_logits_bias"].zero_()
    assert not check_logits(tmp_path, settings, weights).config.bigram


def test_positions_that_are_all_zero_are_none():
    settings = {**SETTINGS, "d_pos_emb": None}
    weights = checkpoint(settings)
    weights["transformer.wpe.weight"].zero_()
    assert config_of(released_config(settings), weights).positional == "none"


def test_the_largest_released_config_is_understood():
    settings = {
        **SETTINGS,
        **{"n_layer": 8, "d_model": 2048, "n_head": 128, "d_mlp": 8192, "d_pos_emb": 32, "vocab_size": 2048},
    }
    config = config_of(released_config(settings), {})
    assert isinstance(config, TransformerConfig)
    assert (config.heads, config.d_read, config.neurons, config.positional) == (128, 2080, 8192, "concatenated")


RELEASED = {
    "csp_sweep1_1x_0.9Mnonzero_afrac0.125": {
        **{"n_layer": 8, "n_head": 16, "d_model": 256, "d_mlp": 1024, "afrac": 0.125, "pfrac": 0.125},
        **{"afrac_loctypes": "attn_in,attn_out,mlp_in,mlp_out,mlp_neuron,attn_v", "expansion_factor": 1},
        **{"tokenizer_name": "tinypython_2k", "ignore_dw_grad": False, "afrac_approx": False},
    },
    "csp_bridges2": {
        **{"n_layer": 4, "n_head": 128, "d_model": 2048, "d_mlp": 8192, "afrac": 0.125, "pfrac": 0.5},
        **{"afrac_loctypes": "attn_in,attn_out,mlp_in,mlp_out,mlp_neuron,attn_k,attn_q,attn_v", "rtopk": False},
        **{"expansion_factor": 8, "sink": False, "sinusoidal_cat_pos_emb": False, "learnable_bigram_table": False},
    },
    "dense1_4x": {
        **{"n_layer": 4, "n_head": 64, "d_model": 1024, "d_mlp": 4096, "afrac": None, "pfrac": 16},
        **{"expansion_factor": 4, "debug_exact_topk": True, "sparse_matmul_impl": "cuda", "grad_checkpointing": True},
    },
}
"""What differs between configs that were released, and keys that not all have."""

SHARED = {
    **{"block_size": 1024, "vocab_size": 2048, "d_head": 16, "dropout": 0.0, "bias": True, "ln_bias": True},
    **{"rms_norm": True, "residual_activation_type": "identity", "activation_type": "gelu", "debug_nans": False},
    **{"tied_unembed": False, "bigram_table_rank": None, "flash": True, "enable_bigram_table": True, "n_embd": None},
    **{"d_pos_emb": None},
}
"""What they share."""


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_config_is_understood_and_what_it_says_of_training_is_named(name):
    content = {**SHARED, **RELEASED[name]}
    config = config_of(released_config(content), {"transformer.wpe.weight": torch.zeros(1)})
    assert (config.layers, config.d_model, config.d_head) == (content["n_layer"], content["d_model"], 16)
    assert config.heads == content["n_head"]
    assert config.neurons == content["d_mlp"]
    assert config.bigram
    assert config.positional == "none"
    assert config.activation_density == (content["afrac"] or 1)
    assert ("q" in config.activation_sites) == ("attn_q" in content.get("afrac_loctypes", ""))
    training = {"pfrac", "expansion_factor", "ignore_dw_grad", "rtopk", "debug_exact_topk", "sparse_matmul_impl"}
    assert set(unknown_keys(content)) == training & content.keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"afrac_approx": True}, "beeg_config.json.afrac_approx = True: input should be False"),
        ({"use_tied_aux_matrix": True}, "beeg_config.json.use_tied_aux_matrix = True: input should be False"),
        ({"rms_norm": False}, "beeg_config.json.rms_norm = False: input should be True"),
        ({"activation_type": "relu"}, "beeg_config.json.activation_type = 'relu': input should be 'gelu'"),
        ({"n_head": 4}, "4 heads of 16 channels do not fill d_model 32; choose 2"),
        (
            {"afrac_loctypes": "resid_post_mlp"},
            "unknown AbsTopK location 'resid_post_mlp'; choose from attn_in, attn_q, attn_k, attn_v, attn_out, mlp_in, "
            "mlp_neuron, mlp_out",
        ),
    ],
)
def test_a_model_that_cannot_be_followed_is_an_error_that_says_why(change, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 (the whole message is compared)
        config_of(released_config({**SETTINGS, **change}), checkpoint(SETTINGS))
    assert str(raised.value) == message


def broken(folder, weights=None, **settings):
    """What loading a checkpoint says that was changed."""
    changed = {key: value for key, value in {**SETTINGS, **settings}.items() if value != "left out"}
    write(folder, changed, checkpoint(SETTINGS) if weights is None else weights)
    return refusal(folder)


def refusal(folder):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 (the message is compared)
        load_released(folder)
    assert "\n" not in str(raised.value)
    return str(raised.value).replace(str(folder), "FOLDER")


@pytest.mark.parametrize("name", ["final_model.pt", "beeg_config.json"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; get it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer, not the file itself"),
        (b"<html>", "is not a complete"),
        (None, "does not exist; check the folder, or get the file again"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_one_line_with_file_and_remedy(tmp_path, name, content, said):
    write(tmp_path, SETTINGS, checkpoint(SETTINGS))
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert f"FOLDER/{name} {said}" in refusal(tmp_path)


def test_a_truncated_checkpoint_is_one_line(tmp_path):
    write(tmp_path, SETTINGS, checkpoint(SETTINGS))
    whole = (tmp_path / "final_model.pt").read_bytes()
    (tmp_path / "final_model.pt").write_bytes(whole[: len(whole) // 2])
    assert "FOLDER/final_model.pt is not a complete PyTorch checkpoint; get it again" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([1, 2], "contains a list; save only the model's state_dict()"),
        ({"model": {}, "step": 3}, "contains more than tensors: model, step; save only the model's state_dict()"),
        (TransformerConfig, "contains more than tensors; save only the model's state_dict()"),
    ],
)
def test_a_checkpoint_of_something_else_is_one_line(tmp_path, weights, said):
    assert f"FOLDER/final_model.pt {said}" in broken(tmp_path, weights)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"n_layer": None}, "beeg_config.json.n_layer: field required"),
        ({"vocab_size": "left out"}, "beeg_config.json.vocab_size: field required"),
        ({"d_model": "32"}, "beeg_config.json.d_model = '32': input should be a valid integer"),
        (
            {"block_size": 0},
            "block_size = 0: input should be greater than or equal to 1; choose a number from 1 up to 1,000,000",
        ),
        (
            {"n_head": 0},
            "n_head = 0: input should be greater than or equal to 1; choose a number from 1 up to 1,000,000",
        ),
        ({"afrac": 2.0}, "beeg_config.json.afrac = 2.0: input should be less than or equal to 1"),
        ({"sink": "yes"}, "beeg_config.json.sink = 'yes': input should be a valid boolean"),
    ],
)
def test_a_config_without_its_fields_is_one_line_that_names_them(tmp_path, settings, said):
    assert said in broken(tmp_path, **settings)


def test_a_config_that_is_a_list_is_one_line(tmp_path):
    write(tmp_path, [SETTINGS], checkpoint(SETTINGS))
    assert "FOLDER/beeg_config.json contains a list; it should contain an object" in refusal(tmp_path)


def test_null_in_a_config_stands_for_left_out(tmp_path):
    write(tmp_path, {**SETTINGS, "residual_activation_type": None, "d_mlp": None, "n_mlp": MLP}, checkpoint(SETTINGS))
    assert load_released(tmp_path).config.d_mlp == MLP


BLOCK_1 = "transformer.h.1.attn"


@pytest.mark.parametrize(
    ("change", "settings", "said"),
    [
        ({"transformer.ln_f.weight": None}, {}, "lacks transformer.ln_f.weight"),
        ({"lm_head.weight": None}, {}, "lacks lm_head.weight"),
        ({"extra.weight": torch.ones(2)}, {}, "contains unknown extra.weight"),
        ({}, {"sink": False}, "contains unknown transformer.h.0.attn.attn_imp.sink_logit"),
        ({"bigram_table": None}, {}, "lacks bigram_table"),
        ({}, {"n_layer": 1}, "contains unknown transformer.h.1.ln_1.weight"),
        ({}, {"vocab_size": 999_999}, f"transformer.wte.weight [{VOCABULARY}, {WIDTH}] instead of [999999, {WIDTH}]"),
        (
            {f"{BLOCK_1}.c_proj.bias": torch.full((WIDTH,), math.nan)},
            {},
            f"contains values that are not finite in {BLOCK_1}.c_proj.bias",
        ),
        ({}, {"tied_unembed": True}, "transformer.wte.weight and lm_head.weight that differ"),
    ],
)
def test_weights_that_do_not_fit_are_named_before_anything_is_built(tmp_path, change, settings, said):
    weights = {name: tensor for name, tensor in {**checkpoint(SETTINGS), **change}.items() if tensor is not None}
    message = broken(tmp_path, weights, **settings)
    assert message.startswith("FOLDER/final_model.pt")
    assert said in message


@pytest.mark.parametrize("states", [True, "left out"])
def test_a_tied_embedding_is_used_at_both_ends(tmp_path, states):
    settings = {key: value for key, value in {**SETTINGS, "tied_unembed": states}.items() if value != "left out"}
    weights = checkpoint(SETTINGS)
    del weights["lm_head.weight"]
    write(tmp_path, settings, weights)
    model = load_released(tmp_path)
    torch.testing.assert_close(model.W_U, model.W_E)


def test_a_compiled_checkpoint_loads_as_the_plain_one(tmp_path):
    weights = checkpoint(SETTINGS)
    write(tmp_path, SETTINGS, {f"_orig_mod.{name}": tensor for name, tensor in weights.items()})
    torch.testing.assert_close(load_released(tmp_path).W_U, weights["lm_head.weight"])
    both = {**weights, "_orig_mod.lm_head.weight": weights["lm_head.weight"]}
    assert "with and without the prefix _orig_mod." in broken(tmp_path, both)
