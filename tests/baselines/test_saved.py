"""Dictionaries of one's own as methods: found by their hook points, copied, measured and scored like ours."""

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from stated import check_stated
from test_circuit_tracer_files import SET, outputs
from test_edge_ablation import edge_order, joined, means_of, units
from tiny_dense import CHANNELS, CONTEXT, LAYERS, VOCABULARY, random_corpus, random_dense, random_tokens
from torch.testing import assert_close

from baselines import quality
from baselines.activations import activations
from baselines.circuit_tracer_files import read_circuit_tracer, save_circuit_tracer
from baselines.clt.files import save_cross_layer
from baselines.config import WidthConfig
from baselines.dense import DenseConfig
from baselines.dictionary import Dictionary, Encoder
from baselines.exports import export_cross_layer, export_transcoders
from baselines.files import save_top_k
from baselines.random_dictionary import RANDOM_DICTIONARY
from baselines.saved import SAVED_CLT, SAVED_SAE, SAVED_TRANSCODER, SavedConfig
from baselines.saved.sources import digests, folders_of
from baselines.saved.training import read_transcoders
from benchmark.interventions.edge_ablation import AblatedEdges
from benchmark.model.interface import forward, record
from benchmark.resources import NUMBER, Shapes

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


def test_modules_of_hugging_face_models_are_hook_points_too(tmp_path):
    for layer, name in enumerate(("b", "a")):
        write_sae(tmp_path / name, f"model.layers.{layer}")
    assert folders_of(tmp_path, ["blocks.0.resid_post", "blocks.1.resid_post"]) == [tmp_path / "b", tmp_path / "a"]


def test_what_is_undefined_is_left_out_of_the_facts(saes, tmp_path, monkeypatch):
    monkeypatch.setattr(quality.metrics, "loss_recovered", lambda **losses: math.nan)
    assert "loss_recovered" not in train(SAVED_SAE, saes, tmp_path / "artifact").dictionary


def test_the_artifact_of_a_method_of_ours_gives_the_same_facts_as_that_method(tmp_path):
    config, dense = WidthConfig(features=FEATURES, k=3, measured_tokens=200), random_dense()
    ours = tmp_path / "ours"
    ours.mkdir()
    facts = RANDOM_DICTIONARY.run_train(random_corpus(), config, 0, {"dense": dense}, ours, lambda *_: None)
    assert train(SAVED_SAE, ours, tmp_path / "artifact", dense) == replace(facts, training_flops=None)
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


def test_transcoders_of_sae_lens_replace_the_mlps_and_their_skip_connections_are_nodes(tmp_path):
    write_transcoders(tmp_path / "source")
    facts = train(SAVED_TRANSCODER, tmp_path / "source", tmp_path / "artifact")
    assert facts.dictionary["l0"] > CHANNELS
    model = SAVED_TRANSCODER.run_load(tmp_path / "artifact", "errors_ablated", {"dense": random_dense()})
    assert {site.size for site in model.sites if site.kind == "feature"} == {FEATURES + CHANNELS}


@pytest.mark.parametrize("hook", ["blocks.{}.hook_resid_post", "blocks.1{}.mlp.hook_in", "mlp"])
def test_transcoders_that_read_another_place_are_refused(hook, tmp_path):
    write_transcoders(tmp_path / "source", reads=hook)
    with pytest.raises(ValueError, match=rf"the hook_name '{hook.format(0)}'; choose from blocks\.0\.mlp\.hook_in, "):
        train(SAVED_TRANSCODER, tmp_path / "source", tmp_path / "artifact")


