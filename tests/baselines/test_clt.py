import json

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from tiny_dense import CHANNELS, LAYERS, random_corpus, random_dense, random_tokens
from torch.testing import assert_close

from baselines import sparse_features
from baselines.activations import Normaliser
from baselines.clt import CLT, CLTConfig
from baselines.clt.coder import CrossLayerTranscoder, JumpReLU
from baselines.coder_training import fit, learning_rate_share
from baselines.dictionary import auxiliary_loss, revived
from benchmark.metrics import fvu
from benchmark.model.interface import forward

ACTIVATIONS = pytest.mark.parametrize("activation", ["topk", "batchtopk", "jumprelu"])


def silent(*arguments):
    pass


def small_coder(d_in=6, d_out=5, layers=3, **settings) -> CrossLayerTranscoder:
    config = CLTConfig(features=20, k=4, tokens=64, batch=64, threshold=0.3, **settings)
    coder = CrossLayerTranscoder(config, d_in, d_out, layers, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for decoder in coder.W_dec:
            decoder.mul_(torch.rand(20, 1, generator=torch.Generator().manual_seed(1)) + 0.5)
    return coder


def rows(count=32, d_in=6, d_out=5, layers=3):
    generator = torch.Generator().manual_seed(2)
    return (
        [torch.randn(count, d_in, generator=generator) for _ in range(layers)],
        [torch.randn(count, d_out, generator=generator) for _ in range(layers)],
    )


def naive_features(coder, inputs):
    before = [x @ weight.T + bias for x, weight, bias in zip(inputs, coder.W_enc, coder.b_enc, strict=True)]
    if coder.config.activation == "jumprelu":
        return [x.relu() * (x > theta.exp()) for x, theta in zip(before, coder.log_threshold, strict=True)]
    strength = torch.stack([x * decoder.norm(dim=1) for x, decoder in zip(before, coder.W_dec, strict=True)])
    if coder.config.activation == "topk":
        kept = torch.zeros_like(strength).scatter(-1, strength.topk(4).indices, 1.0)
    else:
        kept = torch.zeros(strength.numel()).scatter(0, strength.flatten().topk(4 * 3 * 32).indices, 1.0)
    return [x.relu() * mask for x, mask in zip(before, kept.view_as(strength), strict=True)]


@pytest.mark.parametrize("densest", [0.0, 1.0], ids=["dense", "entries"])
@ACTIVATIONS
def test_the_coder_equals_the_three_lines_of_the_formula_and_so_do_its_gradients(activation, densest, monkeypatch):
    monkeypatch.setattr(sparse_features, "DENSEST", densest)
    coder, (inputs, targets) = small_coder(activation=activation, sparsity=0.0, revival=0.0), rows()
    features = naive_features(coder, inputs)
    predicted = [
        coder.b_dec[layer]
        + sum(features[s] @ coder.W_dec[s].unflatten(1, (-1, 5))[:, layer - s] for s in range(layer + 1))
        for layer in range(3)
    ]
    naive = sum((y - given).pow(2).sum(1).mean() for y, given in zip(targets, predicted, strict=True))
    loss = coder.loss(inputs, targets, torch.zeros(3, 20, dtype=torch.bool), step=0)
    assert_close(loss.total, naive)
    assert loss.error == pytest.approx(naive.item())
    learned = [coder.W_enc, coder.b_enc, *coder.W_dec, coder.b_dec]
    expected = torch.autograd.grad(naive, learned)
    for gradient, known in zip(torch.autograd.grad(loss.total, learned), expected, strict=True):
        assert_close(gradient, known, atol=1e-5, rtol=1e-4)


def test_the_tanh_penalty_is_that_of_the_paper_and_rises_over_the_run():
    coder, (inputs, targets) = small_coder(activation="jumprelu", sparsity=2.0, revival=0.0, tanh_scale=4.0), rows()
    norms = [decoder.norm(dim=1) for decoder in coder.W_dec]
    features = naive_features(coder, inputs)
    penalty = sum(torch.tanh(4 * norm * a).sum(1).mean() for norm, a in zip(norms, features, strict=True))
    dead = torch.zeros(3, 20, dtype=torch.bool)
    first, last = coder.loss(inputs, targets, dead, 0), coder.loss(inputs, targets, dead, coder.config.steps)
    assert_close(last.total - first.total, 2 * penalty)
    assert first.total.item() == pytest.approx(first.error)


def test_the_threshold_of_a_jump_relu_learns_from_what_is_near_it():
    before = torch.tensor([[0.2], [0.45], [0.6], [3.0]])
    threshold = torch.tensor([0.5], requires_grad=True)
    JumpReLU.apply(before, threshold, 0.4).sum().backward()
    assert_close(threshold.grad, torch.tensor([-(0.5 / 0.4) * 2]))


def test_dead_features_learn_to_predict_what_is_missed():
    coder, (inputs, targets) = small_coder(activation="topk"), rows()
    dead = torch.zeros(3, 20, dtype=torch.bool)
    dead[1, :2] = True
    with torch.no_grad():
        coder.W_enc[1, :2] *= 1e-3  # too weak to be among the strongest
    coder.loss(inputs, targets, dead, 0).total.backward()
    assert coder.W_dec[1].grad[:2].abs().sum() > 0
    coder.zero_grad()
    coder.loss(inputs, targets, torch.zeros_like(dead), 0).total.backward()
    assert coder.W_dec[1].grad[:2].abs().sum() == 0


def test_auxk_makes_no_use_of_negative_activations():
    before, decoder, missed = -torch.rand(8, 3), torch.randn(3, 4), torch.randn(8, 4)
    before.requires_grad_(True)
    loss = auxiliary_loss(before, decoder, missed)
    loss.backward()
    assert_close(loss, missed.square().sum() / 8)
    assert not before.grad.any()


def test_no_feature_is_revived_on_a_row_of_nothing():
    source, missed = torch.cat([torch.zeros(50, 4), torch.ones(1, 4)]), torch.ones(51, 3)
    found = revived(source, missed, 20, torch.Generator().manual_seed(0))
    assert all(part.isfinite().all() for part in found)
    assert_close(found[0], torch.full((20, 4), 0.5))


def test_a_revived_feature_makes_good_half_of_what_is_missed_at_its_row_and_is_silent_at_unlike_rows():
    coder, (inputs, _) = small_coder(activation="topk"), rows(count=1)
    dead = torch.zeros(3, 20, dtype=torch.bool)
    dead[0, 7] = True
    missed = [torch.randn(1, 5, generator=torch.Generator().manual_seed(3)) for _ in range(3)]
    coder.revive(dead, inputs, missed, torch.Generator().manual_seed(4))
    activation = torch.nn.functional.linear(inputs[0], coder.W_enc[0], coder.b_enc[0])[0, 7]
    assert_close(activation * coder.W_dec[0][7], torch.cat(missed, dim=1)[0] / 2)
    unlike = torch.linalg.svd(inputs[0])[2][1:]  # orthogonal to the row
    before = torch.cat([unlike, inputs[0] / 2]) @ coder.W_enc[0, 7] + coder.b_enc[0, 7]
    assert (before[:-1] < 0).all()
    assert_close(before[-1], torch.zeros(()), atol=1e-6, rtol=0)


@ACTIVATIONS
def test_encoders_and_decoders_for_raw_activations_predict_what_the_coder_predicts(activation):
    coder, (inputs, _) = small_coder(activation=activation), rows()
    coder.batch_threshold.fill_(0.4)
    coder.eval()
    generator = torch.Generator().manual_seed(5)
    sources = [Normaliser(torch.randn(6, generator=generator), 0.7) for _ in range(3)]
    targets = [Normaliser(torch.randn(5, generator=generator), 1.3) for _ in range(3)]
    raw = [x / source.scale + source.mean for x, source in zip(inputs, sources, strict=True)]
    dictionary = coder.dictionary(sources, targets)
    features = [encoder(x) for encoder, x in zip(dictionary.encoders, raw, strict=True)]
    if activation == "batchtopk":
        norms = [decoder.norm(dim=1) for decoder in coder.W_dec]
        before = [x.relu() for x in coder.before(inputs)]
        naive = [x * (x * norm > 0.4) for x, norm in zip(before, norms, strict=True)]
    else:
        naive = naive_features(coder, inputs)
    wanted = coder.predicted(naive)
    for layer, target in enumerate(targets):
        written = [features[source] @ dictionary.decoders[source][layer - source].T for source in range(layer + 1)]
        given = dictionary.biases[layer] + sum(written)
        assert_close(target(given), wanted[layer], atol=1e-4, rtol=1e-4)


@ACTIVATIONS
def test_training_lowers_fvu_on_planted_sparse_data(activation):
    generator = torch.Generator().manual_seed(6)
    reads = torch.nn.functional.normalize(torch.randn(16, 8, generator=generator), dim=1)
    writes = torch.randn(2, 16, 8, generator=generator)

    def batches():
        while True:
            causes = (torch.rand(256, 16, generator=generator) < 0.1) * torch.rand(256, 16, generator=generator) * 4
            yield [causes @ reads, causes @ reads], [causes @ writes[0], causes @ (writes[0] - writes[1])]

    config = CLTConfig(
        features=32, k=3, tokens=256 * 300, batch=256, activation=activation, learning_rate=1e-2, sparsity=0.05
    )
    coder = CrossLayerTranscoder(config, 8, 8, 2, generator)
    inputs, targets = next(batches())
    before = fvu(targets[1], coder.predicted(coder.features(coder.before(inputs), inputs))[1])
    fit(coder, batches(), config, generator, silent)
    after = fvu(targets[1], coder.predicted(coder.features(coder.before(inputs), inputs))[1])
    assert before > 0.9
    assert after < 0.3


def test_a_run_writes_circuit_tracers_files_and_is_the_same_for_the_same_seed(tmp_path):
    dense, corpus = random_dense(), random_corpus()
    config = CLTConfig(features=16, k=3, tokens=2560, batch=128, measured_tokens=200)
    facts = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        facts.append(CLT.run_train(corpus, config, 0, {"dense": dense}, tmp_path / name, silent))
    for file in (tmp_path / "first").iterdir():
        assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes(), file.name
    assert facts[0] == facts[1]
    assert set(facts[0].dictionary) == {"fvu", "l0", "dead_fraction", "loss_increase", "loss_recovered"}
    assert load_file(tmp_path / "first" / "W_dec_0.safetensors")["W_dec_0"].shape == (16, LAYERS, CHANNELS)
    quality = json.loads((tmp_path / "first" / "quality.json").read_text())
    assert list(quality["layers"]) == [f"blocks.{layer}.mlp_out" for layer in range(LAYERS)]
    model = CLT.run_load(tmp_path / "first", "errors_available", {"dense": dense})
    assert_close(forward(model, random_tokens()), forward(dense, random_tokens()), atol=1e-5, rtol=1e-5)


def test_the_learning_rate_rises_stays_and_falls():
    config = CLTConfig(tokens=100, batch=1, warm_up=0.1, decay=0.2)
    shares = [learning_rate_share(step, config) for step in (0, 9, 50, 80, 99)]
    assert shares == pytest.approx([0.1, 1.0, 1.0, 1.0, 0.05])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 600}, "k 600 is more than the 256 features; choose 1 to 256"),
        ({"warm_up": 0.6, "decay": 0.6}, "warm_up 0.6 and decay 0.6 exceed the whole run"),
        ({"batch": 100, "tokens": 50}, "batch 100 is more than the 50 tokens"),
        ({"activation": "relu"}, "'topk', 'batchtopk' or 'jumprelu'"),
        ({"feature": 3}, "Extra inputs"),
    ],
)
def test_a_bad_setting_is_refused_in_one_line_with_the_choices(settings, message):
    with pytest.raises(ValidationError, match=message):
        CLTConfig(**settings)
