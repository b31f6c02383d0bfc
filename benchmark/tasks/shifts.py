"""Shifts: prompts that differ more and more from those on which circuits are discovered."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random

from benchmark.corpus.idioms.words import COPIED, NOUNS
from benchmark.tasks import PromptPair, Split, Task
from benchmark.tasks.brackets import list_of
from benchmark.tasks.drawing import line_of, noun_of

Change = Callable[[Random, Split, PromptPair, int], PromptPair]
"""Changes a pair by a level; both prompts in the same way, so that the cause stays the only difference."""

COMMENTS = ("# {} [\n", "# ({}\n", "# {} {{\n", '# "{}\n', "# {}'\n")
"""Comments with a bracket or quote that is never closed."""

BLOCKS = ("", "def run():\n", "class Config:\n    def run(self):\n")
"""The blocks around a prompt, by depth."""

_NAMES = re.compile(r"\b(" + "|".join(word for word in NOUNS if word not in COPIED) + r")\b")


@dataclass(frozen=True)
class Shift:
    """A shift away from the prompts on which circuits are discovered."""

    name: str
    """Its name in the records: `agreement_{name}`."""
    summary: str
    """A phrase that says what changes."""
    unit: str
    """The unit of its levels."""
    levels: tuple[int, ...]
    """Sizes of the shift, ascending; circuits are discovered at the first."""
    change: Change
    tasks: tuple[str, ...] = ()
    """The tasks to which it applies; empty for every task."""

    def concerns(self, task: str) -> bool:
        """Whether it applies to a task."""
        return not self.tasks or task in self.tasks

    def of(self, task: Task, level: int) -> Task:
        """The task with shifted pairs; longer names may make one prompt longer than the other."""

        def change(split: Split, pair: PromptPair) -> PromptPair:
            return self.change(Random(f"{self.name}/{level}/{pair.prompts[0]}"), split, pair, level)

        return replace(task, change=change, length_is_cause=True)


def _dilution(random: Random, split: Split, pair: PromptPair, lines: int) -> PromptPair:
    r"""Lines such as `page -= 3\n` before the prompt."""
    before = "".join(line_of(random, split) for _ in range(lines))
    return _both(pair, lambda prompt: before + prompt)


def _distractors(random: Random, split: Split, pair: PromptPair, comments: int) -> PromptPair:
    r"""Comments such as `# page [\n` before the prompt."""
    before = "".join(random.choice(COMMENTS).format(noun_of(random, split)) for _ in range(comments))
    return _both(pair, lambda prompt: before + prompt)


def _long_names(random: Random, split: Split, pair: PromptPair, words: int) -> PromptPair:
    """`page` becomes `page_line`, everywhere in both prompts."""
    tail = "".join(f"_{noun_of(random, split)}" for _ in range(words))
    return _both(pair, lambda prompt: _NAMES.sub(lambda name: name.group() + tail, prompt))


def _nesting(random: Random, split: Split, pair: PromptPair, depth: int) -> PromptPair:
    """The prompt inside a function or a method."""
    inside = "\n" + "    " * depth
    return _both(pair, lambda prompt: BLOCKS[depth] + inside[1:] + prompt.replace("\n", inside))


def _elements(random: Random, split: Split, pair: PromptPair, elements: int) -> PromptPair:
    """A flat and a nested list of this many numbers instead of the task's own."""
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
        Shift("nesting", "the prompt inside a function or a method", "blocks", (0, 1, 2), _nesting),
        Shift("elements", "longer lists", "elements", (3, 6, 12, 24, 48, 96), _elements, ("bracket_counting",)),
    )
}
"""Every shift by name."""
