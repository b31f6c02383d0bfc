"""Folders of circuit-tracer: read with the outputs of its own formulas, and written so that it reads the same."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from baselines.circuit_tracer_files import files_of, read_circuit_tracer, save_circuit_tracer
from baselines.dictionary import Dictionary, Encoder

D_MODEL, FEATURES, LAYERS = 8, 20, 3
SET = "model_kind: transcoder_set\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: hook_mlp_out\n"
CLT = SET.replace("transcoder_set", "cross_layer_transcoder")


def drawn(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rows():
    return [3 * drawn(40, D_MODEL, seed=100 + layer) for layer in range(LAYERS)]


def write_set(folder, config=SET, threshold=True, skip=False, dtype=torch.float32, **more):
    (folder / "config.yaml").write_text(config)
    for layer in range(LAYERS):
        shapes = {"W_enc": (FEATURES, D_MODEL), "b_enc": (FEATURES,), "W_dec": (FEATURES, D_MODEL), "b_dec": (D_MODEL,)}
        shapes |= {"activation_function.threshold": (FEATURES,)} if threshold else {}
        shapes |= {"W_skip": (D_MODEL, D_MODEL)} if skip else {}
        tensors = {
            name: drawn(*shape, seed=10 * layer + at).to(dtype) for at, (name, shape) in enumerate(shapes.items())
        }
        save_file({**tensors, **more}, folder / f"layer_{layer}.safetensors")
    return folder


def write_clt(folder, config=CLT, threshold=True):
    (folder / "config.yaml").write_text(config)
    for layer in range(LAYERS):
        shapes = {"W_enc": (FEATURES, D_MODEL), "b_enc": (FEATURES,), "b_dec": (D_MODEL,)}
        shapes |= {"threshold": (FEATURES,)} if threshold else {}
        named = {f"{name}_{layer}": drawn(*s, seed=10 * layer + at) for at, (name, s) in enumerate(shapes.items())}
        save_file(named, folder / f"W_enc_{layer}.safetensors")
        decoder = drawn(FEATURES, LAYERS - layer, D_MODEL, seed=77 + layer)
        save_file({f"W_dec_{layer}": decoder}, folder / f"W_dec_{layer}.safetensors")
    return folder


def outputs(dictionary, inputs):
    features = [encoder(x) for encoder, x in zip(dictionary.encoders, inputs, strict=True)]
    found = []
    for layer, bias in enumerate(dictionary.biases):
        sources = [s for s in range(layer + 1) if layer - s < len(dictionary.decoders[s])]
        found.append(bias + sum(features[s] @ dictionary.decoders[s][layer - s].T for s in sources))
    return features, found


def activated(before, weights, k=None):
    """circuit-tracer's activation functions: TopK without a ReLU, JumpReLU without a ReLU, or a ReLU."""
    if k is not None:
        return torch.zeros_like(before).scatter(-1, before.topk(k).indices, 1.0) * before
    threshold = weights.get("activation_function.threshold", weights.get("threshold"))
    return before.relu() if threshold is None else before * (before > threshold)


def set_of_circuit_tracer(folder, inputs, k=None):
    found = []
    for layer, x in enumerate(inputs):
        weights = {name: each.float() for name, each in load_file(folder / f"layer_{layer}.safetensors").items()}
        features = activated(x @ weights["W_enc"].T + weights["b_enc"], weights, k)
        out = features @ weights["W_dec"] + weights["b_dec"]
        found.append(out + x @ weights["W_skip"].T if "W_skip" in weights else out)
    return found


def clt_of_circuit_tracer(folder, inputs):
    found = [torch.zeros_like(x) for x in inputs]
    for layer, x in enumerate(inputs):
        stored = load_file(folder / f"W_enc_{layer}.safetensors") | load_file(folder / f"W_dec_{layer}.safetensors")
        weights = {name.removesuffix(f"_{layer}"): each for name, each in stored.items()}
        features = activated(x @ weights["W_enc"].T + weights["b_enc"], weights)
        found[layer] += weights["b_dec"]
        for ahead, write in enumerate(weights["W_dec"].unbind(1)):
            found[layer + ahead] += features @ write
    return found


