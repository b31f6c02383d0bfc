"""Labels of tokens: the rule for a token that straddles a boundary, documents in windows, and every message."""

from random import Random

import numpy as np
import pytest
from toy_tokenizers import BEGINNING, byte_level, sentence_piece
from toy_tokenizers import END as TEXT_END

from benchmark.concepts import CONCEPTS, Concept
from benchmark.concepts.conjunctions import labels_of
from benchmark.concepts.labels import check_rate, window_labels
from benchmark.concepts.token_bytes import token_bytes
from benchmark.corpus.idioms import document
from benchmark.corpus.tokenizer import train_tokenizer

END = 0
IN_STRING = CONCEPTS["in_string"]


@pytest.fixture(scope="module")
def tokenizer():
    random = Random(0)
    return train_tokenizer([document(random) for _ in range(300)], 600)


@pytest.fixture(scope="module")
def byte_tokenizer():
    return train_tokenizer([], 257)


def encoded(tokenizer, text):
    return np.array(tokenizer.encode(text).ids)


def concept(labels):
    return Concept("odd", "odd", labels, "tests")


def token_labels(concept, tokenizer, ids):
    return window_labels([concept], tokenizer, ids[None], END)[concept.name][0]


@pytest.mark.parametrize("name", CONCEPTS)
def test_token_has_the_label_of_the_character_that_it_ends_with(name, tokenizer):
    random = Random(3)
    for text in (document(random) for _ in range(20)):
        encoding = tokenizer.encode(text)
        characters = np.asarray(CONCEPTS[name].function(text))
        expected = [characters[end - 1] for _, end in encoding.offsets]
        assert token_labels(CONCEPTS[name], tokenizer, np.array(encoding.ids)).tolist() == expected


def test_token_that_opens_a_string_is_inside_and_one_that_closes_it_outside(tokenizer):
    text = 'print("page")\nprint("page")\n'
    tokens = tokenizer.encode(text).tokens
    assert '("' in tokens
    assert '")Ċ' in tokens
    labels = dict(zip(tokens, token_labels(IN_STRING, tokenizer, encoded(tokenizer, text)).tolist(), strict=True))
    assert labels['("'] == 1
    assert labels['")Ċ'] == 0


def test_part_of_a_character_has_the_label_of_the_last_whole_character(byte_tokenizer):
    ids = encoded(byte_tokenizer, "é'é'é")
    assert len(ids) == 8
    assert token_labels(IN_STRING, byte_tokenizer, ids).tolist() == [0, 0, 1, 1, 1, 0, 0, 0]
    name_seen = concept(lambda text: [1] * len(text))
    assert token_labels(name_seen, byte_tokenizer, ids).tolist() == [0, 1, 1, 1, 1, 1, 1, 1]


def test_bytes_that_are_no_text_are_labelled_too(byte_tokenizer):
    ids = encoded(byte_tokenizer, "'é'")
    assert token_labels(IN_STRING, byte_tokenizer, ids[[0, 1, 0, 2, 0]]).tolist() == [1, 1, 0, 0, 1]


def test_end_of_text_has_no_label_and_the_next_document_starts_afresh(tokenizer):
    opened, plain = encoded(tokenizer, 'x = "a'), encoded(tokenizer, "x = a")
    window = np.array([*opened, END, *plain, END, END, *opened], dtype=np.uint16)
    labels = window_labels([IN_STRING], tokenizer, window[None], END)["in_string"][0]
    part = token_labels(IN_STRING, tokenizer, opened).tolist()
    assert 1 in part
    assert labels.tolist() == [*part, 0, *[0] * len(plain), 0, 0, *part]
    assert labels.tolist() == token_labels(IN_STRING, tokenizer, window).tolist()


def test_window_that_ends_within_a_character_is_labelled_up_to_there(byte_tokenizer):
    ids = encoded(byte_tokenizer, "'éé")
    assert token_labels(IN_STRING, byte_tokenizer, ids[:4]).tolist() == [1, 1, 1, 1]


def test_all_concepts_of_many_windows_are_those_of_one(tokenizer):
    random = Random(4)
    tokens = [token for _ in range(12) for token in (*tokenizer.encode(document(random)).ids, END)]
    windows = np.array(tokens[:600]).reshape(6, 100)
    found = window_labels(list(CONCEPTS.values()), tokenizer, windows, END)
    assert list(found) == list(CONCEPTS)
    for name, labels in found.items():
        assert labels.dtype == np.int8
        for window, row in zip(windows, labels, strict=True):
            assert np.array_equal(row, token_labels(CONCEPTS[name], tokenizer, window))


