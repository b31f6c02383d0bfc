"""The benchmark does not know what it measures: no installed method is named in the code of `benchmark`."""

import ast
from pathlib import Path

import pytest

import benchmark
from benchmark.methods import METHODS, with_role

FILES = sorted(Path(benchmark.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_benchmark_names_no_method(file):
    constants = (node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant))
    words = {word for text in constants if isinstance(text, str) for word in text.replace(",", " ").split()}
    assert not words & (METHODS.keys() - {"dense", "transcoder"})  # also words of plain English and of the field
    assert "dense" not in {
        node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)
    }


def test_the_leading_reference_is_the_one_that_the_others_are_matched_to():
    lead, *others = with_role("reference")
    assert METHODS[lead].matched_to is None
    assert {METHODS[name].matched_to for name in others} == {lead}
