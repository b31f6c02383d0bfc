"""Cuts text into documents: Python source into functions and classes, anything else into passages."""

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmark.files import parsed_json

LONGEST_SOURCE = 4_000_000
"""Characters of a longer text, which is cut into passages: its syntax tree could take several gigabytes."""

TEXT_FIELDS = ("text", "content", "code")
"""Where a row of a dataset has its text, the preferred name first."""

_LEXEME = re.compile(
    r"""
    \"\"\"(?:\\.|[^\\])*?\"\"\" | '''(?:\\.|[^\\])*?'''
    | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'
    | \#[^\n]* | \\\n | [\[({] | [\])}] | \n
    """,
    re.VERBOSE | re.DOTALL,
)
"""Everything that determines where a statement ends: strings, comments, joined lines, brackets, line ends."""

_DEFINITION = re.compile(r"(?:async[ ]+)?def[ ]+\w+|class[ ]+\w+")
_FUNCTION = re.compile(r"(?:async[ ]+)?def[ ]+\w+")


@dataclass(frozen=True)
class Statement:
    """The place of a logical line in a file."""

    line: int
    """Index of its first line."""
    end: int
    """Index of the line after it."""
    indent: int
    """Number of spaces and tabs before it."""
    text: str
    """Its first line, without them."""


def documents_of(text: str, longest: int) -> list[str]:
    """The documents of one file: its definitions if it is Python and has any, otherwise its passages.

    Classes of more than `longest` characters are cut into their methods, other text into passages of at most that.
    """
    return (definitions(text, longest) if _parses(text) else []) or passages(text, longest)


def definitions(text: str, longest: int) -> list[str]:
    """One document per top-level function or class of Python source, decorators included.

    A model only ever sees a document's first window, so most of a class of more than `longest` characters would be lost
    (two thirds of the standard library's 2.3 M tokens). Such a class is cut before each method but the first, and the
    pieces are dedented: `class A:` with its first method, then one document per further method.

    They are found by strings, brackets and indentation: the grammar of `ast` differs between Python versions, and the
    same files should give the same documents in all of them.
    """
    lines = text.split("\n")
    return [
        piece
        for first, head, block in _definitions(list(_statements(text, lines)), _DEFINITION)
        for piece in _pieces(first, head, block, lines, longest)
    ]


def passages(text: str, longest: int) -> list[str]:
    """Consecutive paragraphs with at most `longest` characters in total; blank lines end a paragraph.

    A longer paragraph is cut between lines, and a longer line between words or, if a word is longer, inside it.
    """
    found = [""]
    for piece in _paragraphs(text, longest):
        if found[-1] and len(found[-1]) + len(piece) > longest:
            found.append("")
        found[-1] += piece
    return [passage for passage in found if passage.strip()]


def _paragraphs(text: str, longest: int) -> Iterator[str]:
    """The text in pieces of at most `longest` characters: paragraphs, lines of longer ones, parts of longer lines."""
    paragraph: list[str] = []
    for line in text.splitlines(keepends=True):
        if paragraph and line.strip() and not paragraph[-1].strip():
            yield from _lines_of(paragraph, longest)
            paragraph = []
        paragraph.append(line)
    yield from _lines_of(paragraph, longest)


def _lines_of(paragraph: Sequence[str], longest: int) -> Iterator[str]:
    if sum(map(len, paragraph)) <= longest:
        yield "".join(paragraph)
        return
    for line in paragraph:
        start = 0
        while len(line) - start > longest:
            end = line.rfind(" ", start, start + longest) + 1 or start + longest
            yield line[start:end]
            start = end
        yield line[start:]


def texts_of_rows(rows: str) -> list[str]:
    """The text that each line of JSON has as `text`, `content` or `code`; blank lines are left out.

    Raises:
        ValueError: A line is not a JSON object with a text; the message is a noun phrase that names the line.
    """
    return [_text_of(line, number) for number, line in enumerate(rows.split("\n"), 1) if line.strip()]


def _text_of(line: str, number: int) -> str:
    """The text that a line of JSON has."""
    try:
        content = parsed_json(line.encode(), Path(f"line {number}"))
    except ValueError:
        raise ValueError(f"JSON lines, of which line {number} is not JSON") from None
    own = content if isinstance(content, dict) else {}
    texts: list[str] = [own[name] for name in TEXT_FIELDS if isinstance(own.get(name), str)]
    if not texts:
        raise ValueError(f"JSON lines, of which line {number} has no {' or '.join(TEXT_FIELDS)}")
    return texts[0]


def _parses(text: str) -> bool:
    """Whether a text is Python, as the Python that runs this sees it; not asked of a text that is too long."""
    if len(text) > LONGEST_SOURCE:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _statements(text: str, lines: Sequence[str]) -> Iterator[Statement]:
    """The logical lines that hold code, in order."""
    line = first = depth = 0
    for lexeme in _LEXEME.finditer(text + "\n"):
        found = lexeme.group()
        if found in ("(", "[", "{"):
            depth += 1
        elif found in (")", "]", "}"):
            depth = max(depth - 1, 0)
        elif found == "\n" and depth == 0:
            code = lines[first].lstrip(" \t\f")
            if code and not code.startswith("#"):
                yield Statement(first, line + 1, len(lines[first]) - len(code), code)
            line = first = line + 1
        else:
            line += found.count("\n")


def _definitions(
    statements: Sequence[Statement], kind: re.Pattern[str]
) -> Iterator[tuple[int, Statement, list[Statement]]]:
    """First line (decorators included), head, and all statements of each definition at the outermost indentation."""
    outer = statements[0].indent if statements else 0
    decorated: int | None = None
    for place, statement in enumerate(statements):
        if statement.indent > outer:
            continue
        if statement.text.startswith("@"):
            decorated = statement.line if decorated is None else decorated
            continue
        if kind.match(statement.text):
            block = [statement]
            for inner in statements[place + 1 :]:
                if inner.indent <= outer:
                    break
                block.append(inner)
            yield statement.line if decorated is None else decorated, statement, block
        decorated = None


def _pieces(first: int, head: Statement, block: list[Statement], lines: Sequence[str], longest: int) -> list[str]:
    end = block[-1].end
    whole = "\n".join(lines[first:end]) + "\n"
    if _FUNCTION.match(head.text) or len(whole) <= longest:
        return [whole]
    methods = [line for line, _, _ in _definitions(block[1:], _FUNCTION)]
    cuts = [first, *methods[1:], end]
    return [_dedented(lines[start:stop]) for start, stop in pairwise(cuts)]


def _dedented(lines: Sequence[str]) -> str:
    """The lines without the white space that all begin with, and without blank lines at the end."""
    indents = [line[: len(line) - len(line.lstrip(" \t"))] for line in lines if line.strip(" \t")]
    shared = min(indents, key=len, default="")
    while not all(indent.startswith(shared) for indent in indents):
        shared = shared[:-1]
    kept = [line[len(shared) :] if line.strip(" \t") else "" for line in lines]
    return "\n".join(kept).rstrip() + "\n"
