"""The concepts: properties of a position in a text that a program can decide from the text so far."""

from benchmark.concepts.concept import Concept
from benchmark.concepts.digest import digest_of
from benchmark.concepts.pairs import CONJUNCTIONS
from benchmark.concepts.single import SINGLE
from benchmark.plugins.registry import Registry

__all__ = ["CONCEPTS", "TOKEN_DECIDES", "Concept", "concept_families", "concepts_digest"]

TOKEN_DECIDES = 0.9
"""Average precision from the current token alone above which a concept is shown but not aggregated."""


def _check(concept: Concept) -> None:
    """Raise a `ValueError` for a concept that can never hold."""
    if len(concept.level_names) < 2:
        raise ValueError(f"level_names are {concept.level_names!r}, not two or more")


CONCEPTS: Registry[Concept] = Registry(
    "concept", Concept, (*SINGLE, *CONJUNCTIONS), functions=("labels",), check=_check
)
"""Every concept by name."""


def concept_families() -> dict[str, str]:
    """The family of each concept: its subject, or for a conjunction those of its parts, in alphabetical order.

    Scores within a family depend on one another. A concept without a family is a family of its own.
    """
    return {name: _family(concept) for name, concept in CONCEPTS.items()}


def _family(concept: Concept) -> str:
    if concept.family or not concept.parts:
        return concept.family or concept.name
    found = [_family(CONCEPTS[part]) if part in CONCEPTS else part for part in concept.parts]
    return " and ".join(sorted(found))


def concepts_digest() -> str:
    """SHA-256 over all concepts (name, summary, levels, parts) and the code that labels, comments left out.

    A run that records it can be compared with another: equal digests mean equal labels.
    """
    return digest_of(CONCEPTS.values())
