"""Our quicker training steps against sae-lens's own, and what is saved against what sae-lens loads."""

import json

import pytest
import torch
from tiny_dense import CHANNELS, LAYERS, random_corpus, random_dense, random_tokens
from torch.testing import assert_close

from baselines import sparse_features
from baselines.activations import activations
from baselines.config import DictionaryConfig, WidthConfig
from baselines.files import load_dictionary
from baselines.random_dictionary import RANDOM_DICTIONARY
from baselines.sae import SAE, SAEConfig
from baselines.sae_lens_training import QuickBatchTopK, fit, new_sae, new_transcoder
from baselines.transcoder import TRANSCODER
from benchmark.metrics import fvu
from benchmark.model.interface import forward

import sae_lens  # isort: skip  # after ours, which silences what it says while it is imported
from sae_lens.saes import topk_sae  # isort: skip
from sae_lens.saes.sae import TrainStepInput  # isort: skip
from sae_lens.saes.topk_sae import calculate_topk_aux_acts  # isort: skip

CONFIG = DictionaryConfig(features=32, k=4, tokens=256 * 300, batch=256, learning_rate=1e-2)


def silent(*arguments):
    pass


def step_of(rows, dead):
    return TrainStepInput(
        sae_in=rows, coefficients={}, dead_neuron_mask=dead, n_training_steps=0, is_logging_step=False
    )


@pytest.mark.parametrize("activation", ["topk", "batchtopk"])
@pytest.mark.parametrize("dead_features", [0, 3, 12])
@pytest.mark.parametrize("densest", [0.0, 1.0], ids=["dense", "entries"])
def test_a_quick_step_has_the_loss_and_the_gradients_of_sae_lenss_with_a_relu_in_auxk(
    activation, dead_features, densest, monkeypatch
):
    monkeypatch.setattr(sparse_features, "DENSEST", densest)
    monkeypatch.setattr(topk_sae, "calculate_topk_aux_acts", lambda **given: calculate_topk_aux_acts(**given).relu())
    torch.manual_seed(0)
    quick = new_sae(CONFIG, activation, d_in=16)
    theirs_class = sae_lens.TopKTrainingSAE if activation == "topk" else sae_lens.BatchTopKTrainingSAE
    with torch.no_grad():
        quick.W_dec.mul_(torch.rand(32, 1) + 0.5)
        quick.b_enc.normal_()
    theirs = theirs_class(quick.cfg)
    theirs.load_state_dict(quick.state_dict())
    rows, dead = torch.randn(64, 16), torch.arange(32) < dead_features
    results = [each.training_forward_pass(step_of(rows, dead)) for each in (quick, theirs)]
    for name, loss in results[1].losses.items():
        assert_close(results[0].losses[name], loss)
    assert torch.equal(results[0].feature_acts.any(0), (results[1].feature_acts != 0).any(0))
    for result in results:
        result.loss.backward()
    for (name, ours), known in zip(quick.named_parameters(), theirs.parameters(), strict=True):
        assert_close(ours.grad, known.grad, atol=1e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")
    if isinstance(quick, QuickBatchTopK):
        assert_close(quick.topk_threshold, theirs.topk_threshold)


@pytest.mark.parametrize("activation", ["topk", "batchtopk"])
def test_a_quick_step_in_bfloat16_has_about_the_loss_of_one_in_float32(activation, monkeypatch):
    monkeypatch.setattr(sparse_features, "DENSEST", 1.0)
    torch.manual_seed(0)
    sae, rows, dead = new_sae(CONFIG, activation, d_in=16), torch.randn(64, 16), torch.arange(32) < 3
    full = sae.training_forward_pass(step_of(rows, dead))
    half = sae.to(torch.bfloat16).training_forward_pass(step_of(rows.bfloat16(), dead))
    half.loss.backward()
    assert_close(half.loss.float(), full.loss, rtol=0.05, atol=0)


def planted(generator, wide):
    causes = (torch.rand(256, 24, generator=generator) < 0.12) * torch.rand(256, 24, generator=generator) * 3
    return causes @ wide


@pytest.mark.parametrize("activation", ["topk", "batchtopk"])
def test_training_an_sae_lowers_fvu_on_planted_sparse_data(activation):
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(24, 16, generator=generator), dim=1)
    torch.manual_seed(0)
    sae = new_sae(CONFIG, activation, d_in=16)
    rows = planted(generator, directions)
    before = fvu(rows, sae(rows).detach())
    batches = ({"layer": planted(generator, directions)} for _ in iter(int, 1))
    fit({"layer": sae}, batches, CONFIG, generator, silent)
    assert fvu(rows, sae(rows).detach()) < min(0.15, 0.5 * before)


