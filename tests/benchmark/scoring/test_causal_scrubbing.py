"""Donors within a class, and two levels of least squared error."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.scoring.causal_scrubbing import class_donors, classes, two_levels
from benchmark.tasks.prompts import PromptBatch


def batch(answers: list[int], lengths: list[int]) -> PromptBatch:
    answer = torch.tensor(answers)
    tokens = torch.zeros(len(answers), max(lengths), dtype=torch.int64)
    return PromptBatch(tokens, torch.tensor(lengths) - 1, answer, 3 - answer)


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(2, 4)), min_size=1, max_size=20), st.integers(0, 99))
@settings(max_examples=50)
def test_each_node_permutes_the_prompts_of_every_class(prompts, seed):
    given_batch = batch(*map(list, zip(*prompts, strict=True)))
    donors = class_donors(classes(given_batch), 5, torch.Generator().manual_seed(seed))
    assert torch.equal(donors.sort(0).values, torch.arange(len(prompts))[:, None].expand(-1, 5))
    for own, others in zip(prompts, donors.tolist(), strict=True):
        assert {prompts[other] for other in others} == {own}


def test_nodes_have_donors_of_their_own():
    donors = class_donors(torch.zeros(40, dtype=torch.int64), 2, torch.Generator().manual_seed(0))
    assert not torch.equal(donors[:, 0], donors[:, 1])


def binarised(values):
    threshold, low, high = two_levels(values)
    return torch.where(values > threshold, high, low)


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=12))
@settings(max_examples=100, deadline=None)
def test_no_threshold_has_less_squared_error_than_the_one_that_is_found(row):
    values = torch.tensor(row, dtype=torch.float64)
    error = float((binarised(values[:, None])[:, 0] - values).square().sum())
    parts = [(values[values <= each], values[values > each]) for each in values.unique()]
    tried = [sum(float((part - part.mean()).square().sum()) for part in pair if len(part)) for pair in parts]
    assert error == pytest.approx(min(tried), abs=1e-9)


def test_a_node_of_two_values_is_left_as_it_is():
    values = torch.tensor([[0.0, 2.0], [1.0, 2.0], [0.0, -2.0], [0.0, 2.0]])
    assert torch.equal(binarised(values), values)


def test_a_node_of_one_value_holds_it_as_both_levels():
    _, low, high = two_levels(torch.full((6, 1), 0.25))
    assert low.item() == high.item() == 0.25
