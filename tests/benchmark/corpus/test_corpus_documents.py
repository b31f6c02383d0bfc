"""How files are cut into documents."""

import ast
import inspect
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.corpus import documents as module
from benchmark.corpus.documents import definitions, documents_of, passages

DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

CLASS = '''@decorated
class Long:
    """What it is."""

    size = 3

    def first(self):
        return 1

    # about the second
    @property
    def second(self):
        return 2

    async def third(self):
        return """
        text
        """
'''


def test_every_top_level_definition_is_a_document_with_its_decorators():
    text = "import os\n\n@cached\ndef a():\n    return 1\n\nx = 1\nasync def b(): pass\nclass C:\n    y = 2\n"
    assert definitions(text, 1000) == [
        "@cached\ndef a():\n    return 1\n",
        "async def b(): pass\n",
        "class C:\n    y = 2\n",
    ]


def test_a_short_class_is_one_document():
    assert definitions(CLASS, 1000) == [CLASS]


def test_a_long_class_is_cut_before_each_method_but_the_first():
    head, second, third = definitions(CLASS, 100)
    assert head.startswith("@decorated\nclass Long:")
    assert "def first(self):" in head
    assert second == "@property\ndef second(self):\n    return 2\n"
    assert third.startswith("async def third(self):\n    return ")


def test_every_definition_of_our_own_source_parses():
    for document in definitions(inspect.getsource(module), 200):
        ast.parse(document)


PUZZLE = """x = (
def not_one():
)
y = \\
    3  # def neither(): "
def outer(a="(", b='\\'', c=[
1]):
    text = '''
def inside_a_string():
'''
    def inner():
        pass
# class Comment:

    return 1
# the end


class Two:
    pass
if x:
    def hidden():
        pass
"""


def test_strings_brackets_comments_and_joined_lines_do_not_mislead():
    first, second = definitions(PUZZLE, 1000)
    assert first.startswith('def outer(a="("')
    assert first.endswith("    return 1\n")
    assert second == "class Two:\n    pass\n"


@pytest.mark.parametrize("package", ["click", "rich", "jinja2", "pydantic"])
def test_definitions_are_those_that_the_grammar_sees(package):
    for file in Path(find_spec(package).origin).parent.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        nodes = [node for node in ast.parse(text).body if isinstance(node, DEFINITION)]
        lines = text.split("\n")
        starts = [min([node.lineno, *(each.lineno for each in node.decorator_list)]) for node in nodes]
        expected = [
            "\n".join(lines[first - 1 : node.end_lineno]) + "\n" for first, node in zip(starts, nodes, strict=True)
        ]
        assert definitions(text, 10**9) == expected


def test_source_with_invalid_escapes_is_cut_without_a_warning():
    assert definitions("def a():\n    return '\\d'\n", 1000) == ["def a():\n    return '\\d'\n"]


def test_text_that_is_no_python_is_cut_into_passages():
    assert documents_of("one two\nthree four\nfive\n", 12) == ["one two\n", "three four\n", "five\n"]


def test_python_without_definitions_is_cut_into_passages():
    assert documents_of("a = 1\nb = 2\n", 100) == ["a = 1\nb = 2\n"]


@given(st.text(alphabet="ab \n", max_size=200), st.integers(1, 30))
def test_passages_are_the_text_in_order_and_no_longer_than_they_need_to_be(text, longest):
    found = passages(text, longest)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(len(passage) <= longest or len(passage.splitlines()) == 1 for passage in found)