@pytest.mark.parametrize("predicts", ["blocks.{}.hook_mlp_out", None])
@pytest.mark.parametrize(
    "hook", ["mlp.hook_in", "mlp_in", "ln2.hook_normalized", "hook_resid_mid", "hook_mlp_in", "resid_mid"]
)
def test_transcoders_read_what_they_were_trained_to_read(hook, predicts, tmp_path):
    dense = random_dense()
    source = write_transcoders(tmp_path / "source", reads="blocks.{}." + hook, predicts=predicts)
    facts = train(SAVED_TRANSCODER, source, tmp_path / "artifact", dense)
    model = SAVED_TRANSCODER.run_load(tmp_path / "artifact", "errors_available", {"dense": dense})
    assert_close(forward(model, random_tokens()), forward(dense, random_tokens()), atol=1e-4, rtol=1e-4)
    rows = activations(dense, random_tokens(), before_norms=True)
    mlp_in, before = rows["blocks.1.mlp_in"], rows["blocks.1.resid_mid"]
    normalised = before * before.square().mean(-1, keepdim=True).rsqrt()
    read = {"ln2.hook_normalized": normalised, "mlp.hook_in": mlp_in, "mlp_in": mlp_in}.get(hook, before)
    weights = load_file(source / "layer1" / "sae_weights.safetensors")
    sparse = (read @ weights["W_enc"] + weights["b_enc"]).relu()
    known = torch.cat([sparse, read @ weights["W_skip"].T], dim=-1)
    assert_close(record(model, random_tokens())["blocks.1.feature"], known, atol=1e-4, rtol=1e-4)
    assert facts.dictionary["fvu"] > 0


def test_edges_into_features_that_read_before_the_norm_are_exact(tmp_path):
    source = write_transcoders(tmp_path / "source", reads="blocks.{}.hook_resid_mid")
    train(SAVED_TRANSCODER, source, tmp_path / "artifact")
    model = SAVED_TRANSCODER.run_load(tmp_path / "artifact", "errors_ablated", {"dense": random_dense()})
    parts, means, tokens = joined(model), means_of(model, random_tokens()), random_tokens()
    source_site, target = "blocks.0.feature", "blocks.1.feature"
    order, at = edge_order(parts, source_site, target, target=FEATURES + 2, node=3)  # of the skip, so linear
    ablated = units(model, tokens, AblatedEdges.keeping(parts, order, len(order) - 1, means))[target]
    clean = record(model, tokens)
    read = model.encoders[1].weight[FEATURES + 2] @ model.decoders[0][0][:, 3]
    assert_close(parts[at].connection.weight[FEATURES + 2, 3], read)
    brought = (clean[source_site][..., 3] - means[source_site][3]) * read
    assert_close((clean[target] - ablated)[..., FEATURES + 2], brought, atol=1e-4, rtol=1e-4)


