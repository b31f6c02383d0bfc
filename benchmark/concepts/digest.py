"""What the digest of the concepts is taken of: what they are called, and the code that labels."""

import ast
import hashlib
import io
import json
import tokenize
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from benchmark.concepts.concept import Concept
from benchmark.plugins.versions import source_digest

LISTS = ("__init__", "concept", "digest", "pairs", "single")
"""Modules that label nothing."""


def digest_of(concepts: Iterable[Concept]) -> str:
    """SHA-256 over concepts in any order and the code of every labelling module."""
    rows = sorted(
        [each.name, each.summary, each.level_names, each.parts, source_digest(each.labels) or ""] for each in concepts
    )
    files = sorted(file for file in Path(__file__).parent.glob("*.py") if file.stem not in LISTS)
    code = [[file.stem, code_of(file.read_text(encoding="utf-8"))] for file in files]
    return hashlib.sha256(json.dumps([rows, code]).encode()).hexdigest()


@cache
def code_of(source: str) -> str:
    """The code of a module, line by line, without comments, blank lines and strings that nothing uses."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or node.lineno) - node.lineno + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())
