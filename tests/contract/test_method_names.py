"""The benchmark does not know what it measures: no installed method is named in the code of `benchmark`."""

import ast
from pathlib import Path

import pytest

import benchmark
from benchmark.methods import METHODS, with_role

FILES = sorted(Path(benchmark.__file__).parent.rglob("*.py"))


ORDINARY = {"dense", "transcoder", "released"}
"""Names that are also words of plain English or of the field."""

RANKINGS = {"released"}
"""Names that are also those of rankings."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_benchmark_names_no_method(file):
    constants = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
    texts = {constant for constant in constants if isinstance(constant, str)}
    words = {word for text in texts for word in text.replace(",", " ").split()}
    assert not words & (METHODS.keys() - ORDINARY)
    assert not texts & (METHODS.keys() - (RANKINGS if file.stem == "rankings" else {"transcoder"}))


def test_the_leading_reference_is_the_one_that_the_others_are_matched_to():
    lead, *others = with_role("reference")
    assert METHODS[lead].matched_to is None
    assert {METHODS[name].matched_to for name in others} == {lead}
