"""Cuts text into documents: Python source into its functions and classes, anything else into passages."""

import ast
import textwrap
import warnings
from collections.abc import Sequence
from itertools import pairwise

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def documents_of(text: str, longest: int) -> list[str]:
    """The documents of one file: its definitions if it is Python that has some, else its passages.

    Args:
        text: The whole file.
        longest: Characters beyond which a class is cut into its methods, and other text into passages.
    """
    return definitions(text, longest) or passages(text, longest)


def definitions(text: str, longest: int) -> list[str]:
    r"""One document per top-level function or class of Python source, decorators included; none if it does not parse.

    Only a document's first window is ever seen by a model, so that a class of more than `longest` characters would be
    mostly lost (of the standard library's 2.3 M tokens two thirds). It is cut before each method but the first, and the
    pieces are dedented: `class A:` with its first method, then one document per further method.
    """
    lines = text.split("\n")
    nodes = (node for node in _parsed(text) if isinstance(node, Definition))
    return [piece for node in nodes for piece in _pieces(node, lines, longest)]


def passages(text: str, longest: int) -> list[str]:
    """Consecutive lines that together have at most `longest` characters; a longer line is cut into several."""
    found = [""]
    lines = (line[at : at + longest] for line in text.splitlines(keepends=True) for at in range(0, len(line), longest))
    for line in lines:
        if found[-1] and len(found[-1]) + len(line) > longest:
            found.append("")
        found[-1] += line
    return [passage for passage in found if passage.strip()]


def _parsed(text: str) -> Sequence[ast.stmt]:
    """The top-level statements; none where the text is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            return ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


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
    """Index of a definition's first line, its decorators included."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
