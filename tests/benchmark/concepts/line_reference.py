"""What the concepts of docstrings, f-strings, decorators and indentation should say of a document that parses."""

import ast
import re
import tokenize

import numpy as np
from reference_document import prefix_of

FIELD = re.compile(r"\{\{|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}")
"""Two braces, or a field of an f-string with at most two levels of braces inside."""


def in_docstring(document):
    """Strings, whatever follows them, that begin a body which begins on a line of its own."""
    lines = {line[0][2] for line in document.logical_lines()}
    spans = []
    for node in document.nodes_of_type(ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef):
        if node.body and document.start(node.body[0]) in lines:
            kind, string, start, end = document.significant[document.index_at(document.start(node.body[0]))]
            if kind == tokenize.STRING and not set(prefix_of(string).lower()) & set("bf"):
                spans.append((start, end))
    return document.labels(spans)


def f_strings(document):
    found = [token for token in document.of_type(tokenize.STRING) if "f" in prefix_of(token[1]).lower()]
    return [(string, start, end) for _, string, start, end in found]


def in_f_string_braces(document):
    spans = []
    for string, start, _ in f_strings(document):
        for match in FIELD.finditer(string):
            spans.append((start + match.start(), start + (match.start() + 1 if match[0] == "{{" else match.end() - 1)))
    return document.labels(spans)


def in_decorator(document):
    return document.labels((line[0][2], line[-1][2]) for line in document.logical_lines() if line[0][1] == "@")


def indentation_depth(document):
    """The levels that Python counts; in blanks, and on lines without code, by the widths that are open before."""
    found = document.labels([])
    brackets = [*sum((document.labels([pair[:2]]) for pair in document.pairs()), found).tolist(), 0]
    start, before, widths = 0, [], []
    for kind, string, place, end in document.tokens:
        if kind == tokenize.INDENT:
            widths = [*widths, len(string.expandtabs())]
        elif kind == tokenize.DEDENT:
            widths = widths[:-1]
        elif kind in (tokenize.NEWLINE, tokenize.NL) and not brackets[place]:
            line = document.text[start:place]
            blanks = len(line) - len(line.lstrip(" \t"))
            for length in range(blanks + 1):
                width = len(line[:length].expandtabs())
                level = sum(width >= each for each in before) + (width > max(before, default=0))
                found[start + max(length - 1, 0) : place] = level
            if line.strip() and not line.strip().startswith("#"):
                found[start + max(blanks - 1, 0) : place] = len(widths)
            start, before = end, widths
    return np.minimum(found, 3)


def reference(document, in_string):
    spans = [(start, end) for _, start, end in f_strings(document)]
    return {
        "in_docstring": in_docstring(document) & in_string,
        "in_f_string": document.labels(spans) & in_string,
        "in_f_string_braces": in_f_string_braces(document),
        "in_decorator": in_decorator(document),
        "indentation_depth": indentation_depth(document),
    }
