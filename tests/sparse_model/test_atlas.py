"""Prompts of CSP-Atlas as labelled texts: where a construct is, and nowhere in its contrast prompts."""

import json

import pandas
import pytest

from benchmark.files import CorruptFileError
from sparse_model.released.atlas import spans_of, write_labelled

pytest.importorskip("pyarrow")

FOR = 'é = "for"\nfor a in b:\n    for c in a:\n        print(c)\nprint(é)\n'


def marked(text, concept):
    return [text[start:end] for start, end in spans_of(text, concept)]


def test_spans_are_those_of_the_construct_in_characters():
    assert marked(FOR, "For") == ["for a in b:\n    for c in a:\n        print(c)"]
    assert marked(FOR, "Call") == ["print(c)", "print(é)"]
    assert marked(FOR, "print") == ["print", "print"]
    assert marked("x = [a for a in b]", "For") == []
    assert marked("x = a if b else len", "IfExp") == ["a if b else len"]


@pytest.mark.parametrize("text", ["for for", "x = (\0)", "(" * 1000, ""])
def test_what_is_no_python_has_no_spans(text):
    assert spans_of(text, "For") == []


@pytest.fixture
def files(tmp_path):
    prompts = [("For", "print", FOR), ("For", "len", "for x in y:\n    len(x)\n"), ("For", "len", "pass\n")]
    prompts += [("For", "len", f"for x in range({number}):\n    len(x)\n") for number in range(8)]
    frame = pandas.DataFrame(prompts, columns=["ast_node", "builtin_obj", "prompt_text"])
    frame.assign(variation_id=0, sequence_loss=1.0).to_parquet(tmp_path / "prompts.parquet")
    contrasts = [("For", "for", "# for ever\n"), ("For", "for", 'x = "for"\n'), ("While", "while", "# while\n")]
    columns = ["object", "keyword", "prompt_text"]
    pandas.DataFrame(contrasts, columns=columns).to_parquet(tmp_path / "contrasts.parquet")
    return tmp_path


def written(files, concept, **options):
    write_labelled(files / "prompts.parquet", files / "contrasts.parquet", concept, files / "out.jsonl", **options)
    return [json.loads(line) for line in (files / "out.jsonl").read_text().splitlines()]


def test_a_file_has_prompts_with_the_concept_and_contrasts_without(files):
    lines = written(files, "For")
    assert [line["text"] for line in lines if not line["spans"]] == ["# for ever\n", 'x = "for"\n']
    assert len(lines) == 12  # `pass` has no loop
    assert lines[1] == {"text": "for x in y:\n    len(x)\n", "spans": [[0, 22]]}


def test_fewer_prompts_are_spread_and_bring_as_many_contrasts(files):
    lines = written(files, "For", most=1)
    assert [len(line["spans"]) for line in lines] == [1, 0]


@pytest.mark.parametrize(
    ("concept", "said"),
    [
        ("While", "has no prompts for 'While'; choose from For"),
        ("sum", "has no prompts for 'sum'; choose from len, print"),
        ("Load", "'Load' has no place of its own in a text"),
        ("nothing", "'nothing' is neither a class of Python's syntax tree nor a builtin"),
    ],
)
def test_an_unknown_concept_says_what_there_is(files, concept, said):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the message is compared)
        written(files, concept)
    assert said in str(refused.value)


def test_another_file_is_refused_in_one_line(files):
    (files / "prompts.parquet").write_bytes(b"PAR1 but not quite")
    with pytest.raises(CorruptFileError, match="is not a complete Parquet file"):
        written(files, "For")
    (files / "contrasts.parquet").rename(files / "prompts.parquet")
    with pytest.raises(CorruptFileError, match="has no column ast_node; it has object, keyword, prompt_text"):
        written(files, "For")
