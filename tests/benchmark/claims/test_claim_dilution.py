"""Lists that grow until a model forgets that they are nested."""

import math
from random import Random

import bracket_counting
import pytest
import torch
from planted import prompt_batch
from tokenizers import Tokenizer
from tokenizers.models import BPE

from benchmark import metrics
from benchmark.claims.dilution import dilution_curve, list_prompts
from benchmark.corpus.tokenizer import train_tokenizer
from benchmark.model.interface import record

ANSWERS = (bracket_counting.CLOSE, bracket_counting.CLOSE_TWICE)
LENGTHS = range(7, 41)


def planted_lists(lengths):
    """Flat and nested lists of the planted language, by number of elements."""
    found = {}
    for length in lengths:
        turned = [bracket_counting.DIGITS[shift:] + bracket_counting.DIGITS[:shift] for shift in range(3)]
        pairs = [tuple(bracket_counting.prompt(brackets, length, digits) for brackets in (1, 2)) for digits in turned]
        found[length - 3] = prompt_batch(pairs, ANSWERS)
    return found


@pytest.fixture(scope="module")
def curve():
    return dilution_curve(bracket_counting.planted().model, planted_lists(LENGTHS))


def test_planted_averaging_forgets_where_the_algebra_puts_it(curve):
    crossing = metrics.context_dilution([each.tokens for each in curve], [each.nested for each in curve])
    assert crossing == bracket_counting.crossing_length(2)


def test_planted_curve_is_the_algebra_s(curve):
    for point in curve:
        shares = [bracket_counting.nested_share(brackets, point.tokens) for brackets in (1, 2)]
        # The head writes its share less a half, which the unembedding reads as +10 and -10.
        flat, nested = (
            1 / (1 + math.exp(-20 * sign * (share - 0.5))) for sign, share in zip((-1, 1), shares, strict=True)
        )
        assert point.elements == point.tokens - 3
        assert (point.nested > 0.5) == (nested > 0.5)
        assert point.flat == pytest.approx(flat, abs=0.1)
        assert point.separation == pytest.approx(20 * (shares[1] - shares[0]), abs=1.5)


def test_averaged_channel_falls_as_one_over_the_tokens_of_these_prompts():
    model, lists = bracket_counting.planted().model, planted_lists((7, 14, 28))
    for batch in lists.values():
        depths = record(model, batch.tokens)["blocks.0.attn_out"][:, -1, bracket_counting.DEPTH]
        length = batch.tokens.shape[1]
        expected = [bracket_counting.averaged_depth(brackets, length) for brackets in (1, 2)] * 3
        assert depths.tolist() == pytest.approx(expected, abs=1e-5)


def test_flat_lists_are_never_taken_for_nested_ones_by_the_planted_mechanism(curve):
    assert all(each.flat > 0.9 for each in curve)


@pytest.fixture(scope="module")
def tokenizer():
    random = Random(0)
    lines = []
    for _ in range(300):
        inside = ", ".join(str(random.randrange(10)) for _ in range(random.randrange(2, 6)))
        lines.append(random.choice((f"sizes = [{inside}]\nx = 1\n", f"sizes = [[{inside}]]\nx = 1\n")))
    return train_tokenizer(lines, 320)


def test_lists_double_up_to_what_the_context_holds(tokenizer):
    lists = list_prompts(tokenizer, 100, pairs=4, seed=0)
    assert list(lists)[:3] == [3, 6, 12]
    assert [each / lists_before for lists_before, each in zip(list(lists), list(lists)[1:], strict=False)] == [2] * (
        len(lists) - 1
    )
    assert all(batch.tokens.shape[1] <= 100 for batch in lists.values())
    wider = list_prompts(tokenizer, 200, pairs=4, seed=0)
    assert wider.keys() > lists.keys()


def test_lists_are_flat_then_nested_and_end_in_a_number(tokenizer):
    batch = list_prompts(tokenizer, 100, pairs=4, seed=0)[6]
    for row in range(0, len(batch), 2):
        flat, nested = (
            tokenizer.decode(batch.tokens[row + nest, : batch.last[row + nest] + 1].tolist()) for nest in (0, 1)
        )
        assert flat.count("[") == 1
        assert flat.replace("[", "[[") == nested
        assert flat.count(",") == 5
        assert flat[-1].isdigit()
    answers = [tokenizer.decode([token]) for token in batch.answer[:2].tolist()]
    assert answers == ["]\n", "]]\n"]


def test_a_context_that_holds_no_list_gives_none(tokenizer):
    assert list_prompts(tokenizer, 4, pairs=1, seed=0) == {}


def test_a_tokenizer_that_breaks_the_answers_is_refused():
    with pytest.raises(ValueError, match=r"the answer .* not one"):
        list_prompts(Tokenizer(BPE()), 100, pairs=1, seed=0)


def test_probabilities_are_of_the_right_answer():
    class Knowing:
        """Says `]]` with log odds 2 whatever it reads."""

        sites = bracket_counting.planted().model.sites

        def start(self, tokens):
            return {"tokens": tokens}

        def advance(self, state, stage, edit):
            return state

        def read_out(self, state, positions):
            logits = torch.zeros(len(state["tokens"]), 1, 9)
            logits[..., bracket_counting.CLOSE_TWICE] = 2.0
            return logits

        def connections(self, graph):
            return []

    (point,) = dilution_curve(Knowing(), planted_lists([8]))
    assert point.nested == pytest.approx(1 / (1 + math.exp(-2)))
    assert point.flat == pytest.approx(1 / (1 + math.exp(2)))
    assert point.separation == 0
