"""Dictionaries of one's own as methods: found by their hook points, copied, measured and scored like ours."""

import json
import shutil

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from test_circuit_tracer_files import SET
from tiny_dense import CHANNELS, LAYERS, random_corpus, random_dense, random_tokens
from torch.testing import assert_close

from baselines.activations import activations
from baselines.circuit_tracer_files import save_circuit_tracer
from baselines.config import WidthConfig
from baselines.dictionary import Dictionary, Encoder
from baselines.files import save_top_k
from baselines.random_dictionary import RANDOM_DICTIONARY
from baselines.saved import SAVED_CLT, SAVED_SAE, SAVED_TRANSCODER, SavedConfig
from baselines.saved.sources import digests
from benchmark.model.interface import forward

FEATURES = 24


def drawn(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def train(method, source, folder, dense=None):
    folder.mkdir(exist_ok=True)
    config, needed = SavedConfig(path=str(source), measured_tokens=200), {"dense": dense or random_dense()}
    return method.run_train(random_corpus(), config, 0, needed, folder, lambda *_: None)


def write_sae(folder, hook=None, **settings):
    encoder = Encoder(drawn(FEATURES, CHANNELS, seed=1), drawn(FEATURES, seed=2), k=3)
    save_top_k(encoder, drawn(CHANNELS, FEATURES, seed=3), drawn(CHANNELS, seed=4), folder)
    content = json.loads((folder / "cfg.json").read_text()) | settings
    content["metadata"] = {"hook_name": hook} if hook else {}
    (folder / "cfg.json").write_text(json.dumps(content))


@pytest.fixture
def saes(tmp_path):
    """Folders in another order than the layers, at two depths, the names of the hook points in the configurations."""
    for layer, name in enumerate(("c", "b/width_24", "a")):
        write_sae(tmp_path / "source" / name, f"blocks.{layer}.hook_resid_post")
        shift = {"b_dec": torch.full((CHANNELS,), float(layer))}
        path = tmp_path / "source" / name / "sae_weights.safetensors"
        save_file({**load_file(path), **shift}, path)
    return tmp_path / "source"


def test_saes_are_found_by_the_hook_points_in_their_configurations(saes, tmp_path):
    facts = train(SAVED_SAE, saes, tmp_path / "artifact")
    assert facts.dictionary["l0"] == pytest.approx(3, abs=0.5)
    model = SAVED_SAE.run_load(tmp_path / "artifact", "errors_ablated", {"dense": random_dense()})
    assert [float(bias.mean()) for bias in model.biases] == [0.0, 1.0, 2.0]
    available = SAVED_SAE.run_load(tmp_path / "artifact", "errors_available", {"dense": random_dense()})
    assert_close(forward(available, random_tokens()), forward(random_dense(), random_tokens()), atol=1e-4, rtol=1e-4)


def test_the_artifact_of_a_method_of_ours_gives_the_same_facts_as_that_method(tmp_path):
    config, dense = WidthConfig(features=FEATURES, k=3, measured_tokens=200), random_dense()
    ours = tmp_path / "ours"
    ours.mkdir()
    facts = RANDOM_DICTIONARY.run_train(random_corpus(), config, 0, {"dense": dense}, ours, lambda *_: None)
    assert train(SAVED_SAE, ours, tmp_path / "artifact", dense) == facts
    for name in ("mean_error.safetensors", "quality.json", "blocks.1.resid_post/sae_weights.safetensors"):
        assert (tmp_path / "artifact" / name).read_bytes() == (ours / name).read_bytes()


def mlp_dictionary(cross_layer=False):
    """Transcoders of random weights with JumpReLU."""
    encoders = [
        Encoder(drawn(FEATURES, CHANNELS, seed=layer), drawn(FEATURES, seed=9), threshold=torch.full((FEATURES,), 0.5))
        for layer in range(LAYERS)
    ]
    decoders = [
        [
            0.1 * drawn(CHANNELS, FEATURES, seed=20 + layer + ahead)
            for ahead in range(LAYERS - layer if cross_layer else 1)
        ]
        for layer in range(LAYERS)
    ]
    return Dictionary(encoders, decoders, [drawn(CHANNELS, seed=40 + layer) for layer in range(LAYERS)])


@pytest.mark.parametrize(("method", "cross_layer"), [(SAVED_TRANSCODER, False), (SAVED_CLT, True)])
def test_folders_of_circuit_tracer_replace_the_mlps(method, cross_layer, tmp_path):
    dictionary, dense = mlp_dictionary(cross_layer), random_dense()
    save_circuit_tracer(dictionary, tmp_path / "source")
    train(method, tmp_path / "source", tmp_path / "artifact", dense)
    model = method.run_load(tmp_path / "artifact", "errors_ablated", {"dense": dense})
    found = activations(dense, random_tokens())
    rows = [found[f"blocks.{layer}.mlp_in"] for layer in range(LAYERS)]
    features = [encoder(x) for encoder, x in zip(dictionary.encoders, rows, strict=True)]
    for layer, (own, prediction) in enumerate(model.reconstructions(rows)):
        sources = range(layer + 1) if cross_layer else [layer]
        known = sum(features[s] @ dictionary.decoders[s][layer - s].T for s in sources) + dictionary.biases[layer]
        assert_close(own, features[layer], atol=1e-5, rtol=1e-5)
        assert_close(prediction, known, atol=1e-5, rtol=1e-5)
    available = method.run_load(tmp_path / "artifact", "errors_available", {"dense": dense})
    assert_close(forward(available, random_tokens()), forward(dense, random_tokens()), atol=1e-4, rtol=1e-4)


def write_transcoders(folder, reads="blocks.{}.mlp.hook_in", predicts="blocks.{}.hook_mlp_out"):
    """Skip transcoders in the format of sae-lens."""
    for layer in range(LAYERS):
        at = folder / f"layer{layer}"
        at.mkdir(parents=True)
        shapes = {"W_enc": (CHANNELS, FEATURES), "b_enc": (FEATURES,), "W_dec": (FEATURES, CHANNELS)}
        shapes |= {"b_dec": (CHANNELS,), "W_skip": (CHANNELS, CHANNELS)}
        weights = {name: 0.2 * drawn(*shape, seed=layer + at_) for at_, (name, shape) in enumerate(shapes.items())}
        save_file(weights, at / "sae_weights.safetensors")
        hooks = {"hook_name": reads and reads.format(layer), "hook_name_out": predicts and predicts.format(layer)}
        settings = {"architecture": "skip_transcoder", "d_in": CHANNELS, "d_out": CHANNELS, "d_sae": FEATURES}
        settings |= {"apply_b_dec_to_input": False, "metadata": hooks}
        (at / "cfg.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("predicts", ["blocks.{}.hook_mlp_out", None])
def test_transcoders_of_sae_lens_replace_the_mlps_and_their_skip_connections_are_nodes(predicts, tmp_path):
    write_transcoders(tmp_path / "source", predicts=predicts)
    facts = train(SAVED_TRANSCODER, tmp_path / "source", tmp_path / "artifact")
    assert facts.dictionary["l0"] > CHANNELS
    model = SAVED_TRANSCODER.run_load(tmp_path / "artifact", "errors_ablated", {"dense": random_dense()})
    assert {site.size for site in model.sites if site.kind == "feature"} == {FEATURES + CHANNELS}


@pytest.mark.parametrize("hook", ["blocks.{}.hook_mlp_in", "blocks.{}.hook_resid_mid", "blocks.{}.ln2.hook_normalized"])
def test_transcoders_that_read_another_place_are_refused(hook, tmp_path):
    write_transcoders(tmp_path / "source", reads=hook)
    with pytest.raises(ValueError, match=rf"the hook_name '{hook.format(0)}', but is used at blocks\.0\.mlp_in"):
        train(SAVED_TRANSCODER, tmp_path / "source", tmp_path / "artifact")


def test_a_layer_that_is_missing_twice_or_elsewhere_is_named(saes, tmp_path):
    write_sae(saes / "d", "blocks.2.hook_resid_post")
    with pytest.raises(ValueError, match=r"d/cfg\.json is a second dictionary for blocks\.2\.resid_post, besides 'a'"):
        train(SAVED_SAE, saes, tmp_path / "artifact")
    write_sae(saes / "d", "blocks.3.hook_resid_post")
    choices = r"choose dictionaries for blocks\.0\.resid_post to blocks\.2\.resid_post alone"
    with pytest.raises(ValueError, match=rf"is for 'blocks\.3\.resid_post'; {choices}"):
        train(SAVED_SAE, saes, tmp_path / "artifact")
    shutil.rmtree(saes / "d")
    shutil.rmtree(saes / "a")
    with pytest.raises(ValueError, match=r"no dictionary for blocks\.2\.resid_post; it has those of blocks\.0\."):
        train(SAVED_SAE, saes, tmp_path / "artifact")


def test_a_dictionary_of_other_widths_is_refused(saes, tmp_path):
    dense = random_dense(d_mlp=8)
    path = saes / "c" / "sae_weights.safetensors"
    weights = {name: each.clone() for name, each in load_file(path).items()}
    weights |= {"W_enc": drawn(4, FEATURES, seed=0), "W_dec": drawn(FEATURES, 4, seed=0), "b_dec": drawn(4, seed=0)}
    save_file(weights, path)
    settings = json.loads((saes / "c" / "cfg.json").read_text()) | {"d_in": 4}
    (saes / "c" / "cfg.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"of layer 0 reads 4 channels and writes to 4, .* has 16 and 16"):
        train(SAVED_SAE, saes, tmp_path / "artifact", dense)


def test_a_dictionary_of_another_kind_is_refused_with_the_method_for_it(saes, tmp_path):
    save_circuit_tracer(mlp_dictionary(), tmp_path / "set")
    save_circuit_tracer(mlp_dictionary(cross_layer=True), tmp_path / "clt")
    for method, source, match in (
        (SAVED_CLT, "set", r"config\.yaml is of per-layer transcoders; choose the method saved_transcoder"),
        (SAVED_TRANSCODER, "clt", r"config\.yaml is of a cross-layer transcoder; choose the method saved_clt"),
        (SAVED_CLT, "source", r"config\.yaml does not exist"),
        (SAVED_TRANSCODER, "source", r"is for 'blocks\.\d\.resid_post'; choose dictionaries for blocks\.0\.mlp_out"),
    ):
        with pytest.raises(ValueError, match=match):
            train(method, tmp_path / source, tmp_path / "artifact")


def test_the_digest_is_of_the_names_and_contents_of_the_files_that_are_read(saes):
    first = digests(SavedConfig(path=str(saes)))
    (saes / "notes.txt").write_text("nothing that is read")
    assert digests(SavedConfig(path=str(saes))) == first
    write_sae(saes / "a", "blocks.2.hook_resid_post", k=2)
    assert digests(SavedConfig(path=str(saes))) != first


@pytest.mark.parametrize(
    ("prepare", "match"),
    [
        (lambda folder: None, "there is no such folder"),
        (lambda folder: folder.mkdir(), "there is no dictionary in it; choose one that has"),
        (lambda folder: folder.write_text("x"), "there is no such folder"),
        (lambda folder: (write_sae(folder), (folder / "sae_weights.safetensors").unlink()), "does not exist"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_before_a_run_starts(prepare, match, tmp_path):
    prepare(tmp_path / "source")
    with pytest.raises(ValueError, match=rf"^.*source.*{match}.*$"):
        digests(SavedConfig(path=str(tmp_path / "source")))


def test_a_path_is_asked_for():
    with pytest.raises(ValidationError, match="path"):
        SavedConfig()
    assert all(method.by_name for method in (SAVED_SAE, SAVED_TRANSCODER, SAVED_CLT))


def test_a_set_with_fewer_layers_than_the_dense_model_is_refused(tmp_path):
    short = mlp_dictionary()
    save_circuit_tracer(Dictionary(short.encoders[:2], short.decoders[:2], short.biases[:2]), tmp_path / "source")
    assert (tmp_path / "source" / "config.yaml").read_text() == SET
    with pytest.raises(ValueError, match="the dictionary has 2 layers, and the dense model 3"):
        train(SAVED_TRANSCODER, tmp_path / "source", tmp_path / "artifact")
