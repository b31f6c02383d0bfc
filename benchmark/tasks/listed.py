"""Tasks whose pairs of prompts are listed one by one, and how the listed pairs are divided into splits."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, Literal

from benchmark.corpus.config import SPLITS, Split
from benchmark.files import CorruptFileError, read_as
from benchmark.tasks import Form, PromptPair, Task

FILE = "task.json"
"""The file of an artifact that contains a listed task."""

SplitBy = Literal["form", "line"]
"""What is drawn for each split of a task whose lines name no split: forms, or single lines."""

HELD_OUT_FORMS, HELD_OUT_LINES = 0.25, 0.2
"""Share of the forms, or of the lines, that are drawn for the validation split, and as many for the test split."""

NAMED = 6
"""Most forms of a split that a line of text names."""

SUFFICES = (
    "give each line a form (three or more different ones), or a split (train, validation or test), or begin the file "
    'with the line {{"task": "{}", "split_by": "line"}}'
)
"""What suffices to divide the pairs of a task."""


@dataclass(frozen=True)
class ListedPair:
    """A pair of prompts as it is listed.

    Attributes:
        form: The form that it is posed in; empty if none is named.
        split: The split that it belongs to; `None` if none is named.
        line: Number of the line that lists it.
    """

    prompts: tuple[str, str]
    answers: tuple[str, str]
    continuations: tuple[str, str]
    form: str
    split: Split | None
    line: int


@dataclass(frozen=True)
class ListedTask:
    """A task with its pairs, each of which names its form and its split; everything that an artifact keeps of it."""

    name: str
    summary: str
    source: str
    concepts: tuple[str, ...]
    length_is_cause: bool
    pairs: tuple[ListedPair, ...]

    @cached_property
    def task(self) -> Task:
        """The task as all others are."""
        forms: dict[tuple[str, Split], list[PromptPair]] = {}
        for pair in self.pairs:
            assert pair.split is not None, f"pair of line {pair.line} belongs to no split"
            drawn = PromptPair(pair.prompts, pair.answers, pair.continuations, pair.form, where=f"line {pair.line}")
            forms.setdefault((pair.form, pair.split), []).append(drawn)
        return Task(
            self.name,
            self.summary,
            answers=tuple(sorted({answer for pair in self.pairs for answer in pair.answers})),
            concepts=self.concepts,
            source=self.source,
            length_is_cause=self.length_is_cause,
            forms=tuple(
                Form(name, split, "", (), ("", ""), listed=tuple(pairs)) for (name, split), pairs in forms.items()
            ),
        )

    @cached_property
    def params(self) -> dict[str, Any]:
        """The parameters of the cell that keeps it."""
        return {"task": self.name, "listed": json.loads(json.dumps(asdict(self)))}


def write_listed(params: Mapping[str, Any], folder: Path) -> None:
    """Write the task that the parameters of a cell contain."""
    (folder / FILE).write_text(json.dumps(params["listed"], ensure_ascii=False), encoding="utf-8")


def read_listed(folder: Path) -> Task:
    """The task that an artifact keeps; `CorruptFileError` if the artifact keeps something else."""
    found = read_as(folder / FILE, ListedTask)
    if not all(pair.split for pair in found.pairs):
        raise CorruptFileError(folder / FILE, "has a pair that belongs to no split")
    return found.task


def in_splits(task: str, pairs: Sequence[ListedPair], split_by: SplitBy) -> tuple[ListedPair, ...]:
    """The same pairs, each with a form and a split; what is drawn is the same for the same pairs.

    A form belongs to one split. Where the pairs name splits, these are kept; otherwise forms are drawn for the splits,
    or single lines, which are then three forms with the names of their splits.

    Raises:
        ValueError: A form is in two splits, a split has no form, or the pairs do not say enough; the message says what
            would suffice.
    """
    first = pairs[0]
    if split_by == "line":
        if named := next((pair for pair in pairs if pair.form or pair.split), None):
            raise ValueError(f"line {named.line} names a form or a split, and split_by is 'line'; leave one out")
        found = _by_line(task, pairs)
    elif any(pair.split for pair in pairs):
        found = _as_named(pairs)
    elif all(pair.form for pair in pairs):
        found = _by_form(task, pairs)
    elif any(pair.form for pair in pairs):
        unnamed = next(pair for pair in pairs if not pair.form)
        raise ValueError(f"line {unnamed.line} names no form, and other lines of task {task!r} do; give it one")
    else:
        raise ValueError(f"lines of task {task!r} name no form, such as line {first.line}: {SUFFICES.format(task)}")
    if missing := [split for split in SPLITS if all(pair.split != split for pair in found)]:
        raise ValueError(f"no pair of task {task!r} belongs to {' or '.join(missing)}; every split needs a form")
    return found


def _as_named(pairs: Sequence[ListedPair]) -> tuple[ListedPair, ...]:
    """Each pair in its own split, or in that of its form; without forms those of a split are one form."""
    splits: dict[str, tuple[Split, int]] = {}
    for pair in pairs:
        if pair.split is None:
            continue
        split, line = splits.setdefault(pair.form or pair.split, (pair.split, pair.line))
        if split != pair.split:
            raise ValueError(
                f"line {pair.line} has form {pair.form!r} in split {pair.split}, and line {line} in {split}; a form "
                "belongs to one split"
            )
    for pair in pairs:
        if (pair.form or pair.split) not in splits:
            raise ValueError(f"line {pair.line} names no split, and neither does another line of its form; give it one")
    return tuple(replace(pair, form=name, split=splits[name][0]) for pair in pairs for name in [_name(pair)])


def _name(pair: ListedPair) -> str:
    return pair.form or str(pair.split)


def _by_form(task: str, pairs: Sequence[ListedPair]) -> tuple[ListedPair, ...]:
    forms = sorted({pair.form for pair in pairs})
    if len(forms) < len(SPLITS):
        raise ValueError(
            f"task {task!r} has {len(forms)} form{'s' * (len(forms) > 1)} ({', '.join(forms)}), and {len(SPLITS)} are "
            f"needed, one for each split: {SUFFICES.format(task)}"
        )
    drawn = _drawn(f"{task}/forms", forms, HELD_OUT_FORMS)
    return tuple(replace(pair, split=drawn[pair.form]) for pair in pairs)


def _by_line(task: str, pairs: Sequence[ListedPair]) -> tuple[ListedPair, ...]:
    if len(pairs) < len(SPLITS):
        raise ValueError(f"task {task!r} has {len(pairs)} pairs; at least {len(SPLITS)} are needed, one for each split")
    drawn = _drawn(f"{task}/lines", sorted(str(pair.prompts) for pair in pairs), HELD_OUT_LINES)
    splits = [drawn[str(pair.prompts)] for pair in pairs]
    return tuple(replace(pair, form=split, split=split) for pair, split in zip(pairs, splits, strict=True))


def _drawn(seed: str, names: list[str], held_out: float) -> dict[str, Split]:
    """A split for each of at least three names."""
    shuffled = Random(seed).sample(names, len(names))
    count = max(1, round(held_out * len(names)))
    held: dict[Split, list[str]] = {"test": shuffled[:count], "validation": shuffled[count : 2 * count]}
    split_of = {name: split for split, own in held.items() for name in own}
    return {name: split_of.get(name, "train") for name in shuffled}


def check_pairs(pairs: Sequence[ListedPair]) -> None:
    """Raise `ValueError` that names the line for a pair that asks nothing, or that is listed twice."""
    lines: dict[frozenset[str], int] = {}
    for pair in pairs:
        for what, (first, second) in (("prompts", pair.prompts), ("answers", pair.answers)):
            if first == second:
                raise ValueError(f"line {pair.line}: both {what} are {first!r:.80}; the {what} of a pair differ")
        earlier = lines.setdefault(frozenset(pair.prompts), pair.line)
        if earlier != pair.line:
            raise ValueError(f"line {pair.line} lists the prompts of line {earlier} again; leave one out")


def check_enough(task: Task, wanted: Mapping[Split, int]) -> None:
    """Raise `ValueError` if a task lists fewer pairs than a run draws; the message says which settings would suffice.

    Args:
        task: Any task.
        wanted: Number of pairs that a run draws, by split.
    """
    counts = {split: task.listed(split) for split in SPLITS}
    few = {split: count for split, count in counts.items() if count is not None and count < wanted[split]}
    if few:
        told = ", ".join(f"{count} {split} pair{'s' * (count != 1)} of {wanted[split]}" for split, count in few.items())
        changes = " ".join(f"--set circuit.{split}_pairs={count}" for split, count in few.items())
        raise ValueError(f"task {task.name!r} lists {told} that circuits are discovered with: add pairs, or {changes}")


def forms_text(task: Task) -> str:
    """The forms of a listed task with their numbers of pairs, by split."""
    told = []
    for split in SPLITS:
        forms = [f"{form.name} {len(form.listed)}" for form in task.forms_of(split)]
        more = [f"and {len(forms) - NAMED} more"] * (len(forms) > NAMED)
        told.append(f"{split}: {', '.join([*forms[:NAMED], *more])}")
    return "; ".join(told)
