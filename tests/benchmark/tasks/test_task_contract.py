"""What every task keeps to, on the tokenizer of a corpus; a new task is picked up by itself."""

import re
from random import Random
from typing import get_args

import pytest
import torch

from benchmark.corpus.idioms.words import COPIED, NOUNS
from benchmark.tasks import TASKS, Split
from benchmark.tasks.encoding import MAX_TOKENS
from benchmark.tasks.prompts import prompts

SPLITS = get_args(Split)
NAMES_COPIED = ("class_init", "var_swap")

pytestmark = pytest.mark.parametrize("name", TASKS)


def pairs(name, split, count=100, seed=0):
    random = Random(seed)
    return [TASKS[name].pair(random, split) for _ in range(count)]


def identifiers(name, split):
    """Nouns that a split's prompts hold, apart from names to copy and those in the wording of its forms."""
    found = [
        {word for prompt in pair.prompts for word in re.findall(r"[A-Za-z]+", prompt)} for pair in pairs(name, split)
    ]
    shared = {"current", "red", "blue", "path", "file", *(COPIED if name in NAMES_COPIED else ())}
    return set.union(*found) & set(NOUNS) - shared


@pytest.mark.parametrize("split", SPLITS)
def test_pairs_end_in_one_token_are_equally_long_short_and_answered_crosswise(name, split, tokenizer):
    batch = prompts(TASKS[name], tokenizer, split, 24, seed=0)
    ends = batch.tokens.gather(1, batch.positions)[:, 0]
    assert torch.equal(ends[0::2], ends[1::2])
    assert torch.equal(batch.last[0::2], batch.last[1::2]) or TASKS[name].length_is_cause
    assert int(batch.last.max()) < MAX_TOKENS
    assert torch.equal(batch.answer[0::2], batch.other[1::2])
    assert torch.equal(batch.answer[1::2], batch.other[0::2])
    assert not torch.any(batch.answer == batch.other)
    assert not any(torch.equal(batch.tokens[row], batch.tokens[row + 1]) for row in range(0, 48, 2))


def test_most_prompts_are_short(name, tokenizer):
    batch = prompts(TASKS[name], tokenizer, "train", 12, seed=0)
    assert float(batch.last.float().mean()) < 40


def test_what_the_last_token_alone_says_costs_at_least_chance(name, tokenizer):
    batch = prompts(TASKS[name], tokenizer, "test", 8, seed=0)
    logits = torch.randn(len(tokenizer.get_vocab()), generator=torch.Generator().manual_seed(0)).double()
    loss = torch.nn.functional.softplus(logits[batch.other] - logits[batch.answer]).mean()
    assert float(loss) >= float(torch.tensor(2.0).double().log())


def test_identifiers_of_the_splits_are_disjoint(name):
    train, validation, test = (identifiers(name, split) for split in SPLITS)
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_answers_are_among_those_that_the_task_declares(name):
    for split in SPLITS:
        assert {answer for pair in pairs(name, split) for answer in pair.answers} <= set(TASKS[name].answers)


@pytest.mark.parametrize("split", SPLITS)
def test_names_to_copy_are_the_same_in_every_split(name, split):
    if name not in NAMES_COPIED:
        pytest.skip("its answer is no name")
    answers = {answer.strip() for pair in pairs(name, split, 64) for answer in pair.answers}
    assert answers == set(COPIED)


def test_the_same_seed_gives_the_same_prompts_and_another_seed_others(name, tokenizer):
    first, again, other = (prompts(TASKS[name], tokenizer, "train", 4, seed) for seed in (3, 3, 4))
    assert torch.equal(first.tokens, again.tokens)
    assert torch.equal(first.answer, again.answer)
    assert first.tokens.shape != other.tokens.shape or not torch.equal(first.tokens, other.tokens)
