"""What the forms of every task keep to: their number, their wording, their frames, and what they are recorded as."""

import codeop
import contextlib
import itertools
import re
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from benchmark.tasks import SPLITS, TASKS, forms_by_task, forms_digest
from benchmark.tasks.forms import FRAMES, TOP, Form, digest_of, forms
from benchmark.tasks.prompts import prompts

POSED = [name for name, task in TASKS.items() if task.all_forms]

ENDS = ("", "x", " x", " x:", "(x):", "(x)]", "(x))", " x else x", '")', "')", 'x}")', "x}')", 'x"')
"""What the line may need after an answer."""


def every_pair(name, count=1):
    """Pairs of every form in every frame."""
    for form in TASKS[name].all_forms:
        for frame in form.frames:
            random = Random(f"{form.name}/{frame}")
            for _ in range(count):
                yield form, frame, TASKS[name].pair(random, form.split, replace(form, frames=(frame,)))


def begins_a_program(text):
    """Whether more lines can make a program of a text, once its last string is closed."""
    for end in ENDS:
        with contextlib.suppress(SyntaxError):
            codeop.compile_command(text + end, symbol="exec")
            return True
    return False


@pytest.mark.parametrize("name", POSED)
def test_every_task_has_at_least_twelve_forms_six_to_train_on_three_to_validate_and_three_to_test(name):
    count = Counter(form.split for form in TASKS[name].all_forms)
    assert count["train"] >= 6
    assert count["validation"] >= 3
    assert count["test"] >= 3


def test_every_task_of_ours_is_posed_in_forms():
    assert [name for name, task in TASKS.items() if task.source.startswith(("Gao", "after Drori"))] == POSED


@pytest.mark.parametrize("name", POSED)
def test_no_two_forms_share_a_name_or_a_template(name):
    names = [form.name for form in TASKS[name].all_forms]
    assert len(set(names)) == len(names)
    pairs = [form.templates for form in TASKS[name].all_forms]
    assert len(set(pairs)) == len(pairs)
    assert all(first != second for first, second in pairs)


@pytest.mark.parametrize("name", POSED)
def test_forms_of_different_splits_share_no_prompt_template_and_no_words_but_what_the_task_is_about(name):
    task = TASKS[name]
    for one, other in itertools.combinations(SPLITS, 2):
        templates = [{each for form in task.forms_of(split) for each in form.templates} for split in (one, other)]
        assert not templates[0] & templates[1]
        words = [{word for form in task.forms_of(split) for word in form.wording} for split in (one, other)]
        assert not (words[0] & words[1]) - set(task.about)


@pytest.mark.parametrize("name", POSED)
def test_the_words_that_a_task_is_about_are_in_its_forms(name):
    assert set(TASKS[name].about) <= {word for form in TASKS[name].all_forms for word in form.wording}


@pytest.mark.parametrize("name", POSED)
def test_every_prompt_in_every_frame_begins_a_program_that_the_answer_continues(name):
    for form, frame, pair in every_pair(name):
        for prompt, answer in zip(pair.prompts, pair.answers, strict=True):
            text = prompt if TASKS[name].control else prompt + answer
            assert begins_a_program(text), (form.name, frame, text)


@pytest.mark.parametrize("name", POSED)
def test_every_form_fits_the_tokenizer_in_every_frame(name, tokenizer):
    for form in TASKS[name].all_forms:
        for frame in form.frames:
            alone = replace(TASKS[name], forms=(replace(form, frames=(frame,)),))
            batch = prompts(alone, tokenizer, form.split, 4, seed=0)  # raises for whatever does not fit
            assert len(batch) == 8


@pytest.mark.parametrize("name", POSED)
def test_equal_length_is_not_a_rare_coincidence(name, tokenizer):
    def length(prompt):
        return len(tokenizer.encode(prompt).ids)

    equal = Counter()
    for form, _, pair in every_pair(name, count=12):
        equal[form.name] += length(pair.prompts[0]) == length(pair.prompts[1])
    rare = {form.name: equal[form.name] for form in TASKS[name].all_forms if equal[form.name] < len(form.frames)}
    assert not rare


@pytest.mark.parametrize("name", POSED)
@pytest.mark.parametrize("split", SPLITS)
def test_forms_take_turns(name, split, tokenizer):
    batch = prompts(TASKS[name], tokenizer, split, 17, seed=0)
    counts = batch.form[::2].bincount(minlength=len(batch.forms))
    assert set(batch.forms) == {form.name for form in TASKS[name].forms_of(split)}
    assert int(counts.max() - counts.min()) <= 1
    assert batch.form[::2].equal(batch.form[1::2])


def test_a_pair_knows_its_form_and_frame():
    random = Random(0)
    for name in POSED:
        for form in TASKS[name].forms_of("test"):
            pair = TASKS[name].pair(random, "test", form)
            assert pair.form == form.name
            assert pair.frame in form.frames


def test_the_prompts_of_a_form_differ_only_where_its_template_says():
    form = Form("one", "train", "if $a < $b:\n    <for|while> $a", ("top",), (" in", ":\n"))
    assert form.templates == ("if $a < $b:\n    for $a", "if $a < $b:\n    while $a")
    assert form.wording == {"if", "for", "while"}


def test_a_frame_indents_every_line_of_a_form():
    form = Form("one", "train", "$a = 1\n<for|while> $a", ("def_for",), (" in", ":\n"))
    assert form.framed("def_for")[0] == FRAMES["def_for"] + "        $a = 1\n        for $a"
    assert form.framed("top")[0] == "$a = 1\nfor $a"


def test_the_digest_changes_with_any_part_of_a_form_and_with_nothing_else():
    table = forms("train", TOP, (" in", ":\n"), one="<for|while> $a", two="$b = 1\n<for|while> $a")
    digest = digest_of(table)
    assert digest_of(table[::-1]) == digest
    for change in (
        {"name": "three"},
        {"split": "test"},
        {"template": "<for|while> $b"},
        {"frames": ("def",)},
        {"answers": (" in", " in")},
    ):
        assert digest_of((replace(table[0], **change), table[1])) != digest


def test_the_digest_of_a_runs_forms_does_not_depend_on_the_order_of_its_tasks():
    tasks = TASKS["for_while"], TASKS["with_as"]
    both = forms_by_task(tasks)
    assert forms_digest(both) == forms_digest(forms_by_task(tasks[::-1]))
    assert forms_digest(both) != forms_digest(forms_by_task(tasks[:1]))
    assert both["for_while"].count == len(TASKS["for_while"].all_forms)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"forms": ()}, r"make is None and forms are \(\); give one of the two"),
        ({"make": "module:function"}, r"make is 'module:function' and forms are .*; give one of the two"),
        ({"forms": (TASKS["for_while"].all_forms[0],) * 2}, "two forms are called 'bare'"),
        ({"forms": TASKS["for_while"].forms_of("train")}, "no form belongs to validation or test; every split needs"),
    ],
)
def test_a_task_that_cannot_be_posed_is_refused(changed, message):
    task = replace(TASKS["for_while"], name="refused", **changed)
    with pytest.raises(ValueError, match=message):
        TASKS.add(task)


def test_placeholders_are_all_filled():
    for name in POSED:
        for _, _, pair in every_pair(name):
            assert not any(re.search(r"[$|]", text) for text in (*pair.prompts, *pair.answers, *pair.continuations))