def test_training_a_transcoder_lowers_fvu_on_planted_sparse_data():
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(24, 16 + 6, generator=generator)
    torch.manual_seed(0)
    transcoder = new_transcoder(CONFIG, d_in=16, d_out=6)
    rows = planted(generator, wide)
    before = fvu(rows[:, 16:], transcoder(rows[:, :16]).detach())
    fit({"layer": transcoder}, ({"layer": planted(generator, wide)} for _ in iter(int, 1)), CONFIG, generator, silent)
    assert fvu(rows[:, 16:], transcoder(rows[:, :16]).detach()) < min(0.2, 0.5 * before)


def loaded(folder, hook_point):
    reads = [hook_point.replace("mlp_out", "mlp_in")] if "mlp_out" in hook_point else None
    found = load_dictionary(folder, [hook_point], reads)
    return found.encoders[0], found.decoders[0][0], found.biases[0]


RUNS = [
    (SAE, SAEConfig(features=24, k=3, tokens=1280, batch=64, measured_tokens=200, activation="topk"), "resid_post"),
    (SAE, SAEConfig(features=24, k=3, tokens=1280, batch=64, measured_tokens=200), "resid_post"),
    (TRANSCODER, DictionaryConfig(features=24, k=3, tokens=1280, batch=64, measured_tokens=200), "mlp_out"),
    (RANDOM_DICTIONARY, WidthConfig(features=24, k=3, measured_tokens=200), "resid_post"),
]


@pytest.mark.parametrize(("method", "config", "hook"), RUNS)
def test_what_is_saved_is_loaded_by_sae_lens_with_the_same_features_and_output(method, config, hook, tmp_path):
    dense = random_dense()
    facts = method.run_train(random_corpus(), config, 0, {"dense": dense}, tmp_path, silent)
    assert set(facts.dictionary) == {"fvu", "l0", "dead_fraction", "loss_increase", "loss_recovered"}
    found = activations(dense, random_tokens())
    for layer in range(LAYERS):
        name = f"blocks.{layer}.{hook}"
        rows = found[name.replace("mlp_out", "mlp_in")]
        encoder, decoder, bias = loaded(tmp_path, name)
        theirs = sae_lens.SAE.load_from_disk(tmp_path / name)
        features = encoder(rows)
        assert (features != 0).any()
        assert_close(features, theirs.encode(rows), atol=1e-5, rtol=1e-4)
        assert_close(features @ decoder.T + bias, theirs(rows), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("method", "config", "hook"), RUNS)
def test_the_same_seed_gives_the_same_bytes_and_both_variants_load(method, config, hook, tmp_path):
    dense = random_dense()
    for name in ("first", "second"):
        method.run_train(random_corpus(), config, 7, {"dense": dense}, tmp_path / name, silent)
    files = [path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file()]
    assert len(files) == 2 * LAYERS + 2
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes(), file
        if file.name == "cfg.json":  # whatever the seed of the process's hashes
            settings = json.loads((tmp_path / "first" / file).read_text())
            assert list(settings) == sorted(settings)
    tokens = random_tokens()
    logits = {
        variant.name: forward(method.run_load(tmp_path / "first", variant.name, {"dense": dense}), tokens)
        for variant in method.variants
    }
    assert_close(logits["errors_available"], forward(dense, tokens), atol=1e-5, rtol=1e-5)
    assert (logits["errors_ablated"] - logits["errors_available"]).abs().max() > 0.01


def test_an_unknown_architecture_is_refused_with_the_choices(tmp_path):
    config = WidthConfig(features=24, k=3, measured_tokens=200)
    RANDOM_DICTIONARY.run_train(random_corpus(), config, 0, {"dense": random_dense()}, tmp_path, silent)
    folder = tmp_path / "blocks.0.resid_post"
    settings = (folder / "cfg.json").read_text()
    (folder / "cfg.json").write_text(settings.replace('"topk"', '"dense"'))
    with pytest.raises(ValueError, match=r"unknown architecture 'dense'.*choose from standard, gated, topk"):
        load_dictionary(tmp_path, ["blocks.0.resid_post"])


def test_a_random_dictionary_keeps_its_directions_and_fits_its_mean(tmp_path):
    dense = random_dense()
    config = WidthConfig(features=24, k=3, measured_tokens=640)
    facts = RANDOM_DICTIONARY.run_train(random_corpus(), config, 0, {"dense": dense}, tmp_path, silent)
    encoder, decoder, bias = loaded(tmp_path, "blocks.1.resid_post")
    assert_close(encoder.weight.norm(dim=1), torch.ones(24))
    alike = torch.nn.functional.cosine_similarity(encoder.weight, decoder.T)
    assert_close(alike, torch.ones(24))
    assert facts.dictionary["l0"] <= 3
    assert facts.training_flops == 0
    rows = activations(dense, torch.from_numpy(random_corpus().windows("train")[:, :-1].astype("int64")))
    values = rows["blocks.1.resid_post"].reshape(-1, CHANNELS)
    given = encoder(values) @ decoder.T + bias
    assert_close(given.mean(0), values.mean(0), atol=1e-4, rtol=1e-4)
    assert fvu(values, given) < 1
