"""The registry of concepts, and the combinators that make more of them."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.concepts import CONCEPTS, CONCEPTS_OF_TASK, Concept, concept_named, register
from benchmark.concepts.conjunctions import both
from benchmark.concepts.names import word_seen
from benchmark.tasks import TASKS


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="there is a concept 'in_string' already"):
        register(Concept("in_string", "again", list, "tests"))


def test_an_unknown_name_is_answered_with_the_choices():
    assert concept_named("in_string") is CONCEPTS["in_string"]
    with pytest.raises(ValueError, match="unknown concept 'in_sting'; choose from in_single_quoted_string, in_double"):
        concept_named("in_sting")
    with pytest.raises(ValueError, match="unknown concept 'in_sting'"):
        both("in_string", "in_sting")


def test_concepts_of_tasks_are_registered_and_so_are_the_tasks():
    assert CONCEPTS_OF_TASK.keys() <= TASKS.keys()
    for names in CONCEPTS_OF_TASK.values():
        assert names
        assert set(names) <= CONCEPTS.keys()
        assert len(set(names)) == len(names)


def test_a_conjunction_holds_where_both_labels_are_not_0():
    text = "f([g('a')], 'b')"
    assert both("in_string", "bracket_depth")(text).tolist() == CONCEPTS["in_string"].function(text).tolist()
    assert both("in_string", "in_comment")(text).tolist() == [0] * len(text)


def test_a_word_is_seen_from_its_first_occurrence_on_and_longer_words_hold_it_for_a_moment():
    assert "".join(map(str, word_seen("ab")("'ab' abc.ab c"))) == "0000001000111"
    assert "".join(map(str, word_seen("f")("f'f' #f"))) == "1000000"


def test_the_registry_imports_neither_torch_nor_numpy():
    program = "import sys, benchmark.concepts; assert not {'torch', 'numpy', 'tokenizers'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_bench_lists_the_concepts_one_line_each():
    result = CliRunner().invoke(main, ["list", "concepts"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == list(CONCEPTS)
