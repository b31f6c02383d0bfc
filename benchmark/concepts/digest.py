"""What the digest of the concepts is taken of: what they are called, and the code that labels."""

import ast
import hashlib
import json
from collections.abc import Iterable
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


def code_of(source: str) -> str:
    """The code of a module, without its comments and docstrings and in Python's own layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
