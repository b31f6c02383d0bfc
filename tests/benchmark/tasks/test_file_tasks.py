"""Tasks from files: what a file may say, how its pairs are divided and drawn, and every refusal."""

import json
from functools import partial

import pytest
from json_lines import flaw_of, write_lines

from benchmark.corpus.tokenizer import train_tokenizer
from benchmark.files import CorruptFileError
from benchmark.running.config import configure
from benchmark.running.plan import plan
from benchmark.tasks import SPLITS, TASKS, FormsOfTask, forms_by_task
from benchmark.tasks.encoding import check_listed
from benchmark.tasks.listed import forms_text, read_listed, write_listed
from benchmark.tasks.prompts import prompts
from benchmark.tasks.reading import read_tasks

WORDS = ("page", "line", "word", "file", "list", "row", "key", "node", "path", "text", "size", "user")
TEMPLATES = {"print": "print({}{}", "assign": "x = {}{}", "call": "load({}{}", "give": "return {}{}"}
ANSWERS = ('")\n', "')\n")


@pytest.fixture(scope="module")
def tokenizer():
    texts = [
        template.format(quote, word) + f"{quote})\n"
        for template in TEMPLATES.values()
        for quote in "\"'"
        for word in WORDS
    ]
    return train_tokenizer(texts * 20, 500)


def pair(form="print", word="page", **more):
    text = TEMPLATES[form]
    return {"prompts": [text.format('"', word), text.format("'", word)], "answers": list(ANSWERS), "form": form, **more}


written = partial(write_lines, name="quotes.jsonl")
refused = partial(flaw_of, read_tasks)


def whole(forms=tuple(TEMPLATES), words=WORDS, **more):
    return [pair(form, word, **more) for form in forms for word in words]


# What a file says


def test_forms_are_drawn_for_the_splits_and_every_pair_is_kept(tmp_path):
    (listed,) = read_tasks(written(tmp_path, *whole()))
    assert listed.name == "quotes"
    assert {split: len(listed.task.forms_of(split)) for split in SPLITS} == {"train": 2, "validation": 1, "test": 1}
    assert sum(listed.task.listed(split) for split in SPLITS) == 48
    assert read_tasks(tmp_path / "quotes.jsonl")[0] == listed
    named = [each for form in listed.task.all_forms for each in form.listed]
    assert {(each.prompts[0], each.where) for each in named} >= {('print("page', "line 1"), ('return "user', "line 48")}
    assert listed.task.answers == tuple(sorted(ANSWERS))


def test_the_split_of_a_line_is_that_of_its_form_and_without_forms_a_split_is_one_form(tmp_path):
    lines = [*whole(("print",)), *whole(("call",)), pair("give")]
    lines[0]["split"], lines[12]["split"], lines[24]["split"] = "test", "train", "validation"
    (listed,) = read_tasks(written(tmp_path, *lines))
    assert forms_text(listed.task) == "train: call 12; validation: give 1; test: print 12"
    bare = [
        {**{key: line[key] for key in ("prompts", "answers")}, "split": split}
        for split, line in zip(SPLITS, lines[::12], strict=True)
    ]
    (listed,) = read_tasks(written(tmp_path, *bare))
    assert forms_text(listed.task) == "train: train 1; validation: validation 1; test: test 1"


def test_a_header_describes_a_task_and_a_file_may_have_several(tmp_path):
    header = {
        "task": "closing",
        "summary": "a quote closes",
        "source": "me",
        "concepts": ["in_string"],
        "length_is_cause": True,
    }
    other = [pair(form, "page", task="other") for form in ("print", "call", "give")]
    first, second = read_tasks(written(tmp_path, header, *whole(), *other))
    assert (first.name, first.task.summary, first.task.source) == ("closing", "a quote closes", "me")
    assert (first.task.concepts, first.task.length_is_cause) == (("in_string",), True)
    assert (second.name, second.task.length_is_cause, len(second.pairs)) == ("other", False, 3)


