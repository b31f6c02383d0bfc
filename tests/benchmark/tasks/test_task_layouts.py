"""Tables of EAP-IG and rows of MIB become pairs of prompts, and what they leave out is refused."""

import json

import pytest

from benchmark.corpus.tokenizer import train_tokenizer
from benchmark.files import CorruptFileError
from benchmark.tasks.layouts import token_texts
from benchmark.tasks.listed import forms_text
from benchmark.tasks.reading import read_tasks

STORY = "Then, {} and Amber were at the house. {} decided to give a drink to"
NAMES = ("Aaron", "Nathan", "Tyler", "Tiffany", "Laura")
TEXTS = [STORY.format(name, "Amber") + f" {name}" for name in NAMES]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS * 50, 600)


def pairs(path):
    (listed,) = read_tasks(path)
    return listed


def table(tmp_path, header, *rows, name="ioi.csv"):
    path = tmp_path / name
    lines = [header, *(",".join(f'"{cell}"' if isinstance(cell, str) else str(cell) for cell in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def refused(path):
    with pytest.raises(CorruptFileError) as raised:
        read_tasks(path)
    return raised.value.flaw


def test_token_numbers_become_texts_by_the_tokenizer_beside_the_table(tmp_path, tokenizer):
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    number = {name: tokenizer.encode(f" {name}").ids for name in (*NAMES, "Amber")}
    assert all(len(ids) == 1 for ids in number.values())
    rows = [
        (
            at,
            STORY.format(name, name),
            STORY.format(name, "Zoe"),
            STORY.format(name, "Amber"),
            *number["Amber"],
            *number[name],
        )
        for at, name in enumerate(NAMES)
    ]
    found = pairs(table(tmp_path, ",clean,corrupted,corrupted_hard,correct_idx,incorrect_idx", *rows))
    assert (found.name, len(found.pairs)) == ("ioi", 5)
    first = found.pairs[0]
    assert first.prompts == (STORY.format("Aaron", "Aaron"), STORY.format("Aaron", "Amber"))
    assert (first.answers, first.line) == ((" Amber", " Aaron"), 2)
    assert forms_text(found.task) == "train: train 3; validation: validation 1; test: test 1"


def test_the_texts_of_tokens_are_those_that_the_tokenizer_decodes(tmp_path, tokenizer):
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    texts = token_texts(tmp_path / "tokenizer.json")
    whole = [number for number in range(1, tokenizer.get_vocab_size()) if "\ufffd" not in tokenizer.decode([number])]
    assert {number: texts[number] for number in whole} == {number: tokenizer.decode([number]) for number in whole}


def test_answers_may_be_columns_of_text_and_forms_and_splits_columns_too(tmp_path):
    rows = [
        (f"The {who} slept because", f"The man number {at} slept because", " she", " he", form)
        for at, (who, form) in enumerate([("nurse", "a"), ("maid", "b"), ("nun", "c")])
    ]
    found = pairs(table(tmp_path, "clean,corrupted,answer,corrupted_answer,form", *rows))
    assert {(pair.form, pair.answers) for pair in found.pairs} == {(form, (" she", " he")) for form in "abc"}
    assert {pair.split for pair in found.pairs} == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        ("clean,label", ("a", "b"), "it needs clean, corrupted and rows below them"),
        (
            "clean,corrupted,label",
            ("a", "b", 52),
            "has the columns 'clean', 'corrupted', 'label'; it needs an answer to each",
        ),
        ("clean,corrupted,correct_idx,incorrect_idx", ("a", "b", 1, 2), "put the tokenizer.json of their model"),
        (
            "clean,corrupted,answer,corrupted_answer",
            ("a", "b", "x"),
            "line 2 does not have exactly one text per column",
        ),
        (
            "clean,corrupted,answer,corrupted_answer",
            ("a", "b", "x", "y", "z"),
            "line 2 does not have exactly one text per column",
        ),
        (
            "clean,corrupted,answer,corrupted_answer,split",
            ("a", "b", "x", "y", "dev"),
            "line 2 has the split 'dev'; choose",
        ),
        ("clean,corrupted,answer,corrupted_answer", ("a", "b", "x" * 300, "y"), "line 2 is too long"),
        ("clean,corrupted,answer,corrupted_answer", ("a", "b", "x", "y"), "has 1 pairs; at least 3 are needed"),
    ],
)
def test_a_table_that_lacks_something_is_refused_with_what_it_needs(tmp_path, header, row, said):
    assert said in refused(table(tmp_path, header, row))


@pytest.mark.parametrize(
    "content", [b"", b"clean,corrupted\n", b'clean,corrupted,answer,corrupted_answer\n"a', b"\xff\xfe"]
)
def test_a_broken_table_is_refused(tmp_path, content):
    (tmp_path / "broken.csv").write_bytes(content)
    assert "\n" not in refused(tmp_path / "broken.csv")


def test_a_number_that_is_no_token_is_named(tmp_path, tokenizer):
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    path = table(tmp_path, "clean,corrupted,correct_idx,incorrect_idx", ("a", "b", 5, 99999))
    assert "line 2: '99999' is not a token of tokenizer.json" in refused(path)
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": ["a"]}}')
    with pytest.raises(CorruptFileError, match="is not a complete tokenizer"):
        read_tasks(path)


def rows(tmp_path, *found):
    path = tmp_path / "mib.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def test_rows_of_mib_are_read_with_their_first_counterfactual(tmp_path):
    ioi = [
        {
            "prompt": STORY.format(name, name),
            "s2_io_flip_counterfactual": {"prompt": STORY.format(name, "Amber"), "choices": [], "answerKey": 0},
            "random_counterfactual": {"prompt": "something else"},
            "metadata": {"indirect_object": "Amber", "subject": name, "random_c": "Zoe"},
        }
        for name in NAMES
    ]
    found = pairs(rows(tmp_path, *ioi))
    assert found.pairs[1].prompts == (STORY.format("Nathan", "Nathan"), STORY.format("Nathan", "Amber"))
    assert found.pairs[1].answers == (" Amber", " Nathan")
    assert {pair.form for pair in found.pairs} == {"train", "validation", "test"}


def test_choices_and_labels_of_mib_are_answers(tmp_path):
    choices = [{
        "prompt": f"question {number}", "split": split,
        "choices": {"label": [" A", " B"], "text": ["x", "y"]}, "answerKey": 1,
        "symbol_counterfactual": {"prompt": f"other {number}", "choices": {"label": [" C", " D"]}, "answerKey": 0},
    } for number, split in enumerate(("train", "validation", "test"))]  # fmt: skip
    found = pairs(rows(tmp_path, *choices))
    assert [(pair.answers, pair.split) for pair in found.pairs] == [((" B", " C"), row["split"]) for row in choices]
    sums = [
        {
            "prompt": f"{at}+1=",
            "label": at + 1,
            "operator": "+",
            "random_counterfactual": {"prompt": f"{at}+3=", "label": at + 3},
        }
        for at in range(3)
    ]
    assert {pair.answers for pair in pairs(rows(tmp_path, *sums)).pairs} == {("1", "3"), ("2", "4"), ("3", "5")}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"random_counterfactual": None}, "line 1: random_counterfactual is None"),
        ({"random_counterfactual": {"prompt": None, "label": 3}}, "do not both have a prompt and an answer"),
        ({"label": None}, "do not both have a prompt and an answer"),
        ({"split": "dev"}, "line 1: split is 'dev'"),
    ],
)
def test_a_row_of_mib_without_answers_is_refused(tmp_path, change, said):
    row = {"prompt": "1+1=", "label": 2, "random_counterfactual": {"prompt": "1+2=", "label": 3}}
    assert said in refused(rows(tmp_path, {**row, **change}))
