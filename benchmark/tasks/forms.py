"""Forms: the ways in which a task is posed, each a template for several frames that belongs to one split."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from benchmark.corpus.config import SPLITS, Split

TwoTexts = tuple[str, str]
"""One text for each prompt of a pair."""

FRAMES = {
    "top": "",
    "def": "def $verb9($p):\n",
    "for": "for $p in $plural9:\n",
    "while": "while $p:\n",
    "if": "if $p == $number9:\n",
    "else": "if $p:\n    $q = $number9\nelse:\n",
    "try": "try:\n",
    "with": "with $p:\n",
    "class": "class $class9:\n",
    "subclass": "class $class9(Base):\n",
    "local_class": "def $verb9():\n    class $class9:\n",
    "method": "class $class9:\n    def $verb9(self):\n",
    "def_for": "def $verb9($q):\n    for $p in $plural9:\n",
    "def_if": "def $verb9($q):\n    if $p:\n",
    "def_try": "def $verb9($q):\n    try:\n",
}
"""The possible surroundings of a form: nothing, or the heads of the blocks around it."""

FramesOf = Mapping[Split, tuple[str, ...]]
"""The frames that each split uses."""

INNER: FramesOf = {
    "train": ("def", "for", "if", "method"),
    "validation": ("def", "while", "else"),
    "test": ("def", "try", "with", "def_for"),
}
"""Inside any block."""

ANY: FramesOf = {split: ("top", *INNER[split]) for split in SPLITS}
"""Wherever a statement is allowed."""

IN_FUNCTION: FramesOf = {
    "train": ("def", "method", "def_for"),
    "validation": ("def", "def_if"),
    "test": ("def", "method", "def_try"),
}
"""Where `return` and `yield` are allowed."""

TOP: FramesOf = dict.fromkeys(SPLITS, ("top",))
"""At the top level alone, where the depth of a line is the cause."""

ONE_DEEP: FramesOf = {
    "train": ("def", "for", "if"),
    "validation": ("def", "while", "else"),
    "test": ("def", "try", "with"),
}
"""Inside one block, where the depth of a line is the answer."""

FUNCTIONS: FramesOf = {"train": ("top", "if"), "validation": ("top", "def"), "test": ("top", "try", "else")}
"""Around functions that are not methods."""

IN_CLASS: FramesOf = {"train": ("class", "subclass"), "validation": ("class",), "test": ("class", "local_class")}
"""Around methods."""

_DIFFERENCE = re.compile(r"<([^<>|]*)\|([^<>|]*)>")
_PLACEHOLDER = re.compile(r"\$\{?\w+?(?:\}|\b)")


@dataclass(frozen=True)
class PromptPair:
    """Two prompts that differ in one cause."""

    prompts: TwoTexts
    answers: TwoTexts
    """`answers[i]` follows `prompts[i]`; the other answer is the alternative."""
    continuations: TwoTexts = ("", "")
    """Text that typically follows the answers, which shows where their tokens end."""
    form: str = ""
    """Name of the form from which they were drawn; empty for a task without forms."""
    frame: str = ""
    """Name of the frame around the form."""
    where: str = ""
    """Where it is listed, such as `line 3`; empty for a pair that is drawn from a template."""


@dataclass(frozen=True)
class Form:
    """One way to pose a task."""

    name: str
    """Unique within the task."""
    split: Split
    """The only split that uses it."""
    template: str
    """The text of both prompts, with `<first|second>` where they differ. `$verb`, `$plural`, `$number`, `$class`,
    `$read` and `$write` draw a word of that kind (and the same with a digit another one); `$x`, `$y` and `$z` draw
    names for an answer to copy; placeholders for which the task has words of its own draw one of these; every other
    placeholder draws a noun, no noun twice. Both prompts share all drawn words."""
    frames: tuple[str, ...]
    """Names of the `FRAMES` in which it is used."""
    answers: TwoTexts
    """What follows each prompt; may contain placeholders of the template."""
    continuations: TwoTexts = ("", "")
    """What typically follows the answers."""
    listed: tuple[PromptPair, ...] = ()
    """Its pairs, if they are listed one by one; it then has no template, frames and answers."""

    @cached_property
    def templates(self) -> TwoTexts:
        """The template of each prompt, without a frame."""
        return _DIFFERENCE.sub(r"\1", self.template), _DIFFERENCE.sub(r"\2", self.template)

    def framed(self, frame: str) -> TwoTexts:
        """The template of each prompt inside a frame."""
        head = FRAMES[frame]
        line = head.rstrip("\n").rpartition("\n")[2]
        inside = " " * (len(line) - len(line.lstrip()) + 4) if head else ""
        first, second = (re.sub(r"\n(?=.)", "\n" + inside, template) for template in self.templates)
        return head + inside + first, head + inside + second

    @property
    def wording(self) -> frozenset[str]:
        """The words of the template that are not drawn: keywords, names of functions, endings of files."""
        text = _PLACEHOLDER.sub(" ", " ".join(self.templates))
        return frozenset(re.findall(r"_*[A-Za-z]\w*", text))


def forms(
    split: Split,
    frames: FramesOf,
    answers: TwoTexts,
    continuations: TwoTexts = ("", ""),
    /,
    **templates: str,
) -> tuple[Form, ...]:
    """Forms of a split that share frames and answers, by name; see `Form`."""
    return tuple(
        Form(name, split, template, frames[split], answers, continuations) for name, template in templates.items()
    )


def digest_of(posed: Iterable[Form]) -> str:
    """SHA-256 over everything that determines the prompts of some forms, in whatever order they are given."""
    rows = sorted(
        [form.name, form.split, form.template, [[frame, FRAMES[frame]] for frame in form.frames], *form.answers]
        + [[pair.prompts, pair.answers, pair.continuations] for pair in form.listed]
        for form in posed
    )
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
