"""The files of trained artifacts: what is wrong with one is said in one line that names it."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from sparse_model.config import TransformerConfig
from sparse_model.training import save_transformer
from sparse_model.transformer import Transformer, load_transformer

SHAPE = TransformerConfig(layers=1, d_model=16, vocabulary=9, context=4)


@pytest.fixture
def folder(tmp_path):
    save_transformer(Transformer(SHAPE).initialise(torch.Generator().manual_seed(0)), tmp_path, curve=[])
    return tmp_path


def refusal(folder):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 (the message is compared)
        load_transformer(folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"{", "is not a complete"),
        (b"\xff\xfe\x00", "is not a complete"),
    ],
)
def test_a_damaged_file_is_named_with_the_remedy(folder, name, content, said):
    (folder / name).write_bytes(content)
    assert f"{folder / name} {said}" in refusal(folder)


def test_a_missing_file_is_named(folder):
    (folder / "model.safetensors").unlink()
    assert f"{folder / 'model.safetensors'} does not exist" in refusal(folder)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"d_model": None}, "config.json does not fit: d_model = None"),
        ({"depth": 3}, "config.json does not fit: depth"),
        ([], "contains a list"),
    ],
)
def test_a_config_that_does_not_fit_is_named(folder, settings, said):
    content = {**SHAPE.model_dump(), **settings} if settings else []
    (folder / "config.json").write_text(json.dumps(content))
    assert said in refusal(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"W_E": None}, "lacks W_E"),
        ({"extra": torch.ones(1)}, "contains unknown extra"),
        ({"W_E": torch.ones(2, 2)}, "W_E [2, 2] instead of [9, 16]"),
        ({"W_E": torch.full((9, 16), torch.nan)}, "values that are not finite in W_E"),
    ],
)
def test_tensors_that_do_not_fit_are_named(folder, change, said):
    tensors = {**load_file(folder / "model.safetensors"), **change}
    save_file({name: each for name, each in tensors.items() if each is not None}, folder / "model.safetensors")
    assert said in refusal(folder)
