"""What is known of a node of a circuit: the concept that it is said to stand for, and where it is active."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.report.page.node_examples import NodeExamples

Assessed = Mapping[str, Any]
"""The content of a `validity.json`."""


@dataclass(frozen=True)
class NodeConcept:
    """A concept that a node is said to stand for.

    Attributes:
        concept: Its name.
        how: How it was connected with the node.
        value: Label replacement score; `None` if there is none.
        low: Lower limit of its 95 % interval.
        high: Upper limit.
        verdict: What the name is worth, if that was judged.
    """

    concept: str
    how: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str = ""


@dataclass(frozen=True)
class NodeCard:
    """What is shown of a node."""

    examples: NodeExamples
    concept: NodeConcept | None


def node_concepts(assessed: Assessed) -> dict[str, NodeConcept]:
    """The concept of every node that was assessed, by name: one that names it before one that it detects."""
    found = dict(_detected(assessed))
    return found | dict(_named(assessed))


def _named(assessed: Assessed) -> Iterator[tuple[str, NodeConcept]]:
    for each in assessed["named"]:
        score = each["label"]
        limits = score["value"], score["low"], score["high"]
        yield each["node"], NodeConcept(each["concept"], "named by its top examples", *limits, each["verdict"])


def _detected(assessed: Assessed) -> Iterator[tuple[str, NodeConcept]]:
    for each in assessed["concepts"]:
        chosen = each["choices"].get("by_precision")
        score = chosen["controls"]["label"] if chosen is not None and not each["reason"] else {}
        limits = score.get("value"), score.get("low"), score.get("high")
        yield each["node"], NodeConcept(each["concept"], "its best detector", *limits)


def circuit_concepts(assessed: Assessed) -> dict[str, NodeConcept]:
    """The concept of each labelled node of a circuit, by name."""
    return {
        f"{node['site']}[{node['index']}]": NodeConcept(concept, "detects it on the task's prompts")
        for node, concept in assessed["labels"]
    }
