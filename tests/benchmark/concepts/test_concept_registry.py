"""The registry of concepts, and the combinators that make more of them."""

import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner
from toy_methods import registered

from benchmark.cli import main
from benchmark.concepts import CONCEPTS, Concept, concept_families, concepts_digest
from benchmark.concepts.calls import in_call_of
from benchmark.concepts.conjunctions import both
from benchmark.concepts.digest import code_of, digest_of
from benchmark.concepts.names import word_seen
from benchmark.concepts.pairs import CONJUNCTIONS
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


def test_a_conjunction_is_in_the_family_of_both_families_and_a_concept_without_one_in_its_own():
    found = concept_families()
    assert list(found) == list(CONCEPTS)
    assert found["in_string"] == found["in_comment"] == "strings"
    assert found["in_call"] == found["in_call_of_len"] == "calls"
    assert found["in_string_and_in_call"] == found["in_f_string_and_in_method_call"] == "calls and strings"
    odd = Concept("odd", "odd", "nowhere:odd", "tests")
    pair = Concept("odd_pair", "odd", "nowhere:odd", "tests", parts=("odd", "in_string"))
    with registered(CONCEPTS, odd), registered(CONCEPTS, pair):
        assert concept_families()["odd"] == "odd"
        assert concept_families()["odd_pair"] == "odd and strings"


def test_the_digest_changes_with_what_a_concept_says_and_not_with_the_order():
    concepts = list(CONCEPTS.values())
    assert concepts_digest() == digest_of(reversed(concepts))
    assert len(concepts_digest()) == 64
    for changed in ({"summary": "else"}, {"level_names": ("no", "maybe")}, {"parts": ("in_call",)}, {"name": "else"}):
        assert digest_of([replace(concepts[0], **changed), *concepts[1:]]) != concepts_digest()
    assert digest_of(concepts[1:]) != concepts_digest()


def test_the_code_of_a_module_is_without_comments_and_docstrings():
    plain = code_of("X = '# a'\ndef f(x):\n    return x\n")
    written = "'a'\nX = '# a'  # b\n'''c\nd'''\n\n# e\ndef f(x):\n    'g'\n\n    return x  \n"
    assert code_of(written) == plain == "X = '# a'\ndef f(x):\n    return x"
    assert code_of("x = 3") != code_of("x = 4")


def test_an_attribute_that_is_not_a_conjunction_is_missing():
    from benchmark.concepts import conjunctions

    with pytest.raises(AttributeError, match="has no attribute 'in_string_and_in_x'"):
        _ = conjunctions.in_string_and_in_x


def test_calls_that_are_not_told_apart_are_refused_with_the_choices():
    with pytest.raises(ValueError, match="calls of 'sorted' are not told apart; choose from print, len"):
        in_call_of("sorted")


def test_conjunctions_are_of_two_families_in_the_order_of_the_single_concepts():
    names = list(CONCEPTS)
    for conjunction in CONJUNCTIONS:
        first, second = (CONCEPTS[part] for part in conjunction.parts)
        assert names.index(first.name) < names.index(second.name)
        assert first.family != second.family
        assert first.levels == second.levels == 2