def test_single_lines_are_drawn_where_the_header_says_so(tmp_path):
    lines = [{key: line[key] for key in ("prompts", "answers")} for line in whole(("print",))]
    (listed,) = read_tasks(written(tmp_path, {"task": "quotes", "split_by": "line"}, *lines))
    assert forms_text(listed.task) == "train: train 8; validation: validation 2; test: test 2"


REFUSED = [
    (['{"prompts": ["a", "b"'], "line 1 is not JSON"),
    (["[1]"], "line 1 is a list, not an object"),
    ([{"prompts": ["a", "b"]}], "line 1 does not fit: answers is missing"),
    ([{"prompts": ["a"], "answers": ["x", "y"]}], "line 1 does not fit: prompts"),
    ([{"prompts": ["a", 3], "answers": ["x", "y"]}], "line 1 does not fit: prompts.1 is not text"),
    ([pair(answer="x")], "line 1 does not fit: answer is not a known key"),
    ([pair(split="dev")], "line 1 does not fit: split is 'dev'; choose from 'train', 'validation', 'test'"),
    ([{"task": "a", "colour": 1}], "line 1 does not fit: colour is not a known key"),
    ([{"task": "a"}, {"task": "a"}], "line 2 describes task 'a', of which earlier lines are; describe it once"),
    ([{"task": "a"}], "task 'a' has no pairs of prompts"),
    ([], "has no lines"),
    ([pair(), pair()], "line 2 lists the prompts of line 1 again"),
    ([{**pair(), "prompts": ["a", "a"]}], "line 1: both prompts are 'a'"),
    ([{**pair(), "answers": ["a", "a"]}], "line 1: both answers are 'a'"),
    (
        whole(("print", "call")),
        "has 2 forms (call, print), and 3 are needed, one for each split: give each line a form",
    ),
    (
        [{"prompts": ["a", "b"], "answers": ["x", "y"]}],
        'begin the file with the line {"task": "quotes", "split_by": "line"}',
    ),
    (
        [pair(), {"prompts": ["a", "b"], "answers": ["x", "y"]}],
        "line 2 names no form, and other lines of task 'quotes' do",
    ),
    (
        [pair(split="train"), pair(word="row", split="test")],
        "line 2 has form 'print' in split test, and line 1 in train",
    ),
    ([pair(split="train"), pair("call")], "line 2 names no split, and neither does another line of its form"),
    ([pair(split="train"), pair("call", split="test")], "no pair of task 'quotes' belongs to validation"),
    ([{"task": "quotes", "split_by": "line"}, pair()], "line 2 names a form or a split, and split_by is 'line'"),
    ([{"task": "for_while"}, *whole()], "there is already a task 'for_while'"),
    ([{"task": "../x"}, *whole()], "'../x' is no name for a task"),
    ([{"task": "all"}, *whole()], "'all' is no name for a task"),
]


@pytest.mark.parametrize(("lines", "said"), REFUSED)
def test_what_is_wrong_is_said_with_the_line(tmp_path, lines, said):
    assert said in refused(written(tmp_path, *lines))


def test_a_file_that_is_named_like_one_of_our_tasks_is_refused(tmp_path):
    assert "there is already a task 'for_while'" in refused(written(tmp_path, *whole(), name="for_while.jsonl"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe" + '{"a": 1}'.encode("utf-16-le"), "it is not UTF-8 text"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is nested more than 50 levels deep"),
        (b" " * (4 * 2**20 + 1), "has 4,194,305 bytes; a file of JSON lines has at most 4,194,304"),
        (b"{}\n" * 20_001, "has 20,001 lines; it may have at most 20,000"),
        (b'{"prompts": ["' + b"a" * 5000 + b'", "b"], "answers": ["x", "y"]}', "line 1 does not fit: prompts.0"),
        (b'{"prompts": ["\\ud800", "b"], "answers": ["x", "y"]}', "line 1 is not JSON"),
        (b'{"task": "a", "task": "b"}', "line 1 is not JSON (key 'task' is there twice)"),
        (b"", "has no lines"),
        (b"\x80\x04pickle", "it is not UTF-8 text"),
    ],
)
def test_hostile_files_are_refused_in_one_line(tmp_path, content, said):
    path = tmp_path / "hostile.jsonl"
    path.write_bytes(content)
    assert said in refused(path)


