"""Prompts as tensors, the registry, and every error that a task or a tokenizer can cause."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from toy_tokenizers import sentence_piece

from benchmark.corpus.tokenizer import train_tokenizer
from benchmark.tasks import TASKS, PromptPair, Task
from benchmark.tasks.prompts import prompts

TEXTS = [f"print(\"{word} red\")\nprint('{word} blue')\n" for word in ("page", "line", "word")] * 50


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 400)


def quoted(random, split):
    word = random.choice(("page", "line", "word"))
    return PromptPair((f'print("{word}', f"print('{word}"), ('")\n', "')\n"))


QUOTED = Task("quoted", "a quote", quoted, ('")\n', "')\n"), source="here")


def task_of(*pair, answers=(), **settings):
    return Task("made_up", "made up", lambda random, split: PromptPair(*pair), answers, source="here", **settings)


def test_rows_are_pairs_padded_on_the_right(tokenizer):
    batch = prompts(QUOTED, tokenizer, "train", 3, seed=0)
    assert len(batch) == 6
    for row in range(6):
        text = tokenizer.decode(batch.tokens[row, : batch.last[row] + 1].tolist())
        assert text.startswith('print("' if row % 2 == 0 else "print('")
        assert not batch.tokens[row, batch.last[row] + 1 :].any()
        assert tokenizer.decode([int(batch.answer[row])]) == ('")\n', "')\n")[row % 2]
    assert torch.equal(batch.positions[:, 0], batch.last)


def test_rows_can_be_chosen(tokenizer):
    batch = prompts(QUOTED, tokenizer, "train", 3, seed=0)
    chosen = batch.rows(torch.tensor([2, 3]))
    assert len(chosen) == 2
    assert torch.equal(chosen.tokens, batch.tokens[2:4])
    assert torch.equal(batch.rows(slice(2, 4)).answer, chosen.answer)


def test_no_pair_comes_twice(tokenizer):
    with pytest.raises(ValueError, match="task 'quoted': after 3 pairs no new one"):
        prompts(QUOTED, tokenizer, "train", 4, seed=0)


def test_an_answer_that_is_two_tokens_is_named(tokenizer):
    broken = replace(QUOTED, answers=(*QUOTED.answers, ".missing"))
    with pytest.raises(ValueError, match=r"task 'quoted': the answer '\.missing' is \d tokens \('\.'.*\), not one"):
        prompts(broken, tokenizer, "train", 1, seed=0)


def test_an_answer_that_melts_into_the_prompt_is_named(tokenizer):
    task = task_of(("print(", "print("), ('"', "'"))
    with pytest.raises(
        ValueError, match=r"task 'made_up': after the prompt 'print\(' the answer '\"' is not one token"
    ):
        prompts(task, tokenizer, "train", 1, seed=0)


def test_an_answer_that_melts_into_what_follows_is_named(tokenizer):
    task = task_of(('print("page', "print('page"), ('"', "'"), (")\n", ")\n"))
    with pytest.raises(ValueError, match="is not one token"):
        prompts(task, tokenizer, "train", 1, seed=0)


def test_prompts_that_end_in_different_tokens_are_named(tokenizer):
    task = task_of(('print("page', 'print("line'), ('")\n', "')\n"))
    with pytest.raises(ValueError, match=r"'made_up': the prompts of .* end in different tokens: 'page' and 'line'"):
        prompts(task, tokenizer, "train", 1, seed=0)


def test_a_prompt_longer_than_the_context_is_named(tokenizer):
    with pytest.raises(ValueError, match="has 3 tokens, more than 2"):
        prompts(QUOTED, tokenizer, "train", 1, seed=0, max_tokens=2)


def test_a_pair_turned_round_is_no_new_pair(tokenizer):
    def turned(random, split):
        pair = QUOTED.pair(random, split)
        return PromptPair(pair.prompts[:: random.choice((1, -1))], pair.answers)

    with pytest.raises(ValueError, match="after 3 pairs no new one"):
        prompts(replace(QUOTED, make=turned, answers=()), tokenizer, "train", 4, seed=0)


def test_prompts_that_are_never_equally_long_are_named_unless_length_is_the_cause(tokenizer):
    pair = ('print("page red', "print('page red red"), ('")\n', "')\n")
    with pytest.raises(ValueError, match="after 0 pairs no new one of equal length"):
        prompts(task_of(*pair), tokenizer, "train", 1, seed=0)
    batch = prompts(task_of(*pair, length_is_cause=True), tokenizer, "train", 1, seed=0)
    assert int(batch.last[1]) == int(batch.last[0]) + 1
    assert int(batch.tokens[0, -1]) == 0


def test_an_unknown_task_is_answered_with_the_choices():
    with pytest.raises(ValueError, match="unknown task 'quotes'; choose from single_double_quote, final_kwarg"):
        TASKS.named("quotes")
    assert TASKS.named("for_while") is TASKS["for_while"]


def test_table_1_and_one_control_are_registered():
    assert len(TASKS) == 21
    assert [name for name, task in TASKS.items() if task.control] == ["nonsense"]


def test_the_registry_imports_no_torch():
    program = "import sys, benchmark.tasks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def pair_of_three():
    """A pair as a plug-in could build it: only the tests check argument types at run time."""
    pair = PromptPair(("one", "two"), QUOTED.answers)
    object.__setattr__(pair, "prompts", ("one", "two", "three"))
    return pair


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a prompt", "returned 'a prompt', not a PromptPair"),
        (pair_of_three(), r"returned \('one', 'two', 'three'\), not two texts"),
        (PromptPair(("one", "two"), ('")\n', ".")), r"'\.' is not one of its answers, which are"),
    ],
)
def test_a_generator_that_gives_something_else_than_it_promises_is_named(tokenizer, given, message):
    with pytest.raises(ValueError, match=f"^task 'quoted': .*{message}"):
        prompts(replace(QUOTED, make=lambda random, split: given), tokenizer, "train", 1, seed=0)


# Tokenizers of other models


def test_prompts_begin_with_the_beginning_and_are_read_one_position_later(tokenizer):
    plain, begun = (prompts(QUOTED, tokenizer, "train", 3, seed=0, beginning=given) for given in (None, 7))
    assert (begun.tokens[:, 0] == 7).all()
    assert torch.equal(begun.tokens[:, 1:], plain.tokens)
    assert torch.equal(begun.last, plain.last + 1)
    assert torch.equal(begun.answer, plain.answer)
    assert torch.equal(begun.real[:, 1:], plain.real)


def test_the_beginning_counts_towards_the_longest_prompt(tokenizer):
    longest = prompts(QUOTED, tokenizer, "train", 3, seed=0).tokens.shape[1]
    prompts(QUOTED, tokenizer, "train", 3, seed=0, max_tokens=longest)
    with pytest.raises(ValueError, match=rf"has {longest} tokens, more than {longest - 1} "):
        prompts(QUOTED, tokenizer, "train", 3, seed=0, max_tokens=longest, beginning=7)


def test_an_answer_is_the_token_in_its_place_where_a_tokenizer_puts_a_space_before_texts():
    tokenizer = sentence_piece()
    batch = prompts(task_of(("x(a", "x[a"), (")", "]"), answers=(")", "]")), tokenizer, "train", 1, seed=0)
    assert [tokenizer.id_to_token(int(answer)) for answer in batch.answer] == [")", "]"]
    with pytest.raises(ValueError, match=r"the answer '\)\\n\]' is 3 tokens \(.*\), not one"):
        prompts(task_of(("a", "b"), (")", "]"), answers=(")\n]",)), tokenizer, "train", 1, seed=0)
