"""The tasks: pairs of prompts that differ in one cause and therefore in the next token."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pkgutil import resolve_name
from random import Random
from typing import Any

from benchmark.corpus.config import SPLITS, Split
from benchmark.corpus.idioms.words import COPIED
from benchmark.plugins.registry import Registry, resolve
from benchmark.tasks.drawing import Words, draw
from benchmark.tasks.forms import Form, PromptPair, digest_of

__all__ = [
    "SPLITS",
    "TASKS",
    "Form",
    "FormsOfTask",
    "PromptPair",
    "Split",
    "Task",
    "forms_by_task",
    "forms_digest",
]

TABLE_1 = "Gao et al. 2025, Weight-sparse transformers have interpretable circuits, Table 1"


@dataclass(frozen=True)
class Task:
    """A cause of the next token, posed in forms."""

    name: str
    """Its name on the command line and in the records."""
    summary: str
    """A phrase that says what determines the next token."""
    make: str | Callable[[Random, Split], PromptPair] | None = None
    """For a task without forms: `module:function` or a callable, `(random, split) -> PromptPair`. Its wording and
    identifiers should differ between splits."""
    answers: tuple[str, ...] = ()
    """All possible answers, each of which must be one token."""
    concepts: tuple[str, ...] = ()
    """Names of the concepts on which its answer may depend."""
    source: str = TABLE_1
    """The paper it comes from."""
    control: bool = False
    """Whether it is a null baseline: listed, but never aggregated."""
    length_is_cause: bool = False
    """Whether the prompts of a pair may differ in length."""
    forms: str | tuple[Form, ...] = ()
    """The ways in which it is posed, or the `module:name` of them."""
    words: Mapping[str, Words] = field(default_factory=dict)
    """What further placeholders of the forms draw, by split."""
    about: tuple[str, ...] = ()
    """The words that forms of different splits may share, because they are what the task is about."""
    change: Callable[[Split, PromptPair], PromptPair] | None = None
    """Changes each pair after it is drawn, as a shift does."""

    @cached_property
    def all_forms(self) -> tuple[Form, ...]:
        """Its forms; empty if a function generates its pairs."""
        found: tuple[Form, ...] = resolve_name(self.forms) if isinstance(self.forms, str) else self.forms
        return found

    def forms_of(self, split: Split) -> tuple[Form, ...]:
        """The forms of a split, in the order of their table; empty if a function generates its pairs."""
        return tuple(form for form in self.all_forms if form.split == split)

    def listed(self, split: Split) -> int | None:
        """Number of its pairs in a split if they are listed; `None` if any number can be drawn."""
        forms = self.forms_of(split)
        return sum(len(form.listed) for form in forms) if any(form.listed for form in forms) else None

    def posed_in(self, names: Collection[str]) -> "Task":
        """The task, posed only in the forms of these names.

        Raises:
            ValueError: A name is not that of one of its forms, or a split is left without a form.
        """
        known = [form.name for form in self.all_forms]
        for name in names:
            if name not in known:
                raise ValueError(f"task {self.name} has no form {name!r}; choose from {', '.join(known) or 'none'}")
        chosen = tuple(form for form in self.all_forms if form.name in names)
        _check_forms(chosen)
        return replace(self, forms=chosen)

    def holding_out(self, name: str) -> "Task":
        """The task with a form of train or validation prompts as its only test form.

        Raises:
            ValueError: There is no such form, or no other form is left in its split.
        """
        shown = [form for form in self.all_forms if form.split != "test"]
        if name not in [form.name for form in shown]:
            known = ", ".join(form.name for form in shown) or "none"
            raise ValueError(f"task {self.name} has no train or validation form {name!r}; choose from {known}")
        split = next(form.split for form in shown if form.name == name)
        if sum(form.split == split for form in shown) == 1:
            raise ValueError(f"form {name!r} of task {self.name} is the only one for {split} prompts")
        chosen = tuple(replace(form, split="test") if form.name == name else form for form in shown)
        return replace(self, forms=chosen)

    def pair(self, random: Random, split: Split, form: Form | None = None) -> PromptPair:
        """The next pair of a split, from the given form or a random one.

        Raises:
            ValueError: The function that generates the pairs returns something else.
        """
        if self.make is None:
            pair: PromptPair = draw(form or random.choice(self.forms_of(split)), random, self.words)
        else:
            pair = resolve(self.make)(random, split)
        self._check(pair)
        return self.changed(split, pair)

    def changed(self, split: Split, pair: PromptPair) -> PromptPair:
        """A pair as the task's change makes it; without one the pair itself."""
        return pair if self.change is None else self.change(split, pair)

    def _check(self, pair: Any) -> None:
        if not isinstance(pair, PromptPair):
            raise ValueError(f"{TASKS.called(self.name)}: {self.make} returned {pair!r:.80}, not a PromptPair")
        for texts in (pair.prompts, pair.answers, pair.continuations):
            if len(texts) != 2 or not all(isinstance(text, str) for text in texts):
                raise ValueError(f"{TASKS.called(self.name)}: {self.make} returned {texts!r:.80}, not two texts")
        for answer in pair.answers:
            if self.answers and answer not in self.answers:
                known = ", ".join(map(repr, self.answers))
                raise ValueError(f"{TASKS.called(self.name)}: {answer!r} is not one of its answers, which are {known}")


