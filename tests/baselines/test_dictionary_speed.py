"""What ours is timed against gives the same as ours."""

from itertools import repeat

import pytest
import torch
from torch.testing import assert_close

from baselines import sparse_features
from baselines.clt import CLTConfig
from baselines.clt.coder import CrossLayerTranscoder
from baselines.clt.naive import NaiveTranscoder
from baselines.coder_training import fit as fit_clt
from baselines.config import DictionaryConfig
from baselines.sae_lens_own import own_sae, own_transcoder
from baselines.sae_lens_training import fit, new_sae, new_transcoder
from baselines.speed import comparisons
from benchmark.studies.live_memory import peak_bytes
from benchmark.studies.speed import check
from sparse_model import resuming


@pytest.fixture(autouse=True)
def every_step_is_reported(monkeypatch):
    monkeypatch.setattr(resuming, "REPORT_SECONDS", 0)


def test_all_ways_that_are_timed_give_the_same():
    found = comparisons(width=16, features=64, rows=64)
    assert len(found) == 3
    for comparison in found:
        check(comparison)


def loss_curve(sae, rows, config):
    """The losses that are reported while it is trained, as text."""
    told = []
    fit({"": sae}, repeat({"": rows}), config, torch.Generator(), lambda done, total, note: told.append(note))
    return told


def test_ours_has_the_loss_curve_of_sae_lenss_own_step():
    config = DictionaryConfig(features=64, k=4, batch=64, tokens=64 * 60, revivals=0, dead_after=60)
    rows = torch.randn(64, 24, generator=torch.Generator().manual_seed(0))
    for make, own in (
        (lambda: new_sae(config, "topk", 24), own_sae),
        (lambda: new_sae(config, "batchtopk", 24), own_sae),
        (lambda: new_transcoder(config, 16, 8), own_transcoder),
    ):
        torch.manual_seed(0)
        ours = make()
        curves = [loss_curve(sae, rows, config) for sae in (own(ours), ours)]
        assert curves[0] == curves[1]
        assert len(curves[0]) == 60
        assert len(set(curves[0])) > 3


@pytest.mark.parametrize("activation", ["topk", "batchtopk"])
def test_a_cross_layer_transcoder_has_the_loss_curve_of_dense_features(activation, monkeypatch):
    config = CLTConfig(features=64, k=4, batch=64, tokens=64 * 60, revivals=0, activation=activation)
    generator = torch.Generator().manual_seed(0)
    inputs, targets = (list(torch.randn(3, 64, size, generator=generator)) for size in (16, 8))
    curves = []
    for densest in (0.0, sparse_features.DENSEST):
        monkeypatch.setattr(sparse_features, "DENSEST", densest)
        coder, told = CrossLayerTranscoder(config, 16, 8, 3, torch.Generator().manual_seed(0)), []
        fit_clt(
            coder, repeat((inputs, targets)), config, generator, lambda done, total, note, told=told: told.append(note)
        )
        curves.append([float(note.removeprefix("loss ")) for note in told])
    assert curves[0] == pytest.approx(curves[1], abs=2e-3)
    assert len(set(curves[0])) > 3


def test_steps_take_at_most_half_the_memory_of_others():
    for comparison in comparisons(width=32, features=512, rows=256):
        ((_, other),) = comparison.others.items()
        assert peak_bytes(comparison.ours) <= peak_bytes(other) / 2, comparison.name


def test_the_naive_transcoder_has_the_loss_of_ours_and_no_decoder_towards_the_past():
    config = CLTConfig(features=20, k=4, batch=32, tokens=32)
    ours = CrossLayerTranscoder(config, 6, 5, 3, torch.Generator().manual_seed(0))
    theirs = NaiveTranscoder(ours)
    generator = torch.Generator().manual_seed(1)
    inputs, targets = ([torch.randn(32, size, generator=generator) for _ in range(3)] for size in (6, 5))
    dead = torch.zeros(3, 20, dtype=torch.bool)
    losses = [coder.loss(inputs, targets, dead, 0) for coder in (ours, theirs)]
    for loss in losses:
        loss.total.backward()
    assert_close(losses[0].total, losses[1].total)
    assert_close(ours.W_enc.grad, theirs.W_enc.grad)
    gradient = theirs.all_decoders.grad
    assert not gradient[2, :2].any()
    for source, decoder in enumerate(ours.W_dec):
        assert_close(decoder.grad.unflatten(1, (-1, 5)).transpose(0, 1), gradient[source, source:])
    assert_close(ours.batch_threshold, theirs.batch_threshold)