def test_layers_that_read_different_places_are_refused(tmp_path):
    source = write_transcoders(tmp_path / "source")
    settings = json.loads((source / "layer2" / "cfg.json").read_text())
    settings["metadata"]["hook_name"] = "blocks.2.hook_resid_mid"
    (source / "layer2" / "cfg.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"reads another input of its MLP than the others: \['mlp_in', 'resid_mid'\]"):
        train(SAVED_TRANSCODER, source, tmp_path / "artifact")


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


def narrow(folder):
    """Give the dictionary in a folder 4 channels."""
    path, settings = folder / "sae_weights.safetensors", json.loads((folder / "cfg.json").read_text())
    weights = {name: each.clone() for name, each in load_file(path).items()}
    weights |= {"W_enc": drawn(4, FEATURES, seed=0), "W_dec": drawn(FEATURES, 4, seed=0), "b_dec": drawn(4, seed=0)}
    save_file(weights, path)
    (folder / "cfg.json").write_text(json.dumps(settings | {"d_in": 4}))


def test_a_dictionary_of_other_widths_is_refused(saes, tmp_path):
    narrow(saes / "a")
    with pytest.raises(
        ValueError, match=r"a/cfg\.json reads 4 channels and writes to 4, and the first layer 16 and 16"
    ):
        train(SAVED_SAE, saes, tmp_path / "artifact")
    narrow(saes / "b" / "width_24")
    narrow(saes / "c")
    with pytest.raises(ValueError, match=r"the dictionary reads 4 channels and writes to 4, .* has 16 and 16"):
        train(SAVED_SAE, saes, tmp_path / "artifact")


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
    with pytest.raises(ValueError, match="the dictionary has 2 layers, and the model 3"):
        train(SAVED_TRANSCODER, tmp_path / "source", tmp_path / "artifact")


def same_outputs(first, second):
    rows = [drawn(30, CHANNELS, seed=70 + layer) for layer in range(LAYERS)]
    for mine, others in zip(*(outputs(each, rows)[1] for each in (first, second)), strict=True):
        assert_close(mine, others, atol=1e-5, rtol=1e-4)


def test_transcoders_of_an_artifact_are_exported_to_circuit_tracer(tmp_path):
    source = write_transcoders(tmp_path / "source")
    train(SAVED_TRANSCODER, source, tmp_path / "artifact")
    export_transcoders(tmp_path / "artifact", tmp_path / "out")
    same_outputs(read_circuit_tracer(tmp_path / "out")[0], read_transcoders(source, random_dense()))
    export_transcoders(tmp_path / "out", tmp_path / "again")
    for file in (tmp_path / "out").iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_a_cross_layer_transcoder_of_ours_is_exported_to_circuit_tracer_unless_it_has_top_k(tmp_path):
    (tmp_path / "ours").mkdir()
    save_cross_layer(mlp_dictionary(cross_layer=True), tmp_path / "ours")
    export_cross_layer(tmp_path / "ours", tmp_path / "out")
    same_outputs(read_circuit_tracer(tmp_path / "out")[0], mlp_dictionary(cross_layer=True))
    made = mlp_dictionary(cross_layer=True)
    encoders = [Encoder(each.weight.data, each.bias.data, k=3) for each in made.encoders]
    save_cross_layer(Dictionary(encoders, made.decoders, made.biases), tmp_path / "ours")
    with pytest.raises(ValueError, match="layer 0 has TopK in a cross-layer transcoder, which the format"):
        export_cross_layer(tmp_path / "ours", tmp_path / "refused")


# What it takes


def stated(method, source, **changes):
    dense = DenseConfig(layers=LAYERS, d_model=CHANNELS, **changes)
    shapes = Shapes(VOCABULARY, CONTEXT, {"dense": dense})
    return method.stated_resources(SavedConfig(path=str(source), measured_tokens=200), shapes)


def test_what_saved_dictionaries_take_is_stated_from_the_headers_of_their_files(saes, tmp_path):
    save_circuit_tracer(mlp_dictionary(), tmp_path / "set")
    save_circuit_tracer(mlp_dictionary(cross_layer=True), tmp_path / "clt")
    for method, source in ((SAVED_SAE, saes), (SAVED_TRANSCODER, tmp_path / "set"), (SAVED_CLT, tmp_path / "clt")):
        artifact = tmp_path / f"artifact {method.name}"
        train(method, source, artifact)
        model = method.run_load(artifact, "errors_available", {"dense": random_dense()})
        found = stated(method, source)
        check_stated(
            found.training.dictionary_bytes, NUMBER * sum(each.numel() for each in model.dictionary_parameters())
        )
        size = found.variants["errors_available"]
        assert (size.sites, size.site_count) == (sum(site.size for site in model.sites), len(model.sites))


def test_dictionaries_that_do_not_fit_are_refused_when_a_run_is_planned(saes, tmp_path):
    with pytest.raises(ValueError, match=r"no dictionary for blocks\.3\.resid_post; it has those of blocks\.0\."):
        SAVED_SAE.stated_resources(
            SavedConfig(path=str(saes)), Shapes(VOCABULARY, CONTEXT, {"dense": DenseConfig(layers=4, d_model=CHANNELS)})
        )
    for name in ("a", "b/width_24", "c"):
        narrow(saes / name)
    with pytest.raises(ValueError, match=r"source': the dictionary reads 4 channels and writes to 4, .* has 16 and 16"):
        stated(SAVED_SAE, saes)
    save_circuit_tracer(mlp_dictionary(), tmp_path / "set")
    with pytest.raises(ValueError, match="the dictionary has 3 layers, and the model 2"):
        SAVED_TRANSCODER.stated_resources(
            SavedConfig(path=str(tmp_path / "set")),
            Shapes(VOCABULARY, CONTEXT, {"dense": DenseConfig(layers=2, d_model=CHANNELS)}),
        )