def test_a_large_file_is_not_read(tmp_path):
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        file.truncate(200 * 2**20)
    assert "has 209,715,200 bytes" in refused(path)


def test_a_path_without_a_file_is_said(tmp_path):
    assert "does not exist" in refused(tmp_path / "absent.jsonl")
    (tmp_path / "folder").mkdir()
    assert "is not a readable file" in refused(tmp_path / "folder")


# How its pairs are drawn


def test_forms_take_turns_until_they_have_no_pairs_left_and_none_comes_twice(tmp_path, tokenizer):
    lines = [*whole(("print",), WORDS[:3], split="train"), *whole(("call",), split="train")]
    lines += [pair("give", split="validation"), pair("assign", split="test")]
    (listed,) = read_tasks(written(tmp_path, *lines))
    batch = prompts(listed.task, tokenizer, "train", 15, seed=0)
    assert batch.clusters == 15
    drawn = [batch.forms[form] for form in batch.form[::2].tolist()]
    assert {*drawn[:2]} == {*drawn[2:4]} == {*drawn[4:6]} == {"print", "call"}
    assert drawn[6:] == ["call"] * 9
    again, other = (prompts(listed.task, tokenizer, "train", 15, seed) for seed in (0, 1))
    assert again.tokens.equal(batch.tokens)
    assert not other.tokens.equal(batch.tokens)
    with pytest.raises(ValueError, match="task 'quotes' has 15 train pairs; 16 are asked for"):
        prompts(listed.task, tokenizer, "train", 16, seed=0)


def test_the_line_is_named_whose_pair_does_not_fit_the_tokenizer(tmp_path, tokenizer):
    lines = [*whole(), pair("print", "abc"), pair("print", "row row")]
    lines[-2]["answers"], lines[-1]["answers"] = ["zzz", "')\n"], ["')\n", "zzz"]
    (listed,) = read_tasks(written(tmp_path, *lines))
    with pytest.raises(
        ValueError, match=r"task 'quotes', line 49: the answer 'zzz' is 3 tokens .*2 of 50 pairs do not fit"
    ) as raised:
        check_listed(listed.task, tokenizer)
    assert str(raised.value).endswith("do not fit the tokenizer: line 49, line 50)")
    check_listed(read_tasks(written(tmp_path, *whole()))[0].task, tokenizer)
    check_listed(TASKS["for_while"], tokenizer)  # its forms list no pairs


def test_prompts_of_different_lengths_need_a_header_that_says_so(tmp_path, tokenizer):
    lines = whole()
    lines[3]["prompts"][1] = "print('file file"
    task = read_tasks(written(tmp_path, *lines))[0].task
    with pytest.raises(
        ValueError, match=r"line 4: the prompts .* have \d and \d tokens; .* unless length_is_cause is set"
    ):
        check_listed(task, tokenizer)
    check_listed(read_tasks(written(tmp_path, {"task": "quotes", "length_is_cause": True}, *lines))[0].task, tokenizer)


# In a run


def configured(path, *changes, tasks=()):
    return configure("smoke", ["dense"], [f"file:{path}", *tasks], changes=changes)


ENOUGH = ("circuit.train_pairs=12", "circuit.validation_pairs=8", "circuit.test_pairs=8")


def test_circuits_and_checks_need_the_cell_that_keeps_the_pairs_and_nothing_names_the_file(tmp_path):
    path = written(tmp_path, *whole())
    run = configured(path, *ENOUGH, tasks=["for_while"])
    assert (run.tasks, run.task_files) == (("quotes", "for_while"), {"quotes": "quotes.jsonl"})
    cells = plan(run).cells
    kept = next(cell for cell in cells if cell.kind == "task")
    needing = [cell for cell in cells if "task" in cell.needs]
    assert {(cell.kind, cell.params["task"]) for cell in needing} == {("prompts", "quotes"), ("circuit", "quotes")}
    assert all(cell.needs["task"] is kept for cell in needing)
    assert not any(str(tmp_path) in json.dumps([cell.params, cell.outside]) for cell in cells)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    assert {
        cell.key for cell in plan(configured(path.rename(moved / path.name), *ENOUGH, tasks=["for_while"])).cells
    } == {cell.key for cell in cells}