def check(found, known):
    for ours, theirs in zip(found, known, strict=True):
        assert_close(ours, theirs, atol=1e-5 * theirs.abs().max().item(), rtol=1e-5)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize(
    ("activation", "threshold", "k"),
    [("", True, None), ("", False, None), ("jump_relu", True, None), ("relu", False, None), ("topk", False, 14)],
)
def test_a_set_of_transcoders_computes_what_circuit_tracer_computes(activation, threshold, k, skip, tmp_path):
    config = SET + (f"activation: {activation}\n" if activation else "") + (f"k: {k}\n" if k else "")
    write_set(tmp_path, config, threshold, skip)
    dictionary, cross_layer = read_circuit_tracer(tmp_path)
    assert not cross_layer
    features, found = outputs(dictionary, rows())
    check(found, set_of_circuit_tracer(tmp_path, rows(), k))
    assert features[0].shape[1] == FEATURES + D_MODEL * skip
    if threshold or k:
        assert (features[0][:, :FEATURES] < 0).any()  # where circuit-tracer has no ReLU


@pytest.mark.parametrize("threshold", [True, False])
def test_a_cross_layer_transcoder_computes_what_circuit_tracer_computes(threshold, tmp_path):
    write_clt(tmp_path, threshold=threshold)
    dictionary, cross_layer = read_circuit_tracer(tmp_path)
    assert cross_layer
    check(outputs(dictionary, rows())[1], clt_of_circuit_tracer(tmp_path, rows()))


def test_weights_in_bfloat16_are_used_in_float32(tmp_path):
    write_set(tmp_path, dtype=torch.bfloat16)
    dictionary, _ = read_circuit_tracer(tmp_path)
    check(outputs(dictionary, rows())[1], set_of_circuit_tracer(tmp_path, rows()))


def test_files_that_the_configuration_names_are_read_in_its_order(tmp_path):
    write_set(tmp_path)
    names = [f"layer_{layer}.safetensors" for layer in (2, 0, 1)]
    (tmp_path / "config.yaml").write_text(SET + "transcoders:\n" + "".join(f"- {name}\n" for name in names))
    first = read_circuit_tracer(tmp_path)[0].encoders[0].weight
    assert torch.equal(first, load_file(tmp_path / "layer_2.safetensors")["W_enc"])
    assert files_of(tmp_path) == ["config.yaml", *names]


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (SET.replace("mlp.hook_in", "hook_resid_mid"), "feature_input_hook is 'hook_resid_mid', but .* mlp.hook_in"),
        (SET.replace("hook_mlp_out", "hook_resid_post"), "feature_output_hook is 'hook_resid_post'"),
        (SET.replace("transcoder_set", "lorsa"), "model_kind = 'lorsa'"),
        (SET + "activation: topk\n", "activation is 'topk' and k is None"),
        (SET + "activation: gelu\nk: 3\n", "activation = 'gelu'"),
        (SET + "k: 3\n", "activation is None and k is 3"),
        (SET + "dtype: bf16\n", "dtype = 'bf16'"),
        (SET + "transcoders: [hf://somebody/something/layer_0.safetensors]\n", "names 'hf://somebody/"),
        (SET + "transcoders: [../layer_0.safetensors]\n", "not inside its folder"),
        (SET + "activation: jumprelu\n", "lacks activation_function.threshold"),
        (CLT + "activation: relu\n", "activation is for a transcoder_set"),
        ("- a\n- b\n", "does not contain a table"),
        ("a: &a [1]\nb: *a\n", "a reference to 'a'"),
        ("a: !!python/object/apply:os.system [ls]\n", "not a complete YAML file"),
        ("a: [", "not a complete YAML file"),
        ("[" * 5000, "not a complete YAML file"),
        ("a: " + "b" * 70_000, "a YAML file has at most 65,536"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_in_one_line(config, match, tmp_path):
    write_set(tmp_path, threshold=False)
    (tmp_path / "config.yaml").write_text(config)
    with pytest.raises(ValueError, match=rf"^.*(config\.yaml|layer_0).*{match}.*$") as error:
        read_circuit_tracer(tmp_path)
    assert "\n" not in str(error.value)


def damaged(folder, name, **changes):
    tensors = load_file(folder / name)
    for key, value in changes.items():
        tensors.pop(key, None)
        tensors |= {} if value is None else {key: value}
    save_file(tensors, folder / name)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"b_enc": None}, "lacks b_enc"),
        ({"W_gate": torch.ones(2)}, "contains unknown W_gate"),
        ({"W_dec": torch.ones(FEATURES, 3)}, r"W_dec \[20, 3\] instead of \[20, 8\]"),
        ({"W_enc": torch.ones(3)}, "not a complete transcoder"),
        ({"b_enc": torch.full((FEATURES,), torch.nan)}, "not finite in b_enc"),
        ({"b_enc": torch.ones(FEATURES, dtype=torch.int64)}, "'b_enc' of the type I64"),
        ({"k": torch.tensor(4)}, "has k = 4, and config.yaml has None"),
    ],
)
def test_a_file_of_a_layer_that_cannot_be_used_is_refused_in_one_line(changes, match, tmp_path):
    damaged(write_set(tmp_path), "layer_1.safetensors", **changes)
    with pytest.raises(ValueError, match=rf"^.*layer_1\.safetensors .*{match}.*$"):
        read_circuit_tracer(tmp_path)


