"""Reads tasks from files: JSON lines with a pair of prompts each, or a layout of another benchmark."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from benchmark.corpus.config import Split
from benchmark.files import CorruptFileError, JsonLine, line_as, read_json_lines
from benchmark.settings import Name, is_plain_name
from benchmark.tasks import TASKS
from benchmark.tasks.layouts import is_mib, mib_pair, table_pairs
from benchmark.tasks.listed import ListedPair, ListedTask, SplitBy, check_pairs, in_splits

PREFIX = "file:"
"""How an argument begins that names a file instead of a task."""

LARGEST = 4 * 2**20
"""Most bytes of a file of tasks; the manifest of an artifact has room for its pairs three times over."""

MOST_PAIRS = 20_000
"""Most lines of a file of tasks."""

LONGEST_PROMPT, LONGEST_ANSWER = 4_000, 200
"""Most characters of a prompt, and of an answer."""

Prompt = Annotated[str, Field(min_length=1, max_length=LONGEST_PROMPT)]
Answer = Annotated[str, Field(min_length=1, max_length=LONGEST_ANSWER)]
Continuation = Annotated[str, Field(max_length=LONGEST_ANSWER)]
Sentence = Annotated[Name, Field(min_length=1)]


class PairLine(BaseModel):
    """A line with a pair of prompts."""

    model_config = ConfigDict(extra="forbid")

    prompts: tuple[Prompt, Prompt]
    answers: tuple[Answer, Answer]
    continuations: tuple[Continuation, Continuation] = ("", "")
    form: Name = ""
    split: Split | None = None
    task: str = ""
    """The task that it belongs to; that of the last header, or of the file, if left out."""


class HeaderLine(BaseModel):
    """A line that says something about a task; the lines after it belong to that task."""

    model_config = ConfigDict(extra="forbid")

    task: str
    summary: Sentence = "pairs of prompts from a file"
    source: Sentence = "a file"
    concepts: tuple[Name, ...] = Field((), max_length=1000)
    length_is_cause: bool = False
    split_by: SplitBy = "form"


def read_tasks(path: Path) -> list[ListedTask]:
    """The tasks of a file: of a table if its name ends in `.csv`, and of JSON lines otherwise.

    Raises:
        CorruptFileError: The file cannot be used; the error names the line, or says what would suffice.
    """
    table = path.suffix.lower() == ".csv"
    headers: dict[str, HeaderLine] = {}
    pairs: dict[str, list[ListedPair]] = {}
    try:
        for header, pair in _table(path) if table else _lines(path):
            headers.setdefault(header.task, header)
            pairs.setdefault(header.task, []).extend([pair] if pair else [])
        return [_task(header, pairs[name]) for name, header in headers.items()]
    except CorruptFileError:
        raise
    except ValueError as error:
        raise CorruptFileError(path, f"cannot be used: {error}") from error


def _table(path: Path) -> Iterator[tuple[HeaderLine, ListedPair]]:
    """The pairs of a table, which make up one task."""
    pairs = table_pairs(path, LARGEST, MOST_PAIRS)
    by_line = not any(pair.form or pair.split for pair in pairs)
    header = HeaderLine(task=_stem(path), split_by="line" if by_line else "form")
    yield from ((header, pair) for pair in pairs)


def _lines(path: Path) -> Iterator[tuple[HeaderLine, ListedPair | None]]:
    """The header and the pair of each line; no pair for a line that is a header."""
    lines = read_json_lines(path, LARGEST, MOST_PAIRS)
    if not lines:
        raise CorruptFileError(path, "has no lines; a line has a pair of prompts and their answers")
    headers: dict[str, HeaderLine] = {}
    current = ""
    for line in lines:
        if is_header(line):
            header = line_as(line, HeaderLine, path)
            if header.task in headers:
                again = f"line {line.number} describes task {header.task!r}, of which earlier lines are"
                raise CorruptFileError(path, f"{again}; describe it once, before its pairs")
            current = header.task
            headers[current] = header
            yield header, None
        else:
            name, pair = _pair(line, path)
            name = name or current or _stem(path)
            split_by: SplitBy = "line" if is_mib(line.content) and not (pair.form or pair.split) else "form"
            header = headers.setdefault(name, HeaderLine(task=name, split_by=split_by))
            yield header, pair


def is_header(line: JsonLine) -> bool:
    """Whether a line says something about a task and has no prompts."""
    return "task" in line.content and not {"prompts", "prompt"} & line.content.keys()


def _pair(line: JsonLine, path: Path) -> tuple[str, ListedPair]:
    """The task that a line names, if it does, and its pair."""
    if is_mib(line.content):
        try:
            return "", mib_pair(line.content, line.number)
        except ValueError as error:
            raise CorruptFileError(path, f"line {line.number}: {error}") from error
    found = line_as(line, PairLine, path)
    pair = ListedPair(found.prompts, found.answers, found.continuations, found.form, found.split, line.number)
    return found.task, pair


def _task(header: HeaderLine, pairs: list[ListedPair]) -> ListedTask:
    name = header.task
    if not is_plain_name(name):
        raise ValueError(
            f"{name[:100]!r} is no name for a task, which has letters, digits, _ and -, and is not 'all'; rename the "
            'file, or begin it with the line {"task": "NAME"}'
        )
    if name in TASKS:
        raise ValueError(f"there is already a {TASKS.called(name)}; rename the file, or name another task in its lines")
    if not pairs:
        raise ValueError(f"task {name!r} has no pairs of prompts")
    for pair in pairs:
        if max(map(len, pair.prompts)) > LONGEST_PROMPT or max(map(len, pair.answers)) > LONGEST_ANSWER:
            limits = f"at most {LONGEST_PROMPT:,} characters, and an answer {LONGEST_ANSWER}"
            raise ValueError(f"line {pair.line} is too long; a prompt has {limits}")
    check_pairs(pairs)
    placed = in_splits(name, pairs, header.split_by)
    return ListedTask(name, header.summary, header.source, header.concepts, header.length_is_cause, placed)


def _stem(path: Path) -> str:
    """The name of a task that is named after its file."""
    return path.name.partition(".")[0]
