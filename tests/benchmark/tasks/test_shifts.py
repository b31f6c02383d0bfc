"""Prompts changed step by step: both of a pair alike, and nothing but what the shift says."""

from random import Random

import pytest

from benchmark.metrics.registry import SHIFTED
from benchmark.tasks import TASKS
from benchmark.tasks.shifts import SHIFTS


def pairs(task: str, shift: str, level: int, count: int = 8):
    random, changed = Random(0), SHIFTS[shift].of(TASKS.named(task), level)
    return [changed.pair(random, "test") for _ in range(count)]


def test_the_records_know_every_shift():
    assert SHIFTED.keys() == SHIFTS.keys()


@pytest.mark.parametrize("shift", [name for name in SHIFTS if name != "elements"])
@pytest.mark.parametrize("task", TASKS)
def test_the_first_level_is_the_task_itself(task, shift):
    random = Random(0)
    own = [TASKS.named(task).pair(random, "test") for _ in range(8)]
    assert pairs(task, shift, 0) == own


def test_dilution_puts_as_many_lines_before_both_prompts():
    for own, changed in zip(pairs("for_while", "dilution", 0), pairs("for_while", "dilution", 4), strict=True):
        before = {new.removesuffix(old) for old, new in zip(own.prompts, changed.prompts, strict=True)}
        assert len(before) == 1
        assert before.pop().count("\n") == 4


def test_a_distractor_is_a_comment_that_opens_what_is_never_closed():
    for own, changed in zip(pairs("for_while", "distractors", 0), pairs("for_while", "distractors", 1), strict=True):
        comment = changed.prompts[0].removesuffix(own.prompts[0])
        assert comment.startswith("#")
        assert comment.endswith("\n")
        assert sum(comment.count(sign) for sign in "([{\"'") == 1


def test_long_names_grow_alike_wherever_they_stand():
    for own, changed in zip(
        pairs("bracket_brace", "long_names", 0), pairs("bracket_brace", "long_names", 2), strict=True
    ):
        assert [prompt.count("_") for prompt in changed.prompts] != [0, 0]
        tail = changed.prompts[0][len(changed.prompts[0]) - changed.prompts[0][::-1].index("_", 0) :]
        assert all(prompt.endswith(tail) for prompt in changed.prompts)
        assert changed.answers == own.answers


def test_nesting_indents_every_line():
    for pair in pairs("else_elif", "nesting", 2):
        for prompt in pair.prompts:
            assert prompt.startswith("class Config:\n    def run(self):\n        ")
            assert all(line.startswith(" " * 8) for line in prompt.split("\n")[2:])


def test_lists_have_as_many_elements_as_the_level_says():
    for pair in pairs("bracket_counting", "elements", 12):
        assert [prompt.count(", ") for prompt in pair.prompts] == [11, 11]
        assert [prompt.count("[") for prompt in pair.prompts] == [1, 2]


def test_only_lists_grow_in_elements():
    assert [name for name in TASKS if SHIFTS["elements"].concerns(name)] == ["bracket_counting"]
