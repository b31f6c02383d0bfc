import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toy_corpus import counting_corpus

import sparse_model.training as module
from baselines.random_weights import RANDOM_WEIGHTS
from sparse_model import linear, resuming
from sparse_model.config import CorpusModelConfig
from sparse_model.method import WEIGHT_SPARSE
from sparse_model.training import Run, normalise_gradient, project, train
from sparse_model.transformer import Transformer, load_transformer

CONFIG = CorpusModelConfig(
    d_model=32, density=0.2, embedding_density=0.3, tokens=20 * 2 * 16, batch=2, learning_rate=0.05, warm_up=0.1
)
SHAPE = CONFIG.transformer(vocabulary=300, context=16)


@pytest.fixture
def corpus():
    return counting_corpus()


def quiet(done, total, note=""):
    pass


def test_every_matrix_ends_with_its_share_and_every_neuron_with_its_minimum(tmp_path, corpus):
    facts = train(corpus, CONFIG, 0, {}, tmp_path, quiet)
    model = load_transformer(tmp_path)
    for block in model.blocks:
        for weight, neurons in ((block.W_Q, 1), (block.W_V, 1), (block.W_in, 1), (block.W_O, 0), (block.W_out, 0)):
            assert weight.count_nonzero() == round(0.2 * weight.numel())
            assert (weight != 0).sum(neurons).min() >= 4
        assert block.b_in.count_nonzero() == block.b_in.numel()
    assert model.W_U.count_nonzero() == round(0.3 * model.W_U.numel())
    assert facts.bigram_parameters == 300 * 300
    assert facts.nonzero_parameters == sum(
        int(value.count_nonzero())
        for name, value in load_file(tmp_path / "model.safetensors").items()
        if name != "bigram"
    )
    assert facts.training_flops == 6.0 * facts.nonzero_parameters * 640


def test_training_learns_and_says_how_far_it_is(tmp_path, monkeypatch, corpus):
    monkeypatch.setattr(resuming, "REPORT_SECONDS", 0)
    seen = []
    longer = CONFIG.model_copy(update={"tokens": 5 * CONFIG.tokens})
    facts = train(corpus, longer, 0, {}, tmp_path, lambda done, total, note="": seen.append((done, total, note)))
    curve = json.loads((tmp_path / "training.json").read_text())["curve"]
    assert len(seen) == 100
    assert seen[-1][:2] == (100, 100)
    assert seen[-1][2].startswith("loss ")
    assert "density 0.20" in seen[-1][2]
    assert curve[0]["loss"] == pytest.approx(np.log(300), abs=0.2)
    assert facts.validation_loss < curve[0]["loss"] - 1


def test_another_seed_gives_other_weights_and_the_same_seed_the_same(corpus):
    def weights(seed):
        return Run(corpus, CONFIG, seed).model.W_E

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_gradients_are_scaled_to_a_root_mean_square_of_one_over_all_parameters():
    first, second = torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(2, 2))
    first.grad, second.grad = torch.full((3,), 2.0), torch.full((2, 2), -4.0)
    normalise_gradient([first, second])
    scale = ((3 * 4 + 4 * 16) / 7) ** 0.5
    torch.testing.assert_close(first.grad, torch.full((3,), 2 / scale), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(second.grad, torch.full((2, 2), -4 / scale), atol=1e-4, rtol=1e-4)


def test_a_step_is_adam_then_projection_then_decay(corpus):
    run = Run(corpus, CONFIG, 0)
    before = run.model.blocks[0].W_in.detach().clone()
    run.losses = [0.0] * 15
    run.step(15)  # density has arrived; rate = 0.05 x (1 - 13 / 18)
    rate = 0.05 * (1 - 13 / 18)
    after, moments = run.model.blocks[0].W_in.detach(), run.optimizer.state[run.model.blocks[0].W_in]
    kept = after != 0
    update = (moments["exp_avg"] / 0.1) / ((moments["exp_avg_sq"] / 0.05).sqrt() + 0.1)
    expected = (before - rate * update) * (1 - rate * 0.1)
    assert kept.sum() == round(0.2 * kept.numel())
    torch.testing.assert_close(after[kept], expected[kept], rtol=1e-4, atol=1e-5)
    assert after[kept].abs().mean() > expected[~kept].abs().mean()


def test_biases_are_sparse_only_when_asked_for():
    model = Transformer(SHAPE).initialise(torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.blocks[0].b_in.normal_()
    project(model, CONFIG, 0.2, 0.3)
    assert model.blocks[0].b_in.count_nonzero() == 128
    project(model, CONFIG.model_copy(update={"sparse_biases": True}), 0.2, 0.3)
    assert model.blocks[0].b_in.count_nonzero() == round(0.3 * 128)


def test_a_loss_that_is_no_number_is_an_error_that_names_the_learning_rate(tmp_path, monkeypatch, corpus):
    monkeypatch.setattr(module, "train_on", lambda *arguments: float("nan"))
    with pytest.raises(ValueError, match=r"loss nan at step 0; choose a learning_rate below 0.05"):
        train(corpus, CONFIG, 0, {}, tmp_path, quiet)


@pytest.mark.parametrize("method", [WEIGHT_SPARSE, RANDOM_WEIGHTS])
def test_a_method_trains_and_loads_through_its_record(tmp_path, corpus, method):
    facts = method.run_train(corpus, CONFIG, 0, {}, tmp_path, quiet)
    model = method.run_load(tmp_path, "native", {})
    assert isinstance(model, Transformer)
    assert facts.nonzero_parameters > 0


def first_losses(corpus, **settings):
    run = Run(corpus, CONFIG.model_copy(update=settings), 0)
    for _ in range(6):
        run.advance()
    return run.losses, run


@pytest.mark.parametrize("way", linear.available())
@pytest.mark.parametrize("settings", [{}, {"sink": True, "positional": "concatenated"}])
def test_products_in_bfloat16_change_losses_little_and_leave_weights_in_float32(corpus, settings, way):
    with linear.using(way):
        exact, _ = first_losses(corpus, **settings)
        rounded, run = first_losses(corpus, **settings, precision="bfloat16")
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.02)
    assert {parameter.dtype for parameter in run.model.parameters()} == {torch.float32}


def test_training_in_float32_has_the_key_that_it_had_before_there_was_a_choice():
    assert "precision" not in CONFIG.model_dump()
    assert CorpusModelConfig(precision="bfloat16").model_dump()["precision"] == "bfloat16"
