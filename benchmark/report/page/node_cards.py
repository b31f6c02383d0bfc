"""What is known of a node of a circuit: what it means, and where it is active."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.export.graph import node_name
from benchmark.report.meanings import Meaning
from benchmark.report.page.node_examples import NodeExamples


@dataclass(frozen=True)
class NodeCard:
    """What is shown of a node.

    Attributes:
        meaning: What it means, by its assessment on the corpus.
        detects: What it detects on the prompts of tasks, for a node without a concept on the corpus.
        examples: Where it is active on the corpus.
    """

    meaning: Meaning
    detects: str
    examples: NodeExamples

    @property
    def words(self) -> str:
        """What it means in words; empty if nothing is known."""
        return self.meaning.words if self.meaning.concept else self.detects


def detected_on_prompts(assessed: Mapping[str, Any], task: str) -> dict[str, str]:
    """The concept of each labelled node of a circuit in words, by the node's name.

    Args:
        assessed: The content of the `validity.json` of the circuit.
        task: Its task.
    """
    return {
        node_name(node["site"], node["index"]): f"{concept} on the prompts of {task}"
        for node, concept in assessed["labels"]
    }
