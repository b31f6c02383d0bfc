"""Concepts that are labelled in the texts of a file, instead of being decided by a program."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from benchmark.concepts import CONCEPTS, Concept
from benchmark.files import CorruptFileError, line_as, read_as, read_json_lines
from benchmark.settings import Name, is_plain_name

FILE = "labelled.json"
"""The file of an artifact that contains labelled texts."""

LARGEST = 4 * 2**20
"""Most bytes of a file of labelled texts; the manifest of an artifact has room for it three times over."""

MOST_TEXTS, MOST_SPANS, MOST_CONCEPTS = 20_000, 10_000, 100
"""Most lines of such a file, most spans of a line, and most concepts."""

LONGEST_TEXT = 200_000
"""Most characters of a text."""

Place = Annotated[int, Field(ge=0, le=LONGEST_TEXT)]
Spans = Annotated[tuple[tuple[Place, Place], ...], Field(max_length=MOST_SPANS)]


class TextLine(BaseModel):
    """A line with a text and where concepts hold in it."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
    spans: Spans | Annotated[dict[str, Spans], Field(min_length=1, max_length=MOST_CONCEPTS)]
    """First character and the one after the last, of each span at which the only concept holds; or such spans by
    concept."""


class ConceptLine(BaseModel):
    """A line that describes a concept."""

    model_config = ConfigDict(extra="forbid")

    concept: str
    summary: Annotated[Name, Field(min_length=1)] = "labelled in a file"


@dataclass(frozen=True)
class LabelledText:
    """A text, with the spans at which each concept holds."""

    text: str
    spans: Mapping[str, tuple[tuple[int, int], ...]]

    def labels(self, concept: str) -> list[int]:
        """1 for every character at which the concept holds, 0 for the others."""
        labels = [0] * len(self.text)
        for start, end in self.spans[concept]:
            labels[start:end] = [1] * (end - start)
        return labels


@dataclass(frozen=True)
class LabelledTexts:
    """The texts of a file and the concepts that are labelled in all of them.

    Attributes:
        name: The name of the file without its ending.
        summaries: A phrase on each concept, by name.
        texts: In the order of the file, no text twice.
    """

    name: str
    summaries: Mapping[str, str]
    texts: tuple[LabelledText, ...]

    @cached_property
    def concepts(self) -> list[Concept]:
        """The concepts as all others are, except that no program labels them."""
        return [Concept(name, text, _no_program, "a file") for name, text in self.summaries.items()]

    @cached_property
    def params(self) -> dict[str, Any]:
        """The parameters of the cell that keeps them."""
        return {"labelled": self.name, "content": json.loads(json.dumps(asdict(self)))}


def _no_program(text: str) -> list[int]:
    raise ValueError("its labels are known in the texts of its file alone")


def write_labelled(params: Mapping[str, Any], folder: Path) -> "LabelledTexts":
    """Write the texts that the parameters of a cell contain; return them as they are read again."""
    (folder / FILE).write_text(json.dumps(params["content"], ensure_ascii=False), encoding="utf-8")
    return read_labelled(folder)


def read_labelled(folder: Path) -> LabelledTexts:
    """The texts that an artifact keeps; `CorruptFileError` if the artifact keeps something else."""
    found = read_as(folder / FILE, LabelledTexts)
    if any(text.spans.keys() != found.summaries.keys() for text in found.texts):
        raise CorruptFileError(folder / FILE, "has a text that is not labelled with all of its concepts")
    return found


def read_concepts(path: Path) -> LabelledTexts:
    """The labelled texts of a file of JSON lines.

    A line is `{"text": …, "spans": [[first, after last], …]}`, or has the spans by concept. A line
    `{"concept": …, "summary": …}` describes a concept; the spans without a name are those of the only one that is
    described, or of one with the name of the file.

    Raises:
        CorruptFileError: The file cannot be used; the error names the line.
    """
    stem = path.name.partition(".")[0]
    summaries: dict[str, str] = {}
    found: list[tuple[int, TextLine]] = []
    for line in read_json_lines(path, LARGEST, MOST_TEXTS):
        if "concept" in line.content:
            described = line_as(line, ConceptLine, path)
            if described.concept in summaries:
                raise CorruptFileError(path, f"line {line.number} describes {described.concept[:80]!r} again")
            summaries[described.concept] = described.summary
        else:
            found.append((line.number, line_as(line, TextLine, path)))
    if not found:
        raise CorruptFileError(path, "has no texts; a line has a text and the spans at which a concept holds")
    try:
        return _checked(stem, summaries, found)
    except ValueError as error:
        raise CorruptFileError(path, f"cannot be used: {error}") from error


def _checked(stem: str, summaries: dict[str, str], lines: Sequence[tuple[int, TextLine]]) -> LabelledTexts:
    first = lines[0][1].spans
    names = list(first) if isinstance(first, dict) else list(summaries) or [stem]
    if not isinstance(first, dict) and len(names) > 1:
        raise ValueError(f"{len(names)} concepts are described ({', '.join(names)}), so spans are given by concept")
    for name in (stem, *names, *summaries):
        _check_name(name, names)
    texts: dict[str, tuple[int, LabelledText]] = {}
    for number, line in lines:
        spans = line.spans if isinstance(line.spans, dict) else {names[0]: line.spans}
        if isinstance(line.spans, dict) != isinstance(first, dict) or spans.keys() != set(names):
            raise ValueError(f"line {number} does not label {', '.join(names)} as the first text does ([] for nowhere)")
        for start, end in (span for of_concept in spans.values() for span in of_concept):
            if not start < end <= len(line.text):
                raise ValueError(
                    f"line {number}: the span [{start}, {end}] is not in its {len(line.text):,} characters"
                )
        earlier = texts.setdefault(line.text, (number, LabelledText(line.text, spans)))[0]
        if earlier != number:
            raise ValueError(f"line {number} has the text of line {earlier} again; leave one out")
    told = {name: summaries.get(name, "labelled in a file") for name in names}
    return LabelledTexts(stem, told, tuple(text for _, text in texts.values()))


def _check_name(name: str, labelled: Sequence[str]) -> None:
    if not is_plain_name(name):
        raise ValueError(f"{name[:100]!r} is no name, which has letters, digits, _ and -, and is not 'all'")
    if name in CONCEPTS and name in labelled:
        raise ValueError(f"there is already a {CONCEPTS.called(name)}; choose another name")