def test_token_bytes_are_what_the_tokenizer_decodes(tokenizer):
    vocabulary = token_bytes(tokenizer)
    assert {bytes([byte]) for byte in range(256)} <= set(vocabulary)
    for token in range(1, len(vocabulary)):
        assert tokenizer.decode([token]) == vocabulary[token].decode("utf-8", "replace")


def failing(text):
    raise ZeroDivisionError("by nothing")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (failing, r"'odd' failed on document 1 \(window 0, position 3\): ZeroDivisionError\('by nothing'\)"),
        (lambda text: [0], r"'odd' gave labels of shape \(1,\) for the 2 characters of document 1 \(window 0, pos"),
        (lambda text: 3, r"'odd' gave labels of shape \(\)"),
        (lambda text: [0, 2], r"'odd' gave labels other than 0 to 1 on document 1 .*: \[0, 2\]"),
        (lambda text: [0, -1], r"'odd' gave labels other than 0 to 1"),
        (lambda text: [0.0, 0.5], r"'odd' gave labels other than 0 to 1"),
    ],
)
def test_concept_that_breaks_its_contract_is_named_with_the_document(labels, message, byte_tokenizer):
    window = np.array([*encoded(byte_tokenizer, "ab"), END, *encoded(byte_tokenizer, "cd")])
    odd = concept(lambda text: labels(text) if text == "cd" else [0, 1])
    with pytest.raises(ValueError, match=message):
        window_labels([odd], byte_tokenizer, window[None], END)


def test_concept_that_holds_somewhere_has_its_rate_checked():
    assert check_rate(IN_STRING, np.array([0, 0, 0, 1])) == 0.25


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("in_string", [0, 0], "'in_string' is 'no' everywhere: rate 0 over 2 positions"),
        ("in_string", [1, 1, 1], "'in_string' is 'yes' everywhere: rate 1 over 3 positions"),
        ("bracket_depth", [2, 2], "'bracket_depth' is 'two or more' everywhere: rate 1 over 2 positions"),
        ("in_string", [], "'in_string' has no labels"),
    ],
)
def test_concept_that_holds_nowhere_or_everywhere_is_refused(name, labels, message):
    with pytest.raises(ValueError, match=message):
        check_rate(CONCEPTS[name], np.array(labels, dtype=np.int8))


# Tokenizers of other models


@pytest.mark.parametrize("made", [byte_level, sentence_piece])
def test_labels_with_another_tokenizer_are_those_of_the_characters(made):
    tokenizer, text = made(), "x = 'é a'\n\nf([1], \"b\")\n"
    beginning, end = tokenizer.token_to_id(BEGINNING), tokenizer.token_to_id(TEXT_END)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    window = np.array([beginning, *ids, end, *ids])
    for name in ("in_string", "bracket_depth"):
        (labels,) = window_labels([CONCEPTS[name]], tokenizer, window[None], end)[name]
        characters = labels_of(CONCEPTS[name].function, text)
        ends = [len(tokenizer.decode(ids[: count + 1])) for count in range(len(ids))]
        wanted = [characters[stop - 1] for stop in ends]
        inside = [number for number, count in enumerate(ends) if "\ufffd" not in tokenizer.decode(ids[: number + 1])]
        assert labels[0] == labels[len(ids) + 1] == 0
        for start in (1, len(ids) + 2):
            assert [labels[start + number] for number in inside] == [wanted[number] for number in inside]


def test_bytes_of_a_sentence_piece_vocabulary_are_its_text():
    tokenizer = sentence_piece()
    found = token_bytes(tokenizer)
    ids = tokenizer.encode("def é(a):\n", add_special_tokens=False).ids
    assert b"".join(found[token] for token in ids) == " def é(a):\n".encode()
    assert found[tokenizer.token_to_id(BEGINNING)] == b""


def test_special_tokens_stand_for_no_text_and_other_added_tokens_for_theirs():
    tokenizer = byte_level()
    tokenizer.add_tokens(["    "])
    found = token_bytes(tokenizer)
    assert found[tokenizer.token_to_id(TEXT_END)] == b""
    assert found[tokenizer.token_to_id("    ")] == b"    "
