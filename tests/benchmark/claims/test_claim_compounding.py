"""Replacing layer after layer, and each alone."""

import numpy as np
import pytest
import torch
from tiny_dense import LAYERS, random_clt, random_dense, random_saes, random_tokens, random_transcoders

from baselines.replacement import ReplacedMLPs
from benchmark import metrics
from benchmark.claims.compounding import EVERY, error_curve, error_sites
from benchmark.claims.rows import compounding_measurements
from benchmark.interventions.ablation import corpus_means
from benchmark.model.interface import forward, record

WINDOWS = random_tokens(5)
TOKENS, TARGETS = WINDOWS[:, :-1], WINDOWS[:, 1:]

every_dictionary = pytest.mark.parametrize("make", [random_clt, random_transcoders, random_saes])


def curve_of(model, means=None):
    return error_curve(model, means or corpus_means(model, TOKENS), TOKENS, TARGETS, batch=2)


@every_dictionary
def test_no_layer_replaced_loses_nothing(make):
    found = curve_of(make(random_dense(), "errors_available"))
    assert found.consecutive_kl.shape == (LAYERS + 1, len(WINDOWS))
    assert found.alone_kl.shape == (LAYERS, len(WINDOWS))
    assert not found.consecutive_kl[0].any()
    assert not found.consecutive_loss[0].any()


@every_dictionary
def test_first_layer_alone_is_the_first_of_many(make):
    found = curve_of(make(random_dense(), "errors_available"))
    assert np.array_equal(found.alone_kl[0], found.consecutive_kl[1])
    assert np.array_equal(found.alone_loss[0], found.consecutive_loss[1])
    assert (found.alone_kl > 0).all()


@every_dictionary
def test_all_layers_replaced_is_the_variant_without_errors(make):
    dense = random_dense()
    alone, model = make(dense, "errors_ablated"), make(dense, "errors_available")
    held = {site.name: alone.mean_error[site.layer].data for site in error_sites(model)}
    found = curve_of(model, held)
    replaced, original = (forward(each, TOKENS)[:, EVERY - 1 :: EVERY] for each in (alone, dense))
    for window, kl in enumerate(found.consecutive_kl[-1]):
        assert kl == pytest.approx(metrics.kl_divergence(replaced[window], original[window]), rel=1e-4)
    targets = TARGETS[:, EVERY - 1 :: EVERY]
    losses = [
        torch.nn.functional.cross_entropy(each.transpose(1, 2), targets, reduction="none").mean(1)
        for each in (replaced, original)
    ]
    assert found.consecutive_loss[-1] == pytest.approx((losses[0] - losses[1]).numpy(), abs=1e-5)


def exact_dictionary():
    """A dense model whose MLPs write constants, and a dictionary whose biases are these."""
    dense = random_dense()
    with torch.no_grad():
        for block in dense.blocks:
            block.W_out.zero_()
    clt = random_clt(dense, "errors_available")
    own = [[torch.zeros_like(part.data) for part in parts] for parts in clt.decoders]
    biases = [block.b_out.data.clone() for block in dense.blocks]
    return ReplacedMLPs(dense, list(clt.encoders), own, biases, list(clt.mean_error), "errors_available")


def test_dictionary_that_predicts_exactly_loses_nothing_and_cannot_compound():
    model = exact_dictionary()
    assert all(float(record(model, TOKENS)[site.name].abs().max()) < 1e-6 for site in error_sites(model))
    found = curve_of(model)
    assert found.consecutive_kl == pytest.approx(0, abs=1e-8)
    compounding, kl = compounding_measurements(found, np.random.default_rng(0))
    assert (compounding.status, compounding.value) == ("undefined", None)
    assert compounding.reason == "replacing single layers does no harm"
    assert (kl.status, kl.n) == ("ok", len(WINDOWS))
    assert kl.value == pytest.approx(0, abs=1e-8)


def test_measured_rows_are_ratio_and_divergence_with_intervals_over_windows():
    found = curve_of(random_clt(random_dense(), "errors_available"))
    compounding, kl = compounding_measurements(found, np.random.default_rng(0))
    assert kl.value == pytest.approx(found.consecutive_kl[-1].mean())
    assert compounding.value == pytest.approx(kl.value / found.alone_kl.mean(axis=1).sum())
    for row in (compounding, kl):
        assert row.low < row.value < row.high
        assert row.interval == "prompts"


def test_a_model_whose_errors_are_gone_has_no_error_sites():
    assert error_sites(random_clt(random_dense(), "errors_ablated")) == []
    assert error_sites(random_dense()) == []
