"""Folders of EleutherAI's sparsify: the output of its own formula."""

import json

import pytest
import torch
from safetensors.torch import save_file
from tiny_dense import CHANNELS, LAYERS, random_corpus, random_dense
from torch.testing import assert_close

from baselines.hook_names import module_place
from baselines.saved import SAVED_SAE, SAVED_TRANSCODER, SavedConfig
from baselines.sparsify_files import read_sparsify_layer

FEATURES = 32


def drawn(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def write(folder, dtype=torch.float32, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"activation": "topk", "expansion_factor": 2, "normalize_decoder": True, "num_latents": 0, "k": 5}
    settings |= {"multi_topk": False, "skip_connection": False, "transcode": False, "d_in": CHANNELS, **changes}
    weights = {"encoder.weight": drawn(FEATURES, CHANNELS, seed=1), "encoder.bias": drawn(FEATURES, seed=2)}
    weights |= {"W_dec": drawn(FEATURES, CHANNELS, seed=3), "b_dec": drawn(CHANNELS, seed=4)}
    weights |= {"W_skip": drawn(CHANNELS, CHANNELS, seed=5)} if settings["skip_connection"] else {}
    weights = {name: each.to(dtype) for name, each in weights.items()}
    save_file(weights, folder / "sae.safetensors")
    (folder / "cfg.json").write_text(json.dumps(settings))
    return {name: each.float() for name, each in weights.items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("transcode", [False, True])
def test_a_layer_computes_what_sparsify_computes(transcode, skip, dtype, tmp_path):
    weights, rows = write(tmp_path, dtype, transcode=transcode, skip_connection=skip), 3 * drawn(40, CHANNELS, seed=9)
    shifted = rows if transcode else rows - weights["b_dec"]
    before = torch.relu(shifted @ weights["encoder.weight"].T + weights["encoder.bias"])
    values, indices = before.topk(5)
    known = torch.zeros_like(before).scatter(-1, indices, values) @ weights["W_dec"] + weights["b_dec"]
    known = known + rows @ weights["W_skip"].T if skip else known
    layer = read_sparsify_layer(tmp_path)
    assert layer.is_transcoder == transcode
    assert_close(layer.encoder(rows) @ layer.decoder.T + layer.bias, known, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"activation": "groupmax"}, "activation = 'groupmax'"),
        ({"k": 33}, "k is 33; choose 1 to 32"),
        ({"d_out": 3}, "d_out = 3"),
        ({"num_latents": 7}, "shape does not match|k is"),
    ],
)
def test_what_is_not_supported_is_named(changes, match, tmp_path):
    write(tmp_path)
    settings = json.loads((tmp_path / "cfg.json").read_text())
    (tmp_path / "cfg.json").write_text(json.dumps(settings | changes))
    with pytest.raises(ValueError, match=match):
        read_sparsify_layer(tmp_path)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("layers.3", "blocks.3.resid_post"),
        ("model.layers.12.mlp", "blocks.12.mlp_out"),
        ("transformer.h.0.mlp", "blocks.0.mlp_out"),
        ("layers.3.attention", "layers.3.attention"),
    ],
)
def test_modules_have_our_names(name, place):
    assert module_place(name) == place


@pytest.mark.parametrize(("method", "part"), [(SAVED_SAE, ""), (SAVED_TRANSCODER, ".mlp")])
def test_folders_named_after_modules_are_scored(method, part, tmp_path):
    for layer in range(LAYERS):
        write(tmp_path / "source" / f"layers.{layer}{part}", transcode=bool(part))
    (tmp_path / "artifact").mkdir()
    config, needed = SavedConfig(path=str(tmp_path / "source"), measured_tokens=200), {"dense": random_dense()}
    facts = method.run_train(random_corpus(), config, 0, needed, tmp_path / "artifact", lambda *_: None)
    assert facts.dictionary["l0"] == pytest.approx(5, abs=0.5)
    assert method.run_load(tmp_path / "artifact", "errors_available", needed).source == (
        "mlp_in" if part else "resid_post"
    )