_CONCEPTS = {
    "single_double_quote": (
        "in_single_quoted_string in_double_quoted_string in_string in_double_quoted_string_and_in_call"
    ),
    "final_kwarg": "in_def_signature",
    "set_or_string": "name_bound_to_set name_bound_to_string word_seen_set",
    "set_or_string_fixedvarname": "name_bound_to_set name_bound_to_string word_seen_set",
    "class_init": "word_seen_self",
    "with_as": "word_seen_open",
    "bracket_brace": "in_square_brackets in_braces in_string_and_in_square_brackets in_string_and_in_braces",
    "with_open": "in_string_and_in_call word_seen_open",
    "bracket_counting": "bracket_depth in_brackets in_square_brackets",
    "for_while": "line_starts_with_for line_starts_with_while",
    "fstring_brace": "in_string in_string_and_in_call",
    "if_ternary": "line_starts_with_if",
    "indent_for": "line_starts_with_for word_seen_for",
    "lambda_func": "word_seen_lambda",
    "if_equals": "line_starts_with_if",
    "enumerate_range": "line_starts_with_for",
    "var_if": "line_starts_with_if",
    "while_return_true": "line_starts_with_while line_starts_with_return",
}
"""The concepts on which a task's answer may depend; tasks without such a concept are absent."""


_ABOUT = {
    "final_kwarg": "def self None",
    "set_or_string": "set str",
    "set_or_string_fixedvarname": "set str current",
    "class_init": "def __init__ self",
    "with_as": "with open",
    "with_open": "with open txt",
    "for_while": "for while",
    "else_elif": "if elif else",
    "fstring_brace": "f",
    "if_ternary": "if",
    "indent_for": "for in",
    "lambda_func": "lambda def",
    "if_equals": "if",
    "enumerate_range": "for in",
    "var_if": "if True",
    "while_return_true": "while return True",
}
"""The words that forms of different splits may share; tasks without such words are absent."""


def _table_1(name: str, summary: str, file: str, answers: tuple[str, ...]) -> Task:
    return Task(
        name,
        summary,
        answers=answers,
        concepts=tuple(_CONCEPTS.get(name, "").split()),
        forms=f"benchmark.tasks.{file}:{name.upper()}",
        about=tuple(_ABOUT.get(name, "").split()),
    )


_COPIES = tuple(f" {name}" for name in COPIED)

