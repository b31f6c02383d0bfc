"""Which pairs and nodes single edits are made on, and what is said where there are none."""

import numpy as np
import pytest
import torch

from benchmark import metrics
from benchmark.interventions.replacement import Node
from benchmark.model.circuit import Circuit
from benchmark.scoring.intervention_prediction import equally_long
from benchmark.scoring.redundant_nodes import drawn_nodes
from benchmark.tasks.answers import first_answer_difference
from benchmark.tasks.prompts import PromptBatch


def test_pairs_of_different_length_are_left_out():
    last = torch.tensor([3, 3, 2, 4, 4, 4])
    answer = torch.tensor([1, 2] * 3)
    found = equally_long(PromptBatch(torch.arange(30).reshape(6, 5), last, answer, 3 - answer))
    assert found.last.tolist() == [3, 3, 4, 4]
    assert found.tokens[:, 0].tolist() == [0, 5, 20, 25]


def test_nodes_are_drawn_among_the_kept_ones_and_all_if_there_are_few():
    mask = torch.tensor([True, False, True, True])
    few = drawn_nodes(Circuit({"a": mask, "b": ~mask}), 9, torch.Generator().manual_seed(0))
    assert few == [Node("a", 0), Node("a", 2), Node("a", 3), Node("b", 1)]
    drawn = drawn_nodes(Circuit({"a": mask, "b": ~mask}), 2, torch.Generator().manual_seed(0))
    assert len(drawn) == 2
    assert set(drawn) < set(few)


def test_rank_correlation_asks_for_the_order_alone_and_not_among_edits_that_do_nothing():
    known = np.array([3.0, 1.0, -2.0, 0.001, -0.002])
    assert metrics.rank_correlation(known, np.array([9.0, 0.1, -0.1, -0.003, 0.004])) == pytest.approx(1)
    assert metrics.rank_correlation(known, -known) == pytest.approx(-1)


def test_idle_share_counts_rises_below_a_hundredth_of_a_nat_and_falls():
    assert metrics.idle_share(np.array([0.5, 0.01, 0.009, -0.3])) == 0.5


def pairs_and_logits(sure, noise):
    """Pairs of prompts whose answers are tokens 0 and 1, and logits that prefer the right one by about so much."""
    answer = torch.arange(8) % 2
    batch = PromptBatch(torch.zeros(8, 1, dtype=torch.int64), torch.zeros(8, dtype=torch.int64), answer, 1 - answer)
    by = sure + noise * torch.tensor([1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0])
    return batch, torch.nn.functional.one_hot(answer, 2) * by[:, None]


def test_the_signed_difference_varies_between_the_two_answers_not_by_how_sure_a_model_is():
    batch, whole = pairs_and_logits(5.0, 0.1)
    _, circuit = pairs_and_logits(4.5, -0.1)
    signed = [first_answer_difference(logits, batch).numpy() for logits in (whole, circuit)]
    assert (signed[0] > 0).tolist() == [True, False] * 4
    assert metrics.logit_difference_r2(*signed) == pytest.approx(1 - (0.5**2 + 0.2**2) / (5**2 + 0.1**2), abs=1e-3)
    right_less_wrong = [metrics.logit_difference(logits, batch.answer, batch.other) for logits in (whole, circuit)]
    assert metrics.logit_difference_r2(*right_less_wrong) < -20  # what it said of this circuit before


def test_no_change_at_all_predicts_nothing_of_edits_that_all_flip_the_answer():
    flips = np.full(8, 6.0) * np.where(np.arange(8) % 2, -1, 1)
    assert metrics.logit_difference_r2(flips, np.zeros(8)) == 0
    assert metrics.logit_difference_r2(flips, 0.9 * flips) == pytest.approx(0.99)
