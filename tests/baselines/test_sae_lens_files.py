"""Every class of sae-lens, saved by sae-lens itself and read by us: the same features and the same output."""

import json

import pytest
import torch
from torch.testing import assert_close

import baselines.sae_lens_training  # noqa: F401  # silences what sae-lens says while it is imported
from baselines.row_scale import restored
from baselines.sae_lens_files import SAES, TRANSCODERS, read_layer

import sae_lens  # isort: skip
from sae_lens.registry import get_sae_class, get_sae_training_class  # isort: skip

D_IN, FEATURES, D_OUT = 16, 48, 12

NORMALISED = pytest.mark.parametrize(
    "normalised", ["none", "expected_average_only_in", "constant_norm_rescale", "layer_norm"]
)


def settings_of(architecture, **changes):
    settings = {"d_in": D_IN, "d_sae": FEATURES, "apply_b_dec_to_input": False}
    if architecture in TRANSCODERS:
        settings["d_out"] = D_OUT
    if architecture in ("topk", "abstopk"):
        settings["k"] = 5
    return settings | changes


@torch.no_grad()
def random_weights(sae, seed=0):
    """Biases, gates, thresholds (some negative) and decoders far from unit norm, all of them at work."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sae.named_parameters():
        size = {"W_enc": 0.5, "W_dec": 2.0, "W_skip": 0.5, "r_mag": 0.3}.get(name, 0.7)
        parameter.copy_(size * torch.randn(parameter.shape, generator=generator))
    return sae


def rows(seed=1):
    return 5 * torch.randn(64, D_IN, generator=torch.Generator().manual_seed(seed)) + 2


def saved(folder, architecture, **changes):
    made, config = get_sae_class(architecture)
    sae = random_weights(made(config(**settings_of(architecture, **changes))))
    sae.save_model(folder)
    return sae


def output(layer, values):
    features = layer.encoder(values)
    prediction = features @ layer.decoder.T + layer.bias
    return features, prediction if layer.is_transcoder else restored(layer.encoder.rows, prediction, values)


def compare(folder, theirs, tolerance=1e-5):
    layer, values = read_layer(folder), rows()
    with torch.no_grad():
        features, prediction = output(layer, values)
        known = theirs.encode(values).float()
        shown = theirs(values).float()
    assert 0 < (known != 0).float().mean() < 0.9
    sparse = features[:, :FEATURES]
    assert torch.equal(sparse != 0, known != 0)
    if not getattr(theirs.cfg, "rescale_acts_by_decoder_norm", False):
        assert_close(sparse, known, atol=tolerance, rtol=tolerance)
    assert_close(prediction, shown, atol=tolerance * shown.abs().max().item(), rtol=tolerance)


def test_every_architecture_of_sae_lens_is_read_or_refused_by_name():
    from sae_lens.registry import SAE_CLASS_REGISTRY, SAE_TRAINING_CLASS_REGISTRY

    from baselines.sae_lens_files import REFUSED

    assert {*SAE_CLASS_REGISTRY, *SAE_TRAINING_CLASS_REGISTRY} == {*SAES, *TRANSCODERS, *REFUSED}


@NORMALISED
@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("architecture", SAES)
def test_an_sae_computes_what_sae_lens_computes(architecture, applied, normalised, tmp_path):
    saved(tmp_path, architecture, apply_b_dec_to_input=applied, normalize_activations=normalised)
    compare(tmp_path, sae_lens.SAE.load_from_disk(tmp_path))


@NORMALISED
@pytest.mark.parametrize("architecture", TRANSCODERS)
def test_a_transcoder_computes_what_sae_lens_computes(architecture, normalised, tmp_path):
    saved(tmp_path, architecture, normalize_activations=normalised)
    compare(tmp_path, sae_lens.SAE.load_from_disk(tmp_path))


@NORMALISED
@pytest.mark.parametrize("architecture", ["topk", "abstopk"])
def test_activations_rescaled_by_decoder_norms_are_those_of_sae_lens(architecture, normalised, tmp_path):
    changes = {"rescale_acts_by_decoder_norm": True, "apply_b_dec_to_input": True, "normalize_activations": normalised}
    saved(tmp_path, architecture, **changes)
    compare(tmp_path, sae_lens.SAE.load_from_disk(tmp_path))


@pytest.mark.parametrize("architecture", [*SAES, *TRANSCODERS])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_weights_of_other_types_are_read_as_they_are_and_used_in_float32(dtype, architecture, tmp_path):
    saved(tmp_path, architecture, dtype=dtype)
    compare(tmp_path, sae_lens.SAE.load_from_disk(tmp_path, dtype="float32"), tolerance=1e-4)


def test_float32_weights_of_a_configuration_in_bfloat16_are_rounded_as_sae_lens_does(tmp_path):
    sae = saved(tmp_path, "standard")
    settings = json.loads((tmp_path / "cfg.json").read_text())
    (tmp_path / "cfg.json").write_text(json.dumps({**settings, "dtype": "bfloat16"}))
    assert torch.equal(read_layer(tmp_path).decoder.T, sae.W_dec.bfloat16().float())


@pytest.mark.parametrize("rescaled", [False, True])
@pytest.mark.parametrize("architecture", ["topk", "abstopk", "batchtopk", "matryoshka_batchtopk"])
def test_what_a_training_class_saves_for_use_is_read(architecture, rescaled, tmp_path):
    made, config = get_sae_training_class(architecture)
    widths = {"matryoshka_widths": [12, FEATURES]} if architecture.startswith("matryoshka") else {}
    changes = {"k": 5, "rescale_acts_by_decoder_norm": rescaled, **widths}
    sae = random_weights(made(config(d_in=D_IN, d_sae=FEATURES, **changes)))
    if hasattr(sae, "topk_threshold"):
        sae.topk_threshold.fill_(4.0)
    sae.save_inference_model(tmp_path)
    compare(tmp_path, sae_lens.SAE.load_from_disk(tmp_path))


@pytest.mark.parametrize("architecture", ["standard", "gated", "topk", "abstopk", "jumprelu"])
def test_what_a_training_class_saves_for_training_is_read(architecture, tmp_path):
    made, config = get_sae_training_class(architecture)
    sae = random_weights(made(config(**settings_of(architecture, apply_b_dec_to_input=True))))
    sae.save_model(tmp_path)
    compare(tmp_path, sae_lens.SAE.load_from_disk(tmp_path))


def test_an_sae_with_folded_decoder_norms_is_read(tmp_path):
    sae = saved(tmp_path, "jumprelu")
    sae.fold_W_dec_norm()
    sae.save_model(tmp_path)
    compare(tmp_path, sae_lens.SAE.load_from_disk(tmp_path))


def refused(folder, match, architecture="standard", changes=None, metadata=None):
    saved(folder, architecture)
    settings = json.loads((folder / "cfg.json").read_text()) | (changes or {})
    settings["metadata"] = {**settings["metadata"], **(metadata or {})}
    (folder / "cfg.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=rf"^.*cfg\.json .*{match}.*$") as error:
        read_layer(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("architecture", ["matching_pursuit", "temporal", "batchtopk", "matryoshka_batchtopk"])
def test_an_architecture_that_is_not_one_linear_map_is_refused_with_the_reason(architecture, tmp_path):
    refused(
        tmp_path,
        f"'{architecture}', wh[a-z]+ .*; choose from standard, gated",
        "standard",
        {"architecture": architecture},
    )


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"architecture": "dense"}, "the unknown architecture 'dense'; choose from standard"),
        ({"architecture": ["topk"]}, "the unknown architecture"),
        ({"normalize_activations": "covariance_whitening"}, "normalize_activations = 'covariance_whitening'"),
        ({"normalize_activations": "constant_scalar_rescale"}, "normalize_activations = 'constant_scalar_rescale'"),
        ({"reshape_activations": "hook_z"}, "reshape_activations = 'hook_z'.*'none'"),
        ({"dtype": "int8"}, "dtype = 'int8'"),
        ({"apply_b_dec_to_input": 1}, "apply_b_dec_to_input = 1"),
        ({"finetuning_scaling_factor": True}, "finetuning_scaling_factor = True"),
        ({"k": 3}, "k is for topk and abstopk, not for standard"),
        ({"rescale_acts_by_decoder_norm": True}, "rescale_acts_by_decoder_norm is for topk and abstopk"),
        ({"d_out": 3}, "d_out is 3, and the input has 16 channels"),
        ({"activation_fn": "relu"}, "the field 'activation_fn' of sae-lens before version 6"),
    ],
)
def test_a_field_that_is_not_supported_is_named(changes, match, tmp_path):
    refused(tmp_path, match, changes=changes)


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        ({"hook_head_index": 3}, "hook_head_index is 3: single heads"),
        ({"hook_name": 3}, "the hook_name 3, which is not a name"),
        ({"hook_name": "blocks.1.hook_resid_post", "hook_layer": 2}, "contradict each other"),
    ],
)
def test_a_hook_that_cannot_be_used_is_named(metadata, match, tmp_path):
    refused(tmp_path, match, metadata=metadata)


@pytest.mark.parametrize(
    ("architecture", "changes", "match"),
    [
        ("topk", {"k": 49}, "k is 49; choose 1 to 48"),
        ("topk", {"k": 2.5}, "k = 2.5"),
        ("transcoder", {"apply_b_dec_to_input": True}, "apply_b_dec_to_input is true"),
        ("transcoder", {"d_out": None}, "d_out is missing"),
    ],
)
def test_fields_that_do_not_go_together_are_named(architecture, changes, match, tmp_path):
    refused(tmp_path, match, architecture, changes)


def test_weights_that_do_not_match_the_configuration_are_named_before_they_are_read(tmp_path):
    saved(tmp_path, "gated")
    settings = json.loads((tmp_path / "cfg.json").read_text())
    (tmp_path / "cfg.json").write_text(json.dumps({**settings, "d_sae": 10**8}))
    with pytest.raises(ValueError, match=r"sae_weights\.safetensors contains tensors whose shape does not match"):
        read_layer(tmp_path)
    (tmp_path / "cfg.json").write_text(json.dumps({**settings, "architecture": "standard"}))
    with pytest.raises(ValueError, match=r"sae_weights\.safetensors lacks b_enc"):
        read_layer(tmp_path)


def test_weights_that_overflow_are_named(tmp_path):
    sae = saved(tmp_path, "gated")
    with torch.no_grad():
        sae.r_mag.fill_(1000.0)
    sae.save_model(tmp_path)
    with pytest.raises(ValueError, match=r"contains values that are not finite in W_enc as it is used"):
        read_layer(tmp_path)


def test_decoders_of_zero_cannot_be_divided_by(tmp_path):
    sae = saved(tmp_path, "topk", rescale_acts_by_decoder_norm=True)
    with torch.no_grad():
        sae.W_dec[3] = 0
    sae.save_model(tmp_path)
    with pytest.raises(ValueError, match=r"rescale_acts_by_decoder_norm, and decoders that are zero"):
        read_layer(tmp_path)
