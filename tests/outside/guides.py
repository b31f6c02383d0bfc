"""The code blocks of README.md and docs/: what they are, and how they are followed."""

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

NUMBER = re.compile(r"  # (-?\d+(?:\.(\d+))?)(?![\w.])")
"""The number that a line of Python is said to give, rounded: `# 0.97` at its end."""

VALUE = re.compile(r'  # (True|False|"\w+")(?!\S)')
"""Another value that it is said to give."""


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    Attributes:
        page: The page, relative to the repository.
        line: Number of the first line of the block's text.
        language: As the fence says; `console` for an indented block.
        text: The text.
    """

    page: str
    line: int
    language: str
    text: str

    @property
    def name(self):
        """The name of the file that its first line gives, if it does."""
        found = re.match(r"# (\S+\.\w+)\n", self.text)
        return found[1] if found else ""

    def __str__(self):
        return f"{self.page}:{self.line}"


@cache
def pages():
    """README.md and all pages of docs/, relative to the repository."""
    return ("README.md", *sorted(str(page.relative_to(ROOT)) for page in DOCS.rglob("*.md")))


@cache
def tokens(page):
    return MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text(encoding="utf-8"))


@cache
def code(page):
    """All code blocks of a page."""
    found = []
    for token in tokens(page):
        if token.type in ("fence", "code_block"):
            fenced = token.type == "fence"
            language = token.info if fenced else "console"
            found.append(Block(page, token.map[0] + 1 + fenced, language, token.content))
    return tuple(found)


def blocks(page):
    """The named files of a page of docs/ as (language, name of the file, text)."""
    named = [each for each in code(f"docs/{page}") if each.language in ("python", "toml") and each.name]
    return [(each.language, each.name, each.text.split("\n", 1)[1]) for each in named]


def commands(page):
    """The commands of a page, each as the block that has it and its words, without variables of the environment."""
    for block in code(page):
        if block.language == "console":
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                while words and re.match(r"[A-Z_]+=", words[0]):
                    words = words[1:]
                if words:
                    yield block, words


def follow(page):
    """Execute the Python of a page in its order; numbers that comments state have to be right.

    Returns:
        What the blocks leave behind.
    """
    seen = {}
    for block in code(page):
        if block.language == "python":
            execute(block, seen)
    return seen


def execute(block, seen):
    """Execute a block statement by statement, with the names that have been seen so far."""
    lines = block.text.splitlines()
    for statement in ast.parse(block.text, str(block)).body:
        if isinstance(statement, ast.Expr):
            value = eval(compile(ast.Expression(statement.value), str(block), "eval"), seen)
            said = f"{lines[statement.end_lineno - 1]} ({block.page}:{block.line + statement.lineno - 1})"
            assert is_as_said(value, said), f"{value!r} instead of {said.strip()}"
        else:
            exec(compile(ast.Module([statement], []), str(block), "exec"), seen)


def is_as_said(value, line):
    """Whether an expression's value is the one that its line states in a comment, if it states one."""
    if number := NUMBER.search(line):
        half = 0.5 * 10.0 ** -len(number[2] or "")
        return value == pytest.approx(float(number[1]), abs=1.001 * half)
    other = VALUE.search(line)
    return other is None or value == ast.literal_eval(other[1])


def install(folder, *pages, also=""):
    """Write the files of some pages into a folder, as a distribution that names their records."""
    points = []
    for page in pages:
        for language, name, text in blocks(page):
            if language == "python":
                (folder / name).write_text(text, encoding="utf-8")
            else:
                points += tomllib.loads(text)["project"]["entry-points"].items()
    info = folder / "outsider-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outsider\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in names.items()) for group, names in points
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + also)


def bench(site, folder, *arguments):
    """Call the command line in a folder, with a folder of installed distributions."""
    command = [str(Path(sys.executable).with_name("bench")), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
