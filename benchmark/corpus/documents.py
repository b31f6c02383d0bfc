"""Cuts text into documents: Python source into functions and classes, anything else into passages."""

import ast
import textwrap
import warnings
from collections.abc import Sequence
from itertools import pairwise

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def documents_of(text: str, longest: int) -> list[str]:
    """The documents of one file: its definitions if it is Python and has any, otherwise its passages.

    Classes of more than `longest` characters are cut into their methods, other text into passages of at most that.
    """
    return definitions(text, longest) or passages(text, longest)


def definitions(text: str, longest: int) -> list[str]:
    """One document per top-level function or class of Python source, decorators included; none if it does not parse.

    A model only ever sees a document's first window, so most of a class of more than `longest` characters would be lost
    (two thirds of the standard library's 2.3 M tokens). Such a class is cut before each method but the first, and the
    pieces are dedented: `class A:` with its first method, then one document per further method.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            nodes = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    lines = text.split("\n")
    return [piece for node in nodes if isinstance(node, Definition) for piece in _pieces(node, lines, longest)]


def passages(text: str, longest: int) -> list[str]:
    """Consecutive lines with at most `longest` characters in total; a longer line is cut into several."""
    found = [""]
    lines = (line[at : at + longest] for line in text.splitlines(keepends=True) for at in range(0, len(line), longest))
    for line in lines:
        if found[-1] and len(found[-1]) + len(line) > longest:
            found.append("")
        found[-1] += line
    return [passage for passage in found if passage.strip()]


def _pieces(node: Definition, lines: Sequence[str], longest: int) -> list[str]:
    start, end = _first_line(node), node.end_lineno
    assert end is not None, "ast.parse sets every end"
    whole = "\n".join(lines[start:end]) + "\n"
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or len(whole) <= longest:
        return [whole]
    methods = [_first_line(part) for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
    cuts = [start, *methods[1:], end]
    return [textwrap.dedent("\n".join(lines[first:last])).rstrip() + "\n" for first, last in pairwise(cuts)]


def _first_line(node: Definition) -> int:
    """Index of a definition's first line, decorators included."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
