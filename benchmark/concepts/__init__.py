"""The concepts: properties of a position in a text that a program can decide from the text so far."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from benchmark.plugins.registry import Registry, resolve

KARPATHY = "Karpathy et al. 2015, Visualizing and understanding recurrent networks"
GAO = "Gao et al. 2025, Weight-sparse transformers have interpretable circuits"
OURS = "this benchmark"

TOKEN_DECIDES = 0.9
"""Average precision from the current token alone above which a concept is shown but not aggregated."""


@dataclass(frozen=True)
class Concept:
    """A property of every character of a text, decided as if the text ended there.

    Attributes:
        name: Its name on the command line and in the records.
        summary: A phrase that says what holds where the label is not 0.
        labels: `module:function` or a callable, `(text) -> labels`, one label per character. The label of character i
            depends only on `text[: i + 1]`: it is the state once that character has been read, as if a word that it
            ends were complete. The docstring shows an example.
        sibling: Another concept that is easily confused with this one.
        level_names: What the labels 0, 1, ... mean, in order; two for a property that holds or does not hold.
        parts: The concepts of which it is the conjunction.
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
        """Number of different labels, which are ordered if there are more than two."""
        return len(self.level_names)

    @property
    def function(self) -> Callable[[str], Collection[int]]:
        """The resolved labelling function; its docstring shows an example."""
        return resolve(self.labels)


def _ours(file: str, name: str, summary: str, sibling: str, source: str = OURS, **rest: tuple[str, ...]) -> Concept:
    return Concept(name, summary, f"benchmark.concepts.{file}:{name}", source, sibling, **rest)


def _word_seen(word: str, sibling: str) -> Concept:
    return _ours("names", f"word_seen_{word}", f"the word {word} has occurred", f"word_seen_{sibling}")


_DEPTHS = ("none", "one", "two or more")
_SINGLE = (
    _ours("strings", "in_single_quoted_string", "inside a string that ' opened", "in_double_quoted_string", KARPATHY),
    _ours("strings", "in_double_quoted_string", 'inside a string that " opened', "in_single_quoted_string", KARPATHY),
    _ours("strings", "in_string", "inside a string", "in_comment", KARPATHY),
    _ours("strings", "in_comment", "inside a comment", "in_string", KARPATHY),
    _ours("brackets", "bracket_depth", "how many brackets are open", "in_call", GAO, level_names=_DEPTHS),
    _ours("brackets", "in_brackets", "some bracket is open", "in_call", GAO),
    _ours("brackets", "in_parentheses", "the innermost open bracket is (", "in_square_brackets"),
    _ours("brackets", "in_square_brackets", "the innermost open bracket is [", "in_braces", GAO),
    _ours("brackets", "in_braces", "the innermost open bracket is {", "in_square_brackets", GAO),
    _ours("brackets", "in_call", "among the arguments of a call", "in_def_signature"),
    _ours("brackets", "in_def_signature", "between the parentheses of a def", "in_call", GAO),
    _ours("lines", "line_starts_with_if", "the logical line starts with if", "line_starts_with_while", KARPATHY),
    _ours("lines", "line_starts_with_while", "the logical line starts with while", "line_starts_with_for", GAO),
    _ours("lines", "line_starts_with_for", "the logical line starts with for", "line_starts_with_while", GAO),
    _ours("lines", "line_starts_with_return", "the logical line starts with return", "line_starts_with_if", GAO),
    _ours("names", "name_bound_to_set", "the name just read was bound to set()", "name_bound_to_string", GAO),
    _ours("names", "name_bound_to_string", "the name just read was bound to a string", "name_bound_to_set", GAO),
    _word_seen("self", sibling="return"),
    _word_seen("return", sibling="self"),
    _word_seen("for", sibling="open"),
    _word_seen("open", sibling="for"),
    _word_seen("set", sibling="lambda"),
    _word_seen("lambda", sibling="set"),
)
_SUMMARIES = {concept.name: concept.summary for concept in _SINGLE}


def _both(first: str, second: str, sibling: str) -> Concept:
    summary = f"{_SUMMARIES[first]}, and {_SUMMARIES[second]}"
    return _ours("conjunctions", f"{first}_and_{second}", summary, sibling, parts=(first, second))


_CONJUNCTIONS = (
    _both("in_string", "in_call", sibling="in_string"),
    _both("in_double_quoted_string", "in_call", sibling="in_double_quoted_string"),
    _both("in_string", "in_square_brackets", sibling="in_string_and_in_braces"),
    _both("in_string", "in_braces", sibling="in_string_and_in_square_brackets"),
    _both("in_string", "line_starts_with_if", sibling="in_string"),
    _both("in_string", "line_starts_with_return", sibling="in_string"),
    _both("in_brackets", "line_starts_with_for", sibling="in_brackets"),
    _both("in_comment", "word_seen_return", sibling="in_comment"),
)


def _check(concept: Concept) -> None:
    """Raise a `ValueError` for a concept that can never hold."""
    if len(concept.level_names) < 2:
        raise ValueError(f"level_names are {concept.level_names!r}, not two or more")


CONCEPTS: Registry[Concept] = Registry(
    "concept", Concept, (*_SINGLE, *_CONJUNCTIONS), functions=("labels",), check=_check
)
"""Every concept by name."""


def concept_families() -> dict[str, str]:
    """The family of each concept, named after one of its members.

    Concepts that share a part, directly or through others, are in one family, so scores of different families are
    independent.
    """
    found = {name: name for name in CONCEPTS}
    for concept in CONCEPTS.values():
        joined = {found[name] for name in (concept.name, *concept.parts)}
        found = {name: min(joined) if family in joined else family for name, family in found.items()}
    return found
