"""What every concept keeps to; a new one is picked up by itself."""

import re
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.concepts import CONCEPTS
from benchmark.corpus.idioms import document

pytestmark = pytest.mark.parametrize("name", CONCEPTS)

PARTS = ["'", '"', "'''", '"""', "\\", "\n", "#", *"()[]{}.,:;= f1é", "    ", "if", "for ", "return", "x = set()\n"]
PARTS += ["x", "x = ''\n", "def f(", "self", "lambda x: ", "in ", "import x as x\n", "with x as "]
SOURCES = st.lists(st.sampled_from(PARTS), max_size=30).map("".join)


def labels(name, text):
    return np.asarray(CONCEPTS[name].function(text))


def shown_example(name):
    """The lines of the example in a concept's docstring, and the digits under each."""
    _, _, example = CONCEPTS[name].function.__doc__.partition("Example:\n")
    lines = [line for line in example.split("\n") if line.strip()]
    indent = len(lines[1]) - len(lines[1].lstrip())
    return [line[indent:] for line in lines[0::2]], [line[indent:] for line in lines[1::2]]


def test_docstring_shows_lines_and_their_labels(name):
    lines, digits = shown_example(name)
    assert lines
    found = "".join(map(str, labels(name, "\n".join(lines))))
    breaks = [place for place, character in enumerate("\n".join(lines)) if character == "\n"]
    shown = [found[start:stop] for start, stop in zip([0, *(b + 1 for b in breaks)], [*breaks, None], strict=True)]
    assert shown == digits
    assert {*"".join(digits)} == {*map(str, range(CONCEPTS[name].levels))}


@given(text=SOURCES)
@settings(max_examples=40, deadline=None)
def test_labels_depend_on_the_text_so_far_only(name, text):
    whole = labels(name, text)
    for length in range(len(text)):
        assert labels(name, text[:length]).tolist() == whole[:length].tolist()


def test_labels_of_a_documents_beginning_are_the_beginning_of_its_labels(name):
    random = Random(5)
    for _ in range(10):
        text = document(random)
        whole = labels(name, text)
        for length in random.sample(range(len(text)), 8):
            assert np.array_equal(labels(name, text[:length]), whole[:length])


def test_any_text_has_one_label_of_a_level_per_character(name):
    random = Random(7)
    for text in (
        "",
        "\n",
        "\0\x0b\r\n'",
        ")]}",
        "'" * 7 + "\\",
        "def",
        "for",
        "from import as",
        "= = :",
        "def f(",
        "é²",
    ):
        text += "".join(chr(random.randrange(1, 300)) for _ in range(50)) * bool(text)
        found = labels(name, text)
        assert found.shape == (len(text),)
        assert not len(found) or 0 <= found.min() <= found.max() < CONCEPTS[name].levels


def test_sibling_is_another_concept(name):
    sibling = CONCEPTS[name].sibling
    assert sibling is None or (sibling in CONCEPTS and sibling != name)


def test_name_is_a_word_and_the_summary_one_phrase(name):
    concept = CONCEPTS[name]
    assert concept.name == name
    assert re.fullmatch(r"[a-z_]+", name)
    assert concept.summary[0].islower()
    assert not concept.summary.endswith(".")
    assert concept.source
    assert concept.levels == len(set(concept.level_names)) > 1
