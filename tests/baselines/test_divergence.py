"""A training that runs away ends in one line with the method, the step, the value and the setting to look at."""

import re

import pytest
from tiny_dense import random_corpus, random_dense

import baselines.activations
from benchmark.methods import METHODS

CONFIG = {"features": 32, "k": 4, "tokens": 640, "batch": 64, "measured_tokens": 200}


def train(name, folder, **changes):
    method = METHODS.named(name)
    config = method.config(**{**CONFIG, **changes})
    return method.run_train(random_corpus(), config, 0, {"dense": random_dense()}, folder, lambda *told: None)


@pytest.mark.parametrize("name", ["sae", "transcoder", "clt"])
def test_a_loss_that_is_not_finite_names_method_step_and_learning_rate(name, tmp_path, monkeypatch):
    of = baselines.activations.Normaliser.__call__
    monkeypatch.setattr(baselines.activations.Normaliser, "__call__", lambda *rows: of(*rows) * float("inf"))
    said = rf"{name}: loss nan at step \d+; choose a learning_rate below 0\.002"
    with pytest.raises(ValueError, match=f"^{said}$"):
        train(name, tmp_path)


@pytest.mark.parametrize(("name", "rate"), [("sae", 1e6), ("clt", 1e6), ("transcoder", 1e6)])
def test_a_learning_rate_far_too_high_is_an_error_or_a_dictionary_worse_than_the_mean(name, rate, tmp_path):
    said = ""
    try:
        worse = train(name, tmp_path, learning_rate=rate).dictionary["fvu"] > 1
    except ValueError as error:
        worse, said = False, str(error)
    assert worse or re.fullmatch(rf"{name}: (validation )?(loss|weights) .*; choose a learning_rate below 1e\+06", said)
