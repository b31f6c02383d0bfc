"""Shifts: a task's prompts changed step by step away from those that its circuits are found on."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random

from benchmark.corpus.idioms.words import COPIED, NOUNS
from benchmark.tasks import PromptPair, Split, Task
from benchmark.tasks.brackets import list_of
from benchmark.tasks.drawing import line_of, noun_of

Change = Callable[[Random, Split, PromptPair, int], PromptPair]
"""Changes a pair by so much; both prompts alike, so that the cause stays the only difference."""

COMMENTS = ("# {} [\n", "# ({}\n", "# {} {{\n", '# "{}\n', "# {}'\n")
"""Comments that open what a program never closes."""

BLOCKS = ("", "def run():\n", "class Config:\n    def run(self):\n")
"""What a prompt is put into, by how deep."""

_NAMES = re.compile(r"\b(" + "|".join(word for word in NOUNS if word not in COPIED) + r")\b")


@dataclass(frozen=True)
class Shift:
    """A way to leave the prompts on which circuits are found.

    Attributes:
        name: Its name in the records: `agreement_{name}`.
        summary: One phrase: what changes.
        unit: Of its levels.
        levels: How much, ascending; the first is where circuits are found.
        change: Changes a pair.
        tasks: The tasks that it is made for; empty for every one.
    """

    name: str
    summary: str
    unit: str
    levels: tuple[int, ...]
    change: Change
    tasks: tuple[str, ...] = ()

    def concerns(self, task: str) -> bool:
        """Whether it is made for a task."""
        return not self.tasks or task in self.tasks

    def of(self, task: Task, level: int) -> Task:
        """A task whose pairs are those of another, changed; longer names may make one prompt longer than the other."""

        def make(random: Random, split: Split) -> PromptPair:
            pair = task.pair(random, split)
            return self.change(Random(f"{self.name}/{level}/{pair.prompts[0]}"), split, pair, level)

        return replace(task, make=make, length_is_cause=True)


def _dilution(random: Random, split: Split, pair: PromptPair, lines: int) -> PromptPair:
    r"""`page -= 3\n` and such before the prompt."""
    before = "".join(line_of(random, split) for _ in range(lines))
    return _both(pair, lambda prompt: before + prompt)


def _distractors(random: Random, split: Split, pair: PromptPair, comments: int) -> PromptPair:
    r"""`# page [\n` and such before the prompt."""
    before = "".join(random.choice(COMMENTS).format(noun_of(random, split)) for _ in range(comments))
    return _both(pair, lambda prompt: before + prompt)


def _long_names(random: Random, split: Split, pair: PromptPair, words: int) -> PromptPair:
    """`page` becomes `page_of_line`, everywhere in both prompts."""
    tail = "".join(f"_{noun_of(random, split)}" for _ in range(words))
    return _both(pair, lambda prompt: _NAMES.sub(lambda name: name.group() + tail, prompt))


def _nesting(random: Random, split: Split, pair: PromptPair, depth: int) -> PromptPair:
    """The prompt inside a function, or a method."""
    inside = "\n" + "    " * depth
    return _both(pair, lambda prompt: BLOCKS[depth] + inside[1:] + prompt.replace("\n", inside))


def _elements(random: Random, split: Split, pair: PromptPair, elements: int) -> PromptPair:
    """A flat and a nested list of so many numbers instead of the task's own."""
    return list_of(elements)(random, split)


def _both(pair: PromptPair, change: Callable[[str], str]) -> PromptPair:
    first, second = map(change, pair.prompts)
    return replace(pair, prompts=(first, second))


SHIFTS: Mapping[str, Shift] = {
    shift.name: shift
    for shift in (
        Shift("dilution", "other lines before the prompt", "lines", (0, 2, 4, 8, 16, 24), _dilution),
        Shift("distractors", "comments with an open bracket or quote", "comments", (0, 1, 2, 4), _distractors),
        Shift("long_names", "words added to every name", "words", (0, 1, 2, 4), _long_names),
        Shift("nesting", "the prompt inside a function, or a method of a class", "blocks", (0, 1, 2), _nesting),
        Shift(
            "elements", "longer and longer lists", "elements", (3, 6, 12, 24, 48, 96), _elements, ("bracket_counting",)
        ),
    )
}
"""Every shift by name."""
