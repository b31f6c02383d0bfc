"""The idioms generator: every document parses, the same chance gives the same text, and the words are sound."""

import ast
import io
import keyword
import re
import time
import tokenize
from random import Random

import pytest

from benchmark.corpus.idioms import document
from benchmark.corpus.idioms import words as word_lists
from benchmark.corpus.idioms.words import COPIED, NOUNS, READ_FILES, VERBS, WRITTEN_FILES, split_words


def documents(count, seed=0):
    random = Random(seed)
    return [document(random) for _ in range(count)]


def test_every_document_parses():
    for text in documents(2000):
        ast.parse(text)


def test_same_seed_gives_the_same_documents_and_another_seed_others():
    assert documents(50) == documents(50)
    assert documents(50) != documents(50, seed=1)


def test_documents_hardly_repeat():
    texts = documents(2000)
    assert len(set(texts)) > 0.99 * len(texts)


def test_documents_vary_in_length():
    lengths = sorted(len(text.split()) for text in documents(1000))
    assert lengths[100] < 20
    assert lengths[900] > 60


def test_many_kinds_of_statement_occur_within_a_few_documents():
    kinds = {type(node).__name__ for text in documents(100) for node in ast.walk(ast.parse(text))}
    assert kinds >= {
        "Import", "FunctionDef", "ClassDef", "For", "While", "If", "With", "Try", "Raise", "Return", "Assign",
        "AugAssign", "IfExp", "Lambda", "JoinedStr", "Dict", "List", "Tuple", "Compare", "Call", "Attribute",
    }  # fmt: skip


def test_files_are_read_and_written_by_their_name():
    calls = [
        node
        for text in documents(500)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "open" and len(node.args) == 2
    ]
    assert len(calls) > 50
    for call in calls:
        stem = ast.unparse(call.args[0]).strip("'").rpartition("/")[2].split(".")[0].split("_")[0]
        if stem in READ_FILES + WRITTEN_FILES:
            assert stem in (READ_FILES if ast.literal_eval(call.args[1]) == "r" else WRITTEN_FILES)


def test_only_what_was_bound_to_a_set_is_added_to():
    texts = documents(1000)
    assert sum(".add(" in text for text in texts) > 50
    for text in texts:
        for added in re.findall(r"(\w+)\.add\(", text):
            assert f"{added} = set(" in text


def test_parameters_have_no_default_or_all_have_one_or_all_but_the_first():
    for text in documents(500):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                plain = len([argument for argument in node.args.args if argument.arg != "self"])
                assert len(node.args.defaults) in (0, plain - 1, plain)


@pytest.mark.parametrize("name", ["COPIED", "NOUNS", "PLURALS", "VERBS", "ADJECTIVES", "READ_FILES", "WRITTEN_FILES"])
def test_no_list_holds_a_word_twice_or_a_keyword(name):
    words = getattr(word_lists, name)
    assert len(set(words)) == len(words)
    assert not [word for word in words if keyword.iskeyword(word) or not word.isidentifier()]


def test_splits_share_no_word_and_lose_none():
    for words in (COPIED, NOUNS, VERBS):
        splits = split_words(words)
        assert sorted(word for split in splits.values() for word in split) == sorted(words)


def test_files_that_are_read_and_written_are_told_apart_by_no_other_use_of_their_names():
    assert not set(READ_FILES) & set(WRITTEN_FILES)
    assert not set(READ_FILES + WRITTEN_FILES) & {*NOUNS, *VERBS}


@pytest.mark.slow
def test_a_second_gives_more_than_fifty_thousand_tokens():
    begun = time.process_time()
    texts = documents(2000)
    seconds = time.process_time() - begun
    found = sum(1 for text in texts for _ in tokenize.generate_tokens(io.StringIO(text).readline))
    assert found / seconds > 50_000
