"""The registry of concepts, and the combinators that make more of them."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.concepts import CONCEPTS
from benchmark.concepts.conjunctions import both
from benchmark.concepts.names import word_seen
from benchmark.tasks import TASKS


def test_an_unknown_name_is_answered_with_the_choices():
    assert CONCEPTS.named("in_string") is CONCEPTS["in_string"]
    with pytest.raises(ValueError, match="unknown concept 'in_sting'; choose from in_single_quoted_string, in_double"):
        CONCEPTS.named("in_sting")
    with pytest.raises(ValueError, match="unknown concept 'in_sting'"):
        both("in_string", "in_sting")


def test_the_concepts_that_tasks_name_are_registered():
    for task in TASKS.values():
        assert set(task.concepts) <= CONCEPTS.keys()
        assert len(set(task.concepts)) == len(task.concepts)
    assert TASKS["bracket_counting"].concepts == ("bracket_depth", "in_brackets", "in_square_brackets")


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