def test_another_pair_is_another_cell_and_the_other_tasks_stay(tmp_path):
    before = plan(configured(written(tmp_path, *whole()), *ENOUGH, tasks=["for_while"])).cells
    after = plan(configured(written(tmp_path, *whole(), pair("print", "table")), *ENOUGH, tasks=["for_while"])).cells
    changed = {cell.key for cell in before} ^ {cell.key for cell in after}
    assert {(each.kind, each.params["task"]) for each in (*before, *after) if each.key in changed} == {
        ("task", "quotes"), ("prompts", "quotes"), ("circuit", "quotes")
    }  # fmt: skip


def test_what_the_store_keeps_is_the_task_that_was_read(tmp_path):
    (listed,) = read_tasks(written(tmp_path, {"task": "quotes", "concepts": ["in_string"]}, *whole()))
    write_listed(listed.params, tmp_path)
    assert read_listed(tmp_path) == listed.task
    (tmp_path / "task.json").write_text('{"name": "quotes"}')
    with pytest.raises(CorruptFileError, match="does not fit"):
        read_listed(tmp_path)


def test_too_few_pairs_are_refused_before_anything_is_computed_with_what_suffices(tmp_path):
    with pytest.raises(ValueError, match="lists 12 validation pairs of 64, 12 test pairs of 13 that") as refused:
        configured(written(tmp_path, *whole()), "circuit.validation_pairs=64", "circuit.test_pairs=13")
    changes = str(refused.value).split(" or ")[1].replace("--set ", "").split()
    assert changes == ["circuit.validation_pairs=12", "circuit.test_pairs=12"]
    configured(tmp_path / "quotes.jsonl", *changes)


def test_forms_that_count_and_a_held_out_form_are_looked_up_in_the_file(tmp_path):
    path = written(
        tmp_path,
        *(
            line
            for split, form in zip(("train", "train", "validation", "test"), TEMPLATES, strict=True)
            for line in whole((form,), split=split)
        ),
    )
    configured(path, *ENOUGH, 'circuit.forms.quotes=["print", "call", "give"]')
    with pytest.raises(ValueError, match="task quotes has no form 'shout'; choose from print, assign, call, give"):
        configured(path, *ENOUGH, 'circuit.forms.quotes=["shout"]')
    configured(path, *ENOUGH, "circuit.held_out=print")


@pytest.mark.parametrize(
    ("header", "said"),
    [({"task": "quotes", "concepts": ["in_sting"]}, "unknown concept 'in_sting'"), ({"task": "nonsense"}, "already")],
)
def test_what_a_header_names_is_looked_up(tmp_path, header, said):
    with pytest.raises(ValueError, match=said):
        configured(written(tmp_path, header, *whole()), *ENOUGH)


def test_a_task_that_two_files_have_is_refused(tmp_path):
    first, second = (written(tmp_path, {"task": "quotes"}, *whole(), name=name) for name in ("a.jsonl", "b.jsonl"))
    with pytest.raises(ValueError, match=r"b.jsonl and a.jsonl both have a task 'quotes'; rename one of them"):
        configured(first, *ENOUGH, tasks=[f"file:{second}"])


def test_the_digest_of_the_forms_is_over_the_pairs(tmp_path):
    found = [
        forms_by_task([read_tasks(written(tmp_path, *lines))[0].task]) for lines in (whole(), whole(words=WORDS[1:]))
    ]
    assert [each["quotes"].count for each in found] == [4, 4]
    assert found[0] != found[1]
    assert isinstance(found[0]["quotes"], FormsOfTask)


def test_a_file_that_is_named_without_its_prefix_is_recognised(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, *whole())
    with pytest.raises(
        ValueError, match=r"unknown task 'quotes\.jsonl'; for a task from a file write file:quotes\.jsonl"
    ):
        configure("smoke", ["dense"], ["quotes.jsonl"])
