"""The tokens that every concept is decided from."""

import time

import pytest

from benchmark.concepts import CONCEPTS
from benchmark.concepts.lexer import tokens

LONG = 30_000


def kinds(text):
    return [(token.kind, token.text, token.depth) for token in tokens(text)]


def test_tokens_are_pieces_of_the_text_in_order_with_the_brackets_open_after_them():
    text = "if f(x,\n  1.5): # b'\n  y **= Rb'''a\n'b'''\n"
    assert kinds(text) == [
        ("name", "if", 0),
        ("name", "f", 0),
        ("open", "(", 1),
        ("name", "x", 1),
        ("operator", ",", 1),
        ("number", "1.5", 1),
        ("close", ")", 0),
        ("operator", ":", 0),
        ("comment", "# b'", 0),
        ("newline", "\n", 0),
        ("name", "y", 0),
        ("operator", "**=", 0),
        ("string", "Rb'''a\n'b'''", 0),
        ("newline", "\n", 0),
    ]
    assert all(text[token.start : token.end] == token.text for token in tokens(text))


@pytest.mark.parametrize(
    ("text", "string", "mark", "closed"),
    [
        ("'a\nb", "'a", "'", False),
        ("'a\\\nb'c", "'a\\\nb'", "'", True),
        ("'''a\nb''", "'''a\nb''", "'''", False),
        (r"r'\'", r"r'\'", "'", False),
        (r"r'\''", r"r'\''", "'", True),
        ("''a", "''", "'", True),
        ('"""a""""', '"""a"""', '"""', True),
        ("fR'a'", "fR'a'", "'", True),
    ],
)
def test_strings_end_where_python_ends_them_and_unclosed_ones_with_their_line(text, string, mark, closed):
    token = tokens(text)[0]
    assert (token.kind, token.text, token.mark, token.closed) == ("string", string, mark, closed)


def test_a_closing_bracket_closes_the_innermost_whatever_its_kind_and_none_if_none_is_open():
    assert [depth for _, _, depth in kinds(")([}]])")] == [0, 1, 2, 1, 0, 0, 0]


@pytest.mark.parametrize("part", ["'", '"""', "'\\", '""""a', "a ", "f(", "f()", "1.", "\\\n", "x = ''\n", "# "])
def test_time_grows_with_the_length_of_the_text_only(part):
    text = part * (LONG // len(part))
    start = time.process_time()
    for concept in CONCEPTS.values():
        concept.function(text)
    assert time.process_time() - start < 10  # hardly one; were it the square, minutes