def test_a_layer_that_is_missing_is_named(tmp_path):
    (write_set(tmp_path) / "layer_1.safetensors").unlink()
    with pytest.raises(ValueError, match=r"layer_1\.safetensors does not exist"):
        read_circuit_tracer(tmp_path)
    (write_clt(tmp_path) / "W_enc_0.safetensors").unlink()
    with pytest.raises(ValueError, match=r"W_enc_0\.safetensors does not exist"):
        read_circuit_tracer(tmp_path)


def test_thresholds_of_some_layers_only_are_refused(tmp_path):
    damaged(write_clt(tmp_path), "W_enc_1.safetensors", threshold_1=None)
    with pytest.raises(ValueError, match=r"W_enc_1\.safetensors lacks threshold"):
        read_circuit_tracer(tmp_path)


# Writing


def made(cross_layer=False, linear=0, **settings):
    encoders, decoders = [], []
    for layer in range(LAYERS):
        weight, bias = drawn(FEATURES + linear, D_MODEL, seed=layer), drawn(FEATURES + linear, seed=30 + layer)
        sparse = settings or {"threshold": drawn(FEATURES, seed=60 + layer)}
        encoders.append(Encoder(weight, bias, linear=linear, **sparse).requires_grad_(False))
        targets = LAYERS - layer if cross_layer else 1
        decoders.append([drawn(D_MODEL, FEATURES + linear, seed=90 + layer + ahead) for ahead in range(targets)])
    return Dictionary(encoders, decoders, [drawn(D_MODEL, seed=120 + layer) for layer in range(LAYERS)])


@pytest.mark.parametrize("linear", [0, D_MODEL])
def test_transcoders_are_written_as_circuit_tracer_computes_them(linear, tmp_path):
    dictionary = made(linear=linear)
    save_circuit_tracer(dictionary, tmp_path / "out")
    check(set_of_circuit_tracer(tmp_path / "out", rows()), outputs(dictionary, rows())[1])
    check(outputs(read_circuit_tracer(tmp_path / "out")[0], rows())[1], outputs(dictionary, rows())[1])


def test_top_k_without_a_relu_is_written_with_its_k(tmp_path):
    dictionary = made(k=4, negative="kept")
    save_circuit_tracer(dictionary, tmp_path)
    assert "activation: topk\nk: 4\n" in (tmp_path / "config.yaml").read_text()
    check(set_of_circuit_tracer(tmp_path, rows(), k=4), outputs(dictionary, rows())[1])
    check(outputs(read_circuit_tracer(tmp_path)[0], rows())[1], outputs(dictionary, rows())[1])


def test_a_cross_layer_transcoder_is_written_with_its_hook_points(tmp_path):
    dictionary = made(cross_layer=True)
    save_circuit_tracer(dictionary, tmp_path)
    assert (tmp_path / "config.yaml").read_text() == CLT
    check(clt_of_circuit_tracer(tmp_path, rows()), outputs(dictionary, rows())[1])
    check(outputs(read_circuit_tracer(tmp_path)[0], rows())[1], outputs(dictionary, rows())[1])


@pytest.mark.parametrize(
    ("dictionary", "reason"),
    [
        (made(cross_layer=True, k=3), "TopK in a cross-layer transcoder"),
        (made(k=3), "TopK with a ReLU"),
        (made(k=3, negative="by_size"), "AbsTopK"),
        (made(cross_layer=True, linear=2), "a skip connection in a cross-layer transcoder"),
        (made(threshold=torch.zeros(FEATURES), rows="layer_norm"), "rows scaled by layer_norm"),
    ],
)
def test_what_the_format_cannot_say_is_refused_and_nothing_is_written(dictionary, reason, tmp_path):
    with pytest.raises(ValueError, match=f"layer 0 has {reason}, which the format of circuit-tracer cannot say"):
        save_circuit_tracer(dictionary, tmp_path / "out")
    assert not (tmp_path / "out").exists()
