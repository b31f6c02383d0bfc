"""What ours is timed against gives the same as ours."""

import torch
from torch.testing import assert_close
from toy_corpus import counting_corpus

from benchmark.model.interface import forward
from benchmark.studies.speed import check
from sparse_model import naive
from sparse_model.config import CorpusModelConfig
from sparse_model.random_run import random_run
from sparse_model.speed import comparisons
from sparse_model.training import Run, validation_loss

CONFIG = CorpusModelConfig(
    d_model=32, d_head=8, density=0.2, tokens=24 * 4 * 16, batch=4, positional="concatenated", learning_rate=0.02
)


def test_all_ways_that_are_timed_give_the_same():
    for comparison in comparisons():
        assert comparison.others
        if comparison.same_results:
            check(comparison)


def test_the_naive_logits_are_those_of_the_model():
    for positional in ("none", "concatenated"):
        model = random_run(CONFIG.model_copy(update={"positional": positional}), context=16).model
        tokens = torch.randint(2_048, (2, 16), generator=torch.Generator().manual_seed(0))
        assert_close(naive.logits(model, tokens), forward(model, tokens))


def test_a_naive_run_has_the_losses_and_the_zeros_of_ours():
    corpus = counting_corpus()
    ours, theirs = Run(corpus, CONFIG, 0), naive.NaiveRun(corpus, CONFIG, 0)
    for step in range(ours.total):
        assert_close(ours.step(step), theirs.step(step), rtol=1e-3, atol=1e-3)
    losses = [validation_loss(run.model, corpus, 40) for run in (ours, theirs)]
    assert abs(losses[0] - losses[1]) < 1e-3
    for mine, naively in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        assert ((mine != 0) != (naively != 0)).float().mean() < 0.01
