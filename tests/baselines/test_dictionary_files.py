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
    with pytest.raises(ValueError, match=r"sae_weights\.safetensors is not a complete dictionary; .*'W_enc'"):
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


def test_an_unknown_architecture_is_named_with_the_choices(sae):
    settings = json.loads((sae / "cfg.json").read_text())
    (sae / "cfg.json").write_text(json.dumps({**settings, "architecture": "gated"}))
    with pytest.raises(ValueError, match=r"cfg\.json has the unknown architecture 'gated'; choose from topk, jumprelu"):
        load_dictionary(sae, ["."])
