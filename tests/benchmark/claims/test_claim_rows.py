"""What a claims cell writes."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_dense import random_clt, random_corpus, random_dense, random_saes

from benchmark.claims.dilution import DilutionPoint
from benchmark.claims.measure import measure, token_losses
from benchmark.claims.rows import CLAIMS, claim_measurements, write_claims
from benchmark.corpus.sampling import spread_windows
from benchmark.evaluate import load_reference
from benchmark.interventions.ablation import corpus_means
from benchmark.metrics.registry import METRICS
from benchmark.model.interface import next_token_loss

CORPUS = random_corpus()


def silent(done, total, note=""):
    pass


def measured(model, reference="one training seed"):
    means = corpus_means(model, spread_windows(CORPUS, "train", 100)[0])
    return measure(model, means, CORPUS, 100, reference, 0, silent)


OF_CLAIMS = {name for name, metric in METRICS.items() if metric.cell == "claims"}


def rows_of(found):
    return {row.metric: row for row in claim_measurements(found, np.random.default_rng(0))}


@pytest.fixture(scope="module")
def of_clt():
    return measured(random_clt(random_dense(), "errors_available"), random_dense())


def test_a_dictionary_with_errors_has_every_number(of_clt):
    rows = rows_of(of_clt)
    assert rows.keys() == OF_CLAIMS
    assert {name for name, row in rows.items() if row.status != "ok"} == {"context_dilution", "dilution_slope"}
    assert "not one" in rows["context_dilution"].reason


def test_with_errors_available_the_same_tokens_are_hard_as_in_the_dense_model(of_clt):
    row = rows_of(of_clt)["token_loss_correlation"]
    assert row.value == pytest.approx(1)
    assert row.n == len(of_clt.losses)


def test_a_transformer_has_no_errors_and_no_features():
    rows = rows_of(measured(random_dense()))
    assert rows.keys() == OF_CLAIMS - {"error_compounding", "replaced_kl", "firing_rate_spread"}
    assert (rows["token_loss_correlation"].status, rows["token_loss_correlation"].reason) == (
        "undefined",
        "one training seed",
    )


def test_connections_of_saes_are_opaque_and_it_is_said():
    row = rows_of(measured(random_saes(random_dense(), "errors_ablated")))["connection_density"]
    assert (row.value, row.status, row.reason) == (None, "undefined", "every connection between units is opaque")


def test_the_same_seed_measures_the_same(of_clt):
    again = measured(random_clt(random_dense(), "errors_available"), random_dense())
    assert rows_of(again) == rows_of(of_clt)


def test_whole_curves_and_distributions_are_written(of_clt, tmp_path):
    write_claims(of_clt, tmp_path)
    content = json.loads((tmp_path / CLAIMS).read_text())
    consecutive = content["error_compounding"]["consecutive"]
    assert [row["layers"] for row in consecutive] == [0, 1, 2, 3]
    assert consecutive[0]["kl"] == consecutive[0]["loss_increase"] == consecutive[0]["additive_kl"] == 0
    assert consecutive[1]["additive_kl"] == consecutive[1]["kl"] == content["error_compounding"]["alone"][0]["kl"]
    assert content["firing_rates"]["all"]["features"] == 36
    assert sum(content["firing_rates"]["all"]["histogram"]) == content["firing_rates"]["all"]["firing"]
    assert {"all", "feature to feature"} <= content["connection_density"].keys()
    assert content["token_losses"]["correlation"] == pytest.approx(1)
    assert content["context_dilution"] == []


def test_what_a_model_lacks_is_null(tmp_path):
    write_claims(measured(random_saes(random_dense(), "errors_ablated")), tmp_path)
    content = json.loads((tmp_path / CLAIMS).read_text())
    assert content["error_compounding"] is None
    assert content["connection_density"] == {"all": None}
    assert content["token_losses"]["correlation"] is None


def test_without_a_model_to_compare_with_the_reason_is_told():
    assert load_reference("dense", "dense", {}) == "one training seed"
    assert load_reference("clt", "dense", {}) == "the run has no method dense"


def point(elements, nested):
    return DilutionPoint(elements, 2 * elements, 0.9, nested, 1.0)


@pytest.mark.parametrize(
    ("nested", "value", "reason"),
    [
        ((0.9, 0.4), 6, ""),
        ((0.9, 0.6), None, "p(right) of nested lists stays at 0.5 or above up to 6 elements"),
        ((0.25, 0.6), None, "p(right) of nested lists is already 0.25 with 3 elements"),
    ],
)
def test_dilution_is_a_length_or_a_reason(of_clt, nested, value, reason):
    lists = tuple(point(elements, p) for elements, p in zip((3, 6), nested, strict=True))
    row = rows_of(replace(of_clt, lists=lists, why_no_lists=""))["context_dilution"]
    assert (row.value, row.reason) == (value, reason)


def test_token_losses_average_to_the_validation_loss():
    dense, (tokens, targets) = random_dense(), spread_windows(CORPUS, "validation", 100)
    losses = token_losses(dense, tokens, targets, batch=3)
    assert losses.shape == tokens.shape
    assert losses.mean() == pytest.approx(next_token_loss(dense, tokens, targets))
