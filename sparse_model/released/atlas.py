"""Converts the prompts of CSP-Atlas into texts that label a concept, for a validity assessment of a released model.

CSP-Atlas (Wilam 2026, arXiv 2605.24603; https://github.com/piotrwilam/AtlasCSP, Apache-2.0) has prompts for 106
concepts of Python on `csp_yolo2`: `11A_object_prompts.parquet`, each with a syntax node and a builtin object in it, and
`11B_checker_prompts.parquet`, with the keyword of a concept where it does not mean the concept. A prompt says that a
concept occurs, but not where: here its spans are those of the syntax nodes of that kind, or of the builtin's name, as
Python parses the prompt, and contrast prompts have none.
"""

import ast
import builtins
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.disk import written_atomically
from benchmark.files import MIB, CorruptFileError, read_bytes, readable

if TYPE_CHECKING:
    import pandas

LARGEST_FILE = 64 * MIB
"""Most bytes of a file of prompts, and a sixteenth of what it may have once it is unpacked."""

LONGEST_PROMPT = 100_000
"""Most characters of a prompt."""

Span = tuple[int, int]
"""The first character and the one after the last."""


def write_labelled(prompts: Path, contrasts: Path, concept: str, out: Path, most: int = 1000) -> int:
    """Write the prompts of a concept as JSON lines, `{"text": …, "spans": [[first, after last], …]}`.

    As many contrast prompts follow as there are, at most as many as prompts.

    Args:
        prompts: `11A_object_prompts.parquet`.
        contrasts: `11B_checker_prompts.parquet`.
        concept: A class of Python's syntax tree, such as `For`, or a builtin, such as `len`.
        out: The file to write, whose name without its ending is the name of the concept.
        most: Most prompts, spread evenly over all that there are.

    Returns:
        The number of prompts and contrast prompts.

    Raises:
        ValueError: One line that says which concepts there are, or what is wrong with a file.
    """
    lines = list(labelled(prompts, contrasts, concept, most))
    with written_atomically(out) as partial:
        partial.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return len(lines)


def labelled(prompts: Path, contrasts: Path, concept: str, most: int) -> Iterator[dict[str, Any]]:
    """The lines that `write_labelled` writes: prompts in which the concept is found, then contrast prompts."""
    _check_concept(concept)
    column = "ast_node" if _is_syntax(concept) else "builtin_obj"
    table = _read(prompts, [column, "prompt_text"])
    texts = table.loc[table[column] == concept, "prompt_text"]
    if texts.empty:
        choices = ", ".join(sorted(map(str, table[column].unique()))[:100])
        raise ValueError(f"{prompts} has no prompts for {concept!r}; choose from {choices}")
    found = {text: spans for text in _texts(prompts, texts) if (spans := spans_of(text, concept))}
    chosen = _spread(list(found), most)
    others = _read(contrasts, ["object", "prompt_text"])
    wrong = dict.fromkeys(_texts(contrasts, others.loc[others["object"] == concept, "prompt_text"]))
    for text in chosen:
        yield {"text": text, "spans": found[text]}
    for text in _spread([text for text in wrong if text not in found], len(chosen)):
        yield {"text": text, "spans": []}


def spans_of(text: str, concept: str) -> list[Span]:
    """Where a concept is in a program, in order; one inside another is part of it. Nowhere in what is no Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    lines = list(StringIO(text, newline=""))  # as Python counts them
    found = sorted(
        (_offset(lines, node.lineno, node.col_offset), _offset(lines, node.end_lineno, node.end_col_offset))
        for node in ast.walk(tree)
        if _means(node, concept) and isinstance(node, ast.expr | ast.stmt | ast.excepthandler)
    )
    outer: list[Span] = []
    for start, end in found:
        if not outer or start >= outer[-1][1]:
            outer.append((start, end))
    return outer


def _means(node: ast.AST, concept: str) -> bool:
    """Whether a syntax node is of the class that a concept names, or the name of the builtin."""
    if _is_syntax(concept):
        return type(node).__name__ == concept
    return isinstance(node, ast.Name) and node.id == concept


def _is_syntax(concept: str) -> bool:
    found = getattr(ast, concept, None)
    return isinstance(found, type) and issubclass(found, ast.AST)


def _check_concept(concept: str) -> None:
    """`ValueError` for what is neither a class of the syntax tree nor a builtin, or has no place in a text."""
    if _is_syntax(concept):
        if not issubclass(getattr(ast, concept), ast.expr | ast.stmt | ast.excepthandler):
            raise ValueError(
                f"concept {concept!r} has no place of its own in a text; choose an expression or a statement"
            )
    elif not concept.isidentifier() or not hasattr(builtins, concept):
        raise ValueError(f"concept {concept!r:.100} is neither a class of Python's syntax tree nor a builtin")


def _offset(lines: list[str], line: int | None, column: int | None) -> int:
    """The character at a line, from 1, and a column in bytes, from 0."""
    assert line is not None
    assert column is not None
    inside = len(lines[line - 1].encode()[:column].decode()) if line <= len(lines) else 0
    return sum(map(len, lines[: line - 1])) + inside


def _spread(texts: list[str], most: int) -> list[str]:
    """At most so many texts, spread evenly over all of them."""
    count = min(most, len(texts))
    return [texts[index * len(texts) // count] for index in range(count)]


def _texts(path: Path, column: "pandas.Series[Any]") -> list[str]:
    """The prompts in a column; `CorruptFileError` for what is none."""
    found = [text for text in column if isinstance(text, str) and 0 < len(text) <= LONGEST_PROMPT]
    if len(found) < len(column):
        raise CorruptFileError(path, f"has prompts that are no text of 1 to {LONGEST_PROMPT:,} characters")
    return found


def _read(path: Path, columns: list[str]) -> "pandas.DataFrame":
    """Some columns of a Parquet file; `ValueError` in one line if it is not one, is too large or lacks a column."""
    content = read_bytes(path, LARGEST_FILE, "file of prompts")
    try:
        from pyarrow import BufferReader, parquet
    except ImportError:
        raise ValueError(f"{path}: Parquet files are read by pyarrow, which is not installed") from None
    with readable(path, "Parquet file"):
        file = parquet.ParquetFile(BufferReader(content))
        unpacked = sum(file.metadata.row_group(number).total_byte_size for number in range(file.num_row_groups))
        if unpacked > 16 * LARGEST_FILE:
            raise CorruptFileError(path, f"has {unpacked:,} bytes once it is unpacked")
        if missing := [name for name in columns if name not in file.schema_arrow.names]:
            raise CorruptFileError(
                path, f"has no column {missing[0]}; it has {', '.join(file.schema_arrow.names)[:500]}"
            )
        found: pandas.DataFrame = file.read(columns=columns).to_pandas()
    return found
