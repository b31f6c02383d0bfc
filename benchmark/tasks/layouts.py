"""Pairs of prompts in the layouts of other benchmarks: tables of EAP-IG, and rows of MIB.

EAP-IG: Hanna et al. 2024, Have Faith in Faithfulness, https://github.com/hannamw/EAP-IG. MIB: Mueller et al. 2025,
Mechanistic Interpretability Benchmark, https://github.com/hannamw/MIB-circuit-track.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.corpus.byte_level import byte_alphabet
from benchmark.corpus.config import SPLITS
from benchmark.files import CorruptFileError, read_json, read_text, readable
from benchmark.tasks.listed import ListedPair

NUMBERED = (
    ("correct_idx", "incorrect_idx"),
    ("clean_answer_idx", "corrupted_answer_idx"),
    ("country_idx", "corrupted_country_idx"),
)
"""The columns of a table that give both answers as token numbers."""

WRITTEN = (
    ("answer", "corrupted_answer"),
    ("clean_answer", "corrupted_answer"),
    ("correct", "incorrect"),
)
"""The columns of a table that give both answers as text."""

TOKENIZER = "tokenizer.json"
"""The file beside a table in which its token numbers are looked up."""

COUNTERFACTUALS = ("s2_io_flip_counterfactual", "symbol_counterfactual", "random_counterfactual")
"""The counterfactual of a row of MIB that is the second prompt: the first of these that the row has."""

Answered = Callable[[str], str]
"""The answer that a cell of a table gives."""


def table_pairs(path: Path, largest: int, most: int) -> list[ListedPair]:
    """The pairs of a table of EAP-IG, whose columns are `clean`, `corrupted` and one for each answer.

    The second prompt is `corrupted_hard` where there is one: a pair needs an answer to each of its prompts, and that of
    `corrupted_hard` is the incorrect answer. Columns `form` and `split` are read too, and all others left out.

    Raises:
        CorruptFileError: The table lacks a column, or a row is not one of the table.
    """
    text = read_text(path, largest, "CSV table", "utf-8-sig")
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise CorruptFileError(path, f"is not a CSV table: {error}") from error
    if len(rows) > most:
        raise CorruptFileError(path, f"has {len(rows):,} rows; it may have at most {most:,}")
    columns = list(reader.fieldnames or ())
    if not rows or "clean" not in columns or "corrupted" not in columns:
        raise CorruptFileError(
            path, f"has the columns {_named(columns)}; it needs clean, corrupted and rows below them"
        )
    second = "corrupted_hard" if "corrupted_hard" in columns else "corrupted"
    answers, answered = _answers(path, columns)
    return [_row(path, number, row, second, answers, answered) for number, row in rows]


def _answers(path: Path, columns: Sequence[str]) -> tuple[tuple[str, str], Answered]:
    """The columns of the answers, and what their cells mean."""
    written = next((pair for pair in WRITTEN if set(pair) <= set(columns)), None)
    if written:
        return written, str
    numbered = next((pair for pair in NUMBERED if set(pair) <= set(columns)), None)
    known = " or ".join(f"{first} and {second}" for first, second in (*WRITTEN, *NUMBERED))
    if numbered is None:
        raise CorruptFileError(path, f"has the columns {_named(columns)}; it needs an answer to each prompt: {known}")
    if not (tokenizer := path.with_name(TOKENIZER)).is_file():
        first, second = WRITTEN[0]
        raise CorruptFileError(
            path,
            f"gives its answers as token numbers ({' and '.join(numbered)}): put the {TOKENIZER} of their model beside "
            f"it, or add the columns {first} and {second} with texts",
        )
    texts = token_texts(tokenizer)

    def answered(cell: str) -> str:
        if not cell.strip().isdecimal() or (text := texts.get(int(cell))) is None:
            raise ValueError(f"{cell[:40]!r} is not a token of {TOKENIZER}")
        return text

    return numbered, answered


def token_texts(tokenizer: Path) -> dict[int, str]:
    """The text of each token of a byte-level tokenizer that is text by itself, by number.

    Only the vocabulary of the file is used.

    Raises:
        CorruptFileError: The file is not that of a byte-level tokenizer.
    """
    content = read_json(tokenizer)
    with readable(tokenizer, "tokenizer"):
        vocabulary: Mapping[str, int] = content["model"]["vocab"]
        alphabet = byte_alphabet()
        encoded = {
            number: bytes(alphabet[character] for character in token)
            for token, number in vocabulary.items()
            if alphabet.keys() >= set(token)
        }
    return {number: text.decode() for number, text in encoded.items() if _is_text(text)}


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return bool(content)


def _row(
    path: Path,
    number: int,
    row: Mapping[str | None, Any],
    second: str,
    answers: tuple[str, str],
    answered: Answered,
) -> ListedPair:
    split = row.get("split") or None
    cells = [row.get(name) for name in ("clean", second, *answers)]
    if None in row or not all(cells):
        raise CorruptFileError(path, f"line {number} does not have exactly one text per column")
    if split is not None and split not in SPLITS:
        raise CorruptFileError(path, f"line {number} has the split {split[:40]!r}; choose from {', '.join(SPLITS)}")
    try:
        texts = tuple(answered(str(cell)) for cell in cells[2:])
    except ValueError as error:
        raise CorruptFileError(path, f"line {number}: {error}") from error
    return ListedPair(
        (str(cells[0]), str(cells[1])), (texts[0], texts[1]), ("", ""), row.get("form") or "", split, number
    )


def _named(columns: Sequence[str]) -> str:
    return ", ".join(map(repr, columns[:20])) or "of an empty file"


# Rows of MIB


def is_mib(content: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a row of MIB: one prompt with counterfactuals."""
    return "prompt" in content and any(name in content for name in COUNTERFACTUALS)


def mib_pair(content: Mapping[str, Any], line: int) -> ListedPair:
    """The pair of a row of MIB: its prompt, and that of its first counterfactual of `COUNTERFACTUALS`.

    Raises:
        ValueError: The row has no answers to its prompts in one of the places where MIB has them.
    """
    name = next(name for name in COUNTERFACTUALS if name in content)
    other, named = content[name], content.get("split")
    split = next((each for each in SPLITS if each == named), None)
    if not isinstance(other, Mapping):
        raise ValueError(f"{name} is {other!r:.40}, not an object with a prompt")
    prompts = (content["prompt"], other.get("prompt"))
    if name == COUNTERFACTUALS[0]:
        names = content.get("metadata")
        people = [names.get(role) if isinstance(names, Mapping) else None for role in ("indirect_object", "subject")]
        answers = [f" {person}" if isinstance(person, str) else None for person in people]
    else:
        answers = [_mib_answer(content), _mib_answer(other)]
    if not all(isinstance(text, str) and text for text in (*prompts, *answers)):
        raise ValueError(f"its prompt and its {name} do not both have a prompt and an answer, as rows of MIB have them")
    if named is not None and split is None:
        raise ValueError(f"split is {named!r:.40}; choose from {', '.join(SPLITS)}")
    first, second = map(str, prompts)
    own, others = map(str, answers)
    return ListedPair((first, second), (own, others), ("", ""), "", split, line)


def _mib_answer(row: Mapping[str, Any]) -> str | None:
    """The answer of a row: the chosen label of its choices, or its own label."""
    choices, key = row.get("choices"), row.get("answerKey")
    labels = choices.get("label") if isinstance(choices, Mapping) else None
    if isinstance(labels, list) and isinstance(key, int) and 0 <= key < len(labels):
        return str(labels[key])
    label = row.get("label")
    return str(label) if isinstance(label, str | int) else None
