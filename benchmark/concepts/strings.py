"""Concepts of text that is not code: strings and comments."""

from functools import lru_cache

import numpy as np

from benchmark.concepts.lexer import Labels, Token, tokens

SINGLE, DOUBLE, COMMENT = 1, 2, 3


@lru_cache(maxsize=1)
def prose(text: str) -> Labels:
    '''The kind of prose that each character is in: `SINGLE`, `DOUBLE`, `COMMENT`, or 0 for code.

    A string begins at its opening quote and ends before its closing quote; an f-string's braces belong to it. Two
    quotes are an empty string until a third one comes, so the second quote of `"""` counts as closing.
    '''
    found = np.zeros(len(text), dtype=np.int8)
    for token in tokens(text):
        if token.kind == "comment":
            found[token.start : token.end] = COMMENT
        elif token.kind == "string":
            first = token.start + len(token.word) - 1
            found[first : token.end - token.closed] = SINGLE if token.mark[0] == "'" else DOUBLE
            found[first + 1 : first + len(token.mark) - 1] = 0
    return found


def in_single_quoted_string(text: str) -> Labels:
    """Inside a string that `'` or `'''` opened.

    Example:
        x = f'a' + "b"  # it's
        0000011000000000000000
    """
    return np.asarray(prose(text) == SINGLE, dtype=np.int8)


def in_double_quoted_string(text: str) -> Labels:
    r'''Inside a string that `"` or `"""` opened.

    Example:
        x = "say \"no\"" + 'a"b'
        000011111111111000000000
        x = r"""a""" + f"{b}"
        000001011110000011110
    '''
    return np.asarray(prose(text) == DOUBLE, dtype=np.int8)


def in_string(text: str) -> Labels:
    """Inside a string of either kind.

    Example:
        x = 'a' + "b"
        0000110000110
    """
    found = prose(text)
    return np.asarray((found == SINGLE) | (found == DOUBLE), dtype=np.int8)


def in_comment(text: str) -> Labels:
    """Inside a comment, from its `#` to the end of its line.

    Example:
        x = "#"  # no
        0000000001111
    """
    return np.asarray(prose(text) == COMMENT, dtype=np.int8)


def in_docstring(text: str) -> Labels:
    """Inside the string that begins the first line of a text, or the line after the header of a `def` or `class`.

    Example:
        "a"
        110
        def f():
        00000000
            # c
        0000000
            r"b"
        00000110
            "b"
        0000000
    """
    documents = np.zeros(len(text), dtype=np.bool_)
    line: list[Token] = []
    expected = True
    for token in tokens(text):
        if token.kind == "newline" and line:
            headed = [word.text for word in line[:2] if word.text != "async"][:1]
            expected = headed in (["def"], ["class"]) and line[-1].text == ":"
            line = []
        elif token.kind not in ("newline", "comment"):
            if expected and not line and token.kind == "string" and not {*token.word[:-1].lower()} & {"b", "f"}:
                documents[token.start : token.end] = True
            line.append(token)
    return np.asarray(documents & in_string(text), dtype=np.int8)


def in_f_string(text: str) -> Labels:
    """Inside an f-string.

    Example:
        f"a{b}" + "c"
        0111110000000
    """
    found = np.zeros(len(text), dtype=np.bool_)
    for token in _f_strings(text):
        found[token.start : token.end] = True
    return np.asarray(found & in_string(text), dtype=np.int8)


def in_f_string_braces(text: str) -> Labels:
    """Between the braces of an f-string; the first of two braces opens none as soon as the second is read.

    Example:
        f"a{b:{c}}{{d}}" + "{e}"
        000111111010000000000000
    """
    found = np.zeros(len(text), dtype=np.int8)
    for token in _f_strings(text):
        depth, opened = 0, -1
        for place in range(token.start + len(token.word) - 1 + len(token.mark), token.end - token.closed):
            if text[place] == "{":
                doubled = depth == 1 and opened == place - 1
                depth, opened = (0, -1) if doubled else (depth + 1, place)
            elif text[place] == "}" and depth:
                depth -= 1
            found[place] = depth > 0
    return found


def _f_strings(text: str) -> list[Token]:
    return [token for token in tokens(text) if token.kind == "string" and "f" in token.word.lower()]
