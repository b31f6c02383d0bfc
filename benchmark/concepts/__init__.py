"""The concepts: properties of a position that a program can decide from the text so far."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module

KARPATHY = "Karpathy et al. 2015, Visualizing and understanding recurrent networks"
GAO = "Gao et al. 2025, Weight-sparse transformers have interpretable circuits"
OURS = "this benchmark"


@dataclass(frozen=True)
class Concept:
    """A property of every character of a text, decided as if the text ended with it.

    Attributes:
        name: Its name on the command line and in the records.
        summary: One phrase: what holds where the label is not 0.
        labels: `module:function` or a callable, `(text) -> labels`, one per character. The label of character i depends
            on `text[: i + 1]` only: the state once that character has been read, the word that it ends in taken as
            whole. Its docstring shows an example.
        source: Where it comes from.
        sibling: Another concept that is easily taken for this one.
        level_names: What the labels 0, 1, ... mean, in order; two for a property that holds or does not.
        parts: The concepts that it is the conjunction of.
    """

    name: str
    summary: str
    labels: str | Callable[[str], Collection[int]]
    source: str
    sibling: str | None = None
    level_names: tuple[str, ...] = ("no", "yes")
    parts: tuple[str, ...] = ()

    @property
    def levels(self) -> int:
        """How many labels there are; more than two are ordered."""
        return len(self.level_names)

    @property
    def function(self) -> Callable[[str], Collection[int]]:
        """The function that labels a text; its docstring shows an example."""
        if callable(self.labels):
            return self.labels
        module, _, name = self.labels.partition(":")
        found: Callable[[str], Collection[int]] = getattr(import_module(module), name)
        return found


CONCEPTS: dict[str, Concept] = {}
"""Every concept by name."""


def register(concept: Concept) -> Concept:
    """Add a concept, ours or anybody's; `ValueError` when the name is taken."""
    if concept.name in CONCEPTS:
        raise ValueError(f"there is a concept {concept.name!r} already")
    CONCEPTS[concept.name] = concept
    return concept


def concept_named(name: str) -> Concept:
    """A concept by name; `ValueError` with the choices."""
    if name not in CONCEPTS:
        raise ValueError(f"unknown concept {name!r}; choose from {', '.join(CONCEPTS)}")
    return CONCEPTS[name]


def _ours(file: str, name: str, summary: str, sibling: str, source: str = OURS, parts: tuple[str, ...] = ()) -> None:
    register(Concept(name, summary, f"benchmark.concepts.{file}:{name}", source, sibling, parts=parts))


_ours("strings", "in_single_quoted_string", "inside a string that ' opened", "in_double_quoted_string", KARPATHY)
_ours("strings", "in_double_quoted_string", 'inside a string that " opened', "in_single_quoted_string", KARPATHY)
_ours("strings", "in_string", "inside a string", "in_comment", KARPATHY)
_ours("strings", "in_comment", "inside a comment", "in_string", KARPATHY)
register(
    Concept(
        name="bracket_depth",
        summary="how many brackets are open",
        labels="benchmark.concepts.brackets:bracket_depth",
        source=GAO,
        sibling="in_call",
        level_names=("none", "one", "two or more"),
    )
)
_ours("brackets", "in_brackets", "some bracket is open", "in_call", GAO)
_ours("brackets", "in_parentheses", "the innermost open bracket is (", "in_square_brackets")
_ours("brackets", "in_square_brackets", "the innermost open bracket is [", "in_braces", GAO)
_ours("brackets", "in_braces", "the innermost open bracket is {", "in_square_brackets", GAO)
_ours("brackets", "in_call", "among the arguments of a call", "in_def_signature")
_ours("brackets", "in_def_signature", "between the parentheses of a def", "in_call", GAO)
_ours("lines", "line_starts_with_if", "the logical line starts with if", "line_starts_with_while", KARPATHY)
_ours("lines", "line_starts_with_while", "the logical line starts with while", "line_starts_with_for", GAO)
_ours("lines", "line_starts_with_for", "the logical line starts with for", "line_starts_with_while", GAO)
_ours("lines", "line_starts_with_return", "the logical line starts with return", "line_starts_with_if", GAO)
_ours("names", "name_bound_to_set", "the name just read was bound to set()", "name_bound_to_string", GAO)
_ours("names", "name_bound_to_string", "the name just read was bound to a string", "name_bound_to_set", GAO)


def _both(first: str, second: str, sibling: str) -> None:
    summary = f"{CONCEPTS[first].summary}, and {CONCEPTS[second].summary}"
    _ours("conjunctions", f"{first}_and_{second}", summary, sibling, parts=(first, second))


def _word_seen(word: str, sibling: str) -> None:
    _ours("names", f"word_seen_{word}", f"the word {word} has occurred", f"word_seen_{sibling}")


_word_seen("self", sibling="return")
_word_seen("return", sibling="self")
_word_seen("for", sibling="open")
_word_seen("open", sibling="for")
_word_seen("set", sibling="lambda")
_word_seen("lambda", sibling="set")
_both("in_string", "in_call", sibling="in_string")
_both("in_double_quoted_string", "in_call", sibling="in_double_quoted_string")
_both("in_string", "in_square_brackets", sibling="in_string_and_in_braces")
_both("in_string", "in_braces", sibling="in_string_and_in_square_brackets")
_both("in_string", "line_starts_with_if", sibling="in_string")
_both("in_string", "line_starts_with_return", sibling="in_string")
_both("in_brackets", "line_starts_with_for", sibling="in_brackets")
_both("in_comment", "word_seen_return", sibling="in_comment")

CONCEPTS_OF_TASK: Mapping[str, tuple[str, ...]] = {
    "single_double_quote": (
        "in_single_quoted_string",
        "in_double_quoted_string",
        "in_string",
        "in_double_quoted_string_and_in_call",
    ),
    "final_kwarg": ("in_def_signature",),
    "set_or_string": ("name_bound_to_set", "name_bound_to_string", "word_seen_set"),
    "set_or_string_fixedvarname": ("name_bound_to_set", "name_bound_to_string", "word_seen_set"),
    "class_init": ("word_seen_self",),
    "with_as": ("word_seen_open",),
    "bracket_brace": (
        "in_square_brackets",
        "in_braces",
        "in_string_and_in_square_brackets",
        "in_string_and_in_braces",
    ),
    "with_open": ("in_string_and_in_call", "word_seen_open"),
    "bracket_counting": ("bracket_depth", "in_brackets", "in_square_brackets"),
    "for_while": ("line_starts_with_for", "line_starts_with_while"),
    "fstring_brace": ("in_string", "in_string_and_in_call"),
    "if_ternary": ("line_starts_with_if",),
    "indent_for": ("line_starts_with_for", "word_seen_for"),
    "lambda_func": ("word_seen_lambda",),
    "if_equals": ("line_starts_with_if",),
    "enumerate_range": ("line_starts_with_for",),
    "var_if": ("line_starts_with_if",),
    "while_return_true": ("line_starts_with_while", "line_starts_with_return"),
}
"""The concepts that a task's answer may hang on; tasks that hang on none are absent."""
