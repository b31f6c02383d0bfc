import numpy as np
import pytest
import torch

from sparse_model.batches import Batches

WINDOWS = np.arange(7 * 5, dtype=np.uint16).reshape(7, 5)


def test_a_step_is_the_same_whatever_was_asked_before():
    straight = Batches(WINDOWS, size=3, seed=1)
    inorder = [straight.at(step) for step in range(9)]
    for step in (8, 0, 4):
        for found, expected in zip(Batches(WINDOWS, size=3, seed=1).at(step), inorder[step], strict=True):
            assert torch.equal(found, expected)


def test_every_pass_reads_every_window_once_in_another_order():
    first_tokens = torch.cat([Batches(WINDOWS, size=2, seed=0).at(step)[0][:, 0] for step in range(7)]).view(2, 7)
    assert torch.equal(first_tokens.sort().values, torch.arange(0, 35, 5).expand(2, -1))
    assert not torch.equal(*first_tokens)


def test_targets_are_the_following_tokens():
    tokens, targets = Batches(WINDOWS, size=3, seed=0).at(0)
    assert torch.equal(tokens + 1, targets)


def test_the_order_of_tokens_does_not_depend_on_the_batch():
    small, large = Batches(WINDOWS, size=2, seed=3), Batches(WINDOWS, size=6, seed=3)
    assert torch.equal(torch.cat([small.at(step)[0] for step in range(3)]), large.at(0)[0])


def test_a_corpus_without_a_window_is_an_error():
    with pytest.raises(ValueError, match="no training window"):
        Batches(WINDOWS[:0], size=2, seed=0)