OURS = (
    _table_1("single_double_quote", "a string closes with the quote that opened it", "strings", ('")\n', "')\n")),
    _table_1("final_kwarg", "after parameters with defaults the last has one too", "functions", ("=None", "):\n")),
    _table_1("set_or_string", "a name bound to a set or to a string", "bindings", (".add", " +=")),
    _table_1("set_or_string_fixedvarname", "the same, but the name is `current`", "bindings", (".add", " +=")),
    _table_1("class_init", "`self.x =` continues with the parameter x", "names", _COPIES),
    _table_1("with_as", "`with open(path)` or a declaration", "files", (" as", " if")),
    _table_1("bracket_brace", "a string in a dict or in a list", "brackets", ('":', '",')),
    _table_1("with_open", "the mode from the file's name", "files", ("r", "w")),
    _table_1("bracket_counting", "a list or a list of lists", "brackets", ("]\n", "]]\n")),
    _table_1("for_while", "a name after `for` or `while`", "loops", (" in", ":\n")),
    _table_1("else_elif", "a name after `elif` or a ternary's `else`", "conditions", (":\n", "\n")),
    _table_1("fstring_brace", "words in an f-string or in a plain string", "strings", (" {", '")\n')),
    _table_1("if_ternary", "the condition of an `if` or of a ternary", "conditions", (":\n", " else")),
    _table_1("var_swap", "`x, y = y,` continues with x", "names", _COPIES),
    _table_1("indent_for", "how deep the body of a `for` is indented", "loops", ("           ", "       ", "   ")),
    _table_1("lambda_func", "a name after `lambda` or `def`", "functions", (":", "():\n")),
    _table_1("if_equals", "a name in a condition or in an assignment", "conditions", (" ==", " =")),
    _table_1("enumerate_range", "a loop over two variables or one", "loops", (" enumerate", " range")),
    _table_1("var_if", "`True` compared with or assigned", "conditions", (":\n", "\n")),
    _table_1("while_return_true", "`while True` or `return True`", "loops", (":\n", "\n")),
    Task(
        name="nonsense",
        summary="an answer unrelated to the prompt: no honest circuit should exist",
        answers=(" for", " with"),
        forms="benchmark.tasks.control:NONSENSE",
        about=("import", "red", "blue"),
        source="after Drori 2026, Weight-sparse circuits may be interpretable yet unfaithful",
        control=True,
    ),
)


def _check(task: Task) -> None:
    """Raise `ValueError` for a task without possible answers, or that nothing or two things pose."""
    if not task.answers or not all(isinstance(answer, str) and answer for answer in task.answers):
        raise ValueError(f"answers are {task.answers!r}, not one or more texts")
    if (task.make is None) == (not task.forms):
        raise ValueError(f"make is {task.make!r} and forms are {task.forms!r:.80}; give one of the two")
    if isinstance(task.forms, tuple) and task.forms:
        _check_forms(task.forms)


def _check_forms(forms: tuple[Form, ...]) -> None:
    """Raise `ValueError` for forms that share a name or leave a split empty."""
    for form in forms:
        if not isinstance(form, Form):
            raise ValueError(f"forms contain {form!r:.80}, not a Form")
    names = [form.name for form in forms]
    if len(set(names)) < len(names):
        raise ValueError(f"two forms are called {max(names, key=names.count)!r}")
    if missing := [split for split in SPLITS if all(form.split != split for form in forms)]:
        raise ValueError(f"no form belongs to {' or '.join(missing)}; every split needs one")


def posed(task: Task, forms: Mapping[str, Collection[str]]) -> Task:
    """A task in the forms that count; in all of its forms if none are listed for it.

    Args:
        task: The task.
        forms: Names of the forms that count, by task.
    """
    return task.posed_in(forms[task.name]) if task.name in forms else task


@dataclass(frozen=True)
class FormsOfTask:
    """What is recorded about the forms of a task."""

    count: int
    """Number of forms."""
    digest: str
    """SHA-256 over everything that determines their prompts."""


TASKS: Registry[Task] = Registry("task", Task, OURS, functions=("make",), check=_check)
"""All tasks by name, in the order of Table 1, the control last."""


def forms_by_task(tasks: Iterable[Task]) -> dict[str, FormsOfTask]:
    """Number and digest of the forms of some tasks, by task; tasks without forms are absent."""
    forms = {task.name: task.all_forms for task in tasks}
    return {name: FormsOfTask(len(each), digest_of(each)) for name, each in forms.items() if each}


def forms_digest(tasks: Mapping[str, FormsOfTask]) -> str:
    """SHA-256 over the forms of some tasks, in whatever order they are given."""
    rows = sorted((name, forms.digest) for name, forms in tasks.items())
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
