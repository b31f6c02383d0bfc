"""The tasks: pairs of prompts that differ in one cause and therefore in the next token."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

from benchmark.corpus.idioms.words import COPIED
from benchmark.plugins.registry import Registry, resolve

Split = Literal["train", "validation", "test"]

TABLE_1 = "Gao et al. 2025, Weight-sparse transformers have interpretable circuits, Table 1"


@dataclass(frozen=True)
class PromptPair:
    """Two prompts that differ in one cause."""

    prompts: tuple[str, str]
    answers: tuple[str, str]
    """`answers[i]` follows `prompts[i]`; the other answer is the alternative."""
    continuations: tuple[str, str] = ("", "")
    """Text that typically follows the answers, which shows where their tokens end."""


@dataclass(frozen=True)
class Task:
    """A seeded generator of pairs."""

    name: str
    """Its name on the command line and in the records."""
    summary: str
    """A phrase that says what determines the next token."""
    make: str | Callable[[Random, Split], PromptPair]
    """`module:function` or a callable, `(random, split) -> PromptPair`. Train and test differ in templates and
    identifiers, validation and train only in identifiers."""
    answers: tuple[str, ...]
    """All possible answers, each of which must be one token."""
    concepts: tuple[str, ...] = ()
    """Names of the concepts on which its answer may depend."""
    source: str = TABLE_1
    """The paper it comes from."""
    control: bool = False
    """Whether it is a null baseline: listed, but never aggregated."""
    length_is_cause: bool = False
    """Whether the prompts of a pair may differ in length."""

    @property
    def function(self) -> Callable[[Random, Split], PromptPair]:
        """The generator itself; its docstring shows a pair."""
        return resolve(self.make)

    def pair(self, random: Random, split: Split) -> PromptPair:
        """The next pair of a split; `ValueError` if the generator returns something else."""
        pair = self.function(random, split)
        if not isinstance(pair, PromptPair):
            raise ValueError(f"{TASKS.called(self.name)}: {self.make} returned {pair!r:.80}, not a PromptPair")
        for texts in (pair.prompts, pair.answers, pair.continuations):
            if len(texts) != 2 or not all(isinstance(text, str) for text in texts):
                raise ValueError(f"{TASKS.called(self.name)}: {self.make} returned {texts!r:.80}, not two texts")
        for answer in pair.answers:
            if self.answers and answer not in self.answers:
                known = ", ".join(map(repr, self.answers))
                raise ValueError(f"{TASKS.called(self.name)}: {answer!r} is not one of its answers, which are {known}")
        return pair


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


def _table_1(name: str, summary: str, file: str, answers: tuple[str, ...]) -> Task:
    concepts = tuple(_CONCEPTS.get(name, "").split())
    return Task(name, summary, f"benchmark.tasks.{file}:{name}", answers, concepts)


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
    _table_1("indent_for", "how deep the body of a `for` is indented", "loops", ("       ", "   ")),
    _table_1("lambda_func", "a name after `lambda` or `def`", "functions", (":", "():\n")),
    _table_1("if_equals", "a name in a condition or in an assignment", "conditions", (" ==", " =")),
    _table_1("enumerate_range", "a loop over two variables or one", "loops", (" enumerate", " range")),
    _table_1("var_if", "`True` compared with or assigned", "conditions", (":\n", "\n")),
    _table_1("while_return_true", "`while True` or `return True`", "loops", (":\n", "\n")),
    Task(
        name="nonsense",
        summary="an answer unrelated to the prompt: no honest circuit should exist",
        make="benchmark.tasks.control:nonsense",
        answers=(" for", " with"),
        source="after Drori 2026, Weight-sparse circuits may be interpretable yet unfaithful",
        control=True,
    ),
)


def _check(task: Task) -> None:
    """Raise `ValueError` for a task without possible answers."""
    if not task.answers or not all(isinstance(answer, str) and answer for answer in task.answers):
        raise ValueError(f"answers are {task.answers!r}, not one or more texts")


TASKS: Registry[Task] = Registry("task", Task, OURS, functions=("make",), check=_check)
"""Every task by name, in the order of Table 1; the control last."""
