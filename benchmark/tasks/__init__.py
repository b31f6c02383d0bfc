"""The tasks: pairs of prompts that differ in one cause and so in the next token."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from random import Random
from typing import Literal

from benchmark.corpus.idioms.words import COPIED

Split = Literal["train", "validation", "test"]

TABLE_1 = "Gao et al. 2025, Weight-sparse transformers have interpretable circuits, Table 1"


@dataclass(frozen=True)
class Pair:
    """Two prompts that differ in one cause.

    Attributes:
        prompts: Their text.
        answers: `answers[i]` follows `prompts[i]`; the alternative is the other one.
        continuations: What typically follows the answers, so that it can be seen where their tokens end.
    """

    prompts: tuple[str, str]
    answers: tuple[str, str]
    continuations: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Task:
    """A seeded generator of pairs.

    Attributes:
        name: Its name on the command line and in the records.
        summary: One phrase: what decides the next token.
        make: `module:function` or a callable, `(random, split) -> Pair`. Train and test differ in templates and
            identifiers, validation from train in identifiers.
        answers: Every answer that it may draw; each must be one token.
        source: Where it comes from.
        control: A null: listed, never aggregated.
        length_is_cause: Whether the prompts of a pair may differ in length.
    """

    name: str
    summary: str
    make: str | Callable[[Random, Split], Pair]
    answers: tuple[str, ...]
    source: str = TABLE_1
    control: bool = False
    length_is_cause: bool = False

    @property
    def function(self) -> Callable[[Random, Split], Pair]:
        """The generator itself; its docstring shows a pair."""
        if callable(self.make):
            return self.make
        module, _, name = self.make.partition(":")
        found: Callable[[Random, Split], Pair] = getattr(import_module(module), name)
        return found

    def pair(self, random: Random, split: Split) -> Pair:
        """The next pair of a split."""
        return self.function(random, split)


TASKS: dict[str, Task] = {}
"""Every task by name, in the order of Table 1; the control last."""


def register(task: Task) -> Task:
    """Add a task, ours or anybody's; `ValueError` when the name is taken."""
    if task.name in TASKS:
        raise ValueError(f"there is a task {task.name!r} already")
    TASKS[task.name] = task
    return task


def task_named(name: str) -> Task:
    """A task by name; `ValueError` with the choices."""
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; choose from {', '.join(TASKS)}")
    return TASKS[name]


def _table_1(name: str, summary: str, file: str, *answers: str) -> None:
    register(Task(name, summary, f"benchmark.tasks.{file}:{name}", answers))


_COPIES = tuple(f" {name}" for name in COPIED)

_table_1("single_double_quote", "a string closes with the quote that opened it", "strings", '")\n', "')\n")
_table_1("final_kwarg", "after parameters with defaults the last has one too", "functions", "=None", "):\n")
_table_1("set_or_string", "a name bound to a set or to a string", "bindings", ".add", " +=")
_table_1("set_or_string_fixedvarname", "the same, and the name is `current`", "bindings", ".add", " +=")
_table_1("class_init", "`self.x =` goes on with the parameter x", "names", *_COPIES)
_table_1("with_as", "`with open(path)` or a declaration", "files", " as", " if")
_table_1("bracket_brace", "a string in a dict or in a list", "brackets", '":', '",')
_table_1("with_open", "the mode from the file's name", "files", "r", "w")
_table_1("bracket_counting", "a list or a list of lists", "brackets", "]\n", "]]\n")
_table_1("for_while", "a name after `for` or `while`", "loops", " in", ":\n")
_table_1("else_elif", "a name after `elif` or a ternary's `else`", "conditions", ":\n", "\n")
_table_1("fstring_brace", "words in an f-string or in a plain string", "strings", " {", '")\n')
_table_1("if_ternary", "the condition of an `if` or of a ternary", "conditions", ":\n", " else")
_table_1("var_swap", "`x, y = y,` goes on with x", "names", *_COPIES)
_table_1("indent_for", "how deep the body of a `for` stands", "loops", "       ", "   ")
_table_1("lambda_func", "a name after `lambda` or `def`", "functions", ":", "():\n")
_table_1("if_equals", "a name in a condition or in an assignment", "conditions", " ==", " =")
_table_1("enumerate_range", "a loop over two variables or one", "loops", " enumerate", " range")
_table_1("var_if", "`True` compared with or assigned", "conditions", ":\n", "\n")
_table_1("while_return_true", "`while True` or `return True`", "loops", ":\n", "\n")
register(
    Task(
        name="nonsense",
        summary="an answer that has nothing to do with the prompt: no honest circuit should exist",
        make="benchmark.tasks.control:nonsense",
        answers=(" for", " with"),
        source="after Drori 2026, Weight-sparse circuits may be interpretable yet unfaithful",
        control=True,
    )
)
