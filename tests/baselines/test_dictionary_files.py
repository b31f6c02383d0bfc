"""The files of trained dictionaries: what is wrong with one is said in one line that names it."""

import json

import pytest
import torch
from safetensors.torch import save_file
from tiny_dense import CHANNELS, random_encoder

from baselines.clt.files import Layers, load_layers, save_layers
from baselines.dictionary import Encoder, Place
from baselines.files import load_mean_errors, load_place, save_top_k_place


@pytest.fixture
def place(tmp_path):
    encoder = Encoder(torch.randn(12, CHANNELS), torch.zeros(12), k=3)
    save_top_k_place(Place(encoder, torch.randn(CHANNELS, 12), torch.zeros(CHANNELS)), tmp_path)
    return tmp_path


@pytest.fixture
def clt(tmp_path):
    encoder = random_encoder(torch.Generator().manual_seed(0), 12)
    save_layers(Layers([encoder], [torch.randn(12, 1, CHANNELS)], [torch.zeros(CHANNELS)]), tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["cfg.json", "sae_weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"[", b"[]"])
def test_a_damaged_file_of_an_sae_is_named(place, name, content):
    (place / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"^.*{name} (is|holds) .*$"):
        load_place(place)


def test_weights_that_an_sae_lacks_are_named(place):
    save_file({"b_enc": torch.ones(2)}, place / "sae_weights.safetensors")
    with pytest.raises(ValueError, match=r"sae_weights\.safetensors is not a whole dictionary; .*'W_enc'"):
        load_place(place)


@pytest.mark.parametrize("name", ["clt.json", "W_enc_0.safetensors", "W_dec_0.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_damaged_file_of_a_cross_layer_transcoder_is_named(clt, name, content):
    (clt / name).unlink()
    if content is not None:
        (clt / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"^.*{name} (is|does) .*$"):
        load_layers(clt)


def test_mean_errors_that_are_missing_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"mean_error\.safetensors does not exist"):
        load_mean_errors(tmp_path)


def test_an_unknown_architecture_is_named_with_the_choices(place):
    settings = json.loads((place / "cfg.json").read_text())
    (place / "cfg.json").write_text(json.dumps({**settings, "architecture": "gated"}))
    with pytest.raises(ValueError, match=r"unknown architecture 'gated' in .*; choose from topk, jumprelu"):
        load_place(place)
