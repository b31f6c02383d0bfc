"""The files of trained dictionaries: what is wrong with one is said in one line that names it."""

import json

import pytest
import torch
from safetensors.torch import save_file
from tiny_dense import CHANNELS, random_encoder

from baselines.clt.files import load_cross_layer, save_cross_layer
from baselines.dictionary import Dictionary, Encoder
from baselines.files import load_dictionary, load_mean_errors, save_top_k


@pytest.fixture
def sae(tmp_path):
    encoder = Encoder(torch.randn(12, CHANNELS), torch.zeros(12), k=3)
    save_top_k(encoder, torch.randn(CHANNELS, 12), torch.zeros(CHANNELS), tmp_path)
    return tmp_path


@pytest.fixture
def clt(tmp_path):
    encoder = random_encoder(torch.Generator().manual_seed(0), 12)
    save_cross_layer(Dictionary([encoder], [[torch.randn(CHANNELS, 12)]], [torch.zeros(CHANNELS)]), tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["cfg.json", "sae_weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"[", b"[]"])
def test_a_damaged_file_of_an_sae_is_named(sae, name, content):
    (sae / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"^.*{name} (is|contains) .*$"):
        load_dictionary(sae, ["."])


def test_weights_that_an_sae_lacks_are_named(sae):
    save_file({"b_enc": torch.ones(2)}, sae / "sae_weights.safetensors")
    with pytest.raises(ValueError, match=r"sae_weights\.safetensors lacks W_enc, W_dec, b_dec"):
        load_dictionary(sae, ["."])


@pytest.mark.parametrize("name", ["clt.json", "W_enc_0.safetensors", "W_dec_0.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_damaged_file_of_a_cross_layer_transcoder_is_named(clt, name, content):
    (clt / name).unlink()
    if content is not None:
        (clt / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"^.*{name} (is|does) .*$"):
        load_cross_layer(clt)


def test_mean_errors_that_are_missing_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"mean_error\.safetensors does not exist"):
        load_mean_errors(tmp_path)


def change_settings(folder, **changes):
    settings = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps({**settings, **changes}))


def test_an_unknown_architecture_is_named_with_the_choices(sae):
    change_settings(sae, architecture="dense")
    with pytest.raises(
        ValueError, match=r"cfg\.json has the unknown architecture 'dense'; choose from standard, gated"
    ):
        load_dictionary(sae, ["."])


@pytest.mark.parametrize("hook", ["blocks.1.hook_resid_post", "blocks.1.resid_post", "blocks.2.hook_resid_pre"])
def test_a_folder_is_used_at_the_hook_point_that_it_names(sae, hook):
    change_settings(sae, metadata={"hook_name": hook})
    (sae / "blocks.1.resid_post").symlink_to(".")
    assert load_dictionary(sae, ["blocks.1.resid_post"]).encoders[0].k == 3


@pytest.mark.parametrize("hook", ["blocks.0.hook_resid_post", "blocks.1.hook_mlp_out", "blocks.1.hook_resid_pre", "x"])
def test_a_folder_that_names_another_hook_point_is_refused(sae, hook):
    change_settings(sae, metadata={"hook_name": hook})
    (sae / "blocks.1.resid_post").symlink_to(".")
    with pytest.raises(ValueError, match=rf"has the hook_name '{hook}', but is used at blocks\.1\.resid_post"):
        load_dictionary(sae, ["blocks.1.resid_post"])


def test_an_sae_is_not_used_as_a_transcoder(sae):
    with pytest.raises(ValueError, match=r"is of an SAE; choose an architecture from transcoder, skip_transcoder"):
        load_dictionary(sae, ["."], reads=["."])
