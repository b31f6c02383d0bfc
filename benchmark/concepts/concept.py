"""What a concept is."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property

from benchmark.plugins.registry import resolve


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
        family: The subject that it shares with other concepts; a conjunction has the families of its parts.
    """

    name: str
    summary: str
    labels: str | Callable[[str], Collection[int]]
    source: str
    sibling: str | None = None
    level_names: tuple[str, ...] = ("no", "yes")
    parts: tuple[str, ...] = ()
    family: str = ""

    @property
    def levels(self) -> int:
        """Number of different labels, which are ordered if there are more than two."""
        return len(self.level_names)

    @cached_property
    def function(self) -> Callable[[str], Collection[int]]:
        """The resolved labelling function; its docstring shows an example."""
        return resolve(self.labels)
