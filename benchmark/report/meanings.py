"""What a node of a circuit means in words: the concept that it detects, else tokens where it is far from its mean.

Imports no torch.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.export.graph import Activations, Example
from benchmark.files import printable, read_json, readable
from benchmark.records.table import VALIDITY, Record
from benchmark.running.store import ArtifactError, Store

DETECTED = 0.5
"""Least average precision with which a node is said to detect a concept."""

BEFORE, AFTER = 16, 10
"""Most characters of a line that are shown before and after a token."""

Assessment = Mapping[str, Any]
"""The content of a `validity.json` about a whole model."""


@dataclass(frozen=True)
class Meaning:
    """What a node means.

    Attributes:
        node: Name of the node.
        concept: The concept that it detects; empty if there is none.
        sign: -1 if it is low where the concept holds.
        precision: How well it detects the concept: average precision, or for a node that was named after it, precision
            at its most active positions.
        score: Score of the concept's labels in place of the node; `None` where it is undefined or was not measured.
        low: Lower limit of its 95 % interval.
        high: Upper limit.
        verdict: What a name is worth, for a node that has a name: `meant`, `illusion`, `graded`, `undecided`.
        examples: Where it is furthest from its mean: pieces of lines with the token marked, the furthest first.
    """

    node: str
    concept: str = ""
    sign: int = 1
    precision: float | None = None
    score: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str = ""
    examples: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """`in_string (precision 0.93, label score 0.71)`; without a concept, tokens with what is around them."""
        if not self.concept:
            return " · ".join(self.examples)
        figures = [f"precision {self.precision:.2f}"] if self.precision is not None else []
        if self.score is not None:
            figures.append(f"label score {self.score:.2f}")
        if self.verdict in ("illusion", "graded"):
            figures.append("a name that misleads" if self.verdict == "illusion" else "the name says too little")
        name = self.concept if self.sign > 0 else f"low in {self.concept}"
        return f"{name} ({', '.join(figures)})" if figures else name


def meanings(
    nodes: Iterable[str], assessment: Assessment | None = None, activations: Mapping[str, Activations] = {}
) -> dict[str, Meaning]:
    """What some nodes of a model mean, by name.

    A name that was judged counts first, then the concept that a node is the best detector of.

    Args:
        nodes: Names of the nodes.
        assessment: What is known of the concepts in the model (`read_assessment`).
        activations: What nodes do on the corpus.
    """
    detected = _detected(assessment or {})
    found = {}
    for node in nodes:
        known = detected.get(node, {})
        seen = activations.get(node)
        examples = () if seen is None else tuple(_distinct(seen.examples))
        found[node] = Meaning(node=node, examples=examples, **known)
    return found


def read_assessment(row: Record, records: Iterable[Record], store: Store) -> Assessment | None:
    """What is known of the concepts in the model of a circuit; `None` if it was not measured, or the store lacks it.

    Args:
        row: A row of the circuit.
        records: The records of the run.
        store: Where its artifacts are.

    Raises:
        CorruptFileError: The file is damaged.
    """
    wanted = (row.preset, row.method, row.variant, row.seed, "nodes_with_a_name")
    for each in records:
        if (each.preset, each.method, each.variant, each.seed, each.metric) == wanted and each.status != "failed":
            try:
                path = store.artifact(store.key_of(each.config_hash)) / VALIDITY
            except ArtifactError:
                return None
            return _checked(path)
    return None


def _checked(path: Path) -> Assessment:
    content: Assessment = read_json(path)
    with readable(path, "assessment"):
        _detected(content)
    return content


def _detected(content: Assessment) -> dict[str, dict[str, Any]]:
    """By node, the concept that it detects and the scores of its labels."""
    found: dict[str, dict[str, Any]] = {}
    for concept in content.get("concepts", ()):
        for node, precision in _detectors(concept):
            best = found[node]["precision"] if node in found else DETECTED
            if precision is not None and precision >= best:
                tested = node == concept["node"]
                scored = concept["choices"].get("by_precision") if tested else None
                score = {} if scored is None else scored["controls"].get("label", {})
                sign = concept["sign"] if tested else 1
                found[node] = {"concept": concept["concept"], "sign": sign, "precision": precision, **_limits(score)}
    for named in content.get("named", ()):
        known = {"concept": named["concept"], "precision": named["top_k_precision"], "verdict": named["verdict"]}
        found[named["node"]] = {**known, **_limits(named["label"])}
    return found


def _detectors(concept: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """The best detectors of a concept with their average precision, the one that was tested last."""
    yield from (tuple(each) for each in (concept.get("kinds") or {}).values())
    if concept.get("highest_node"):
        yield concept["highest_node"], concept["highest_precision"]
    if concept["node"] is not None and concept["observed"] is not None:
        yield concept["node"], concept["average_precision"]


def _limits(score: Mapping[str, Any]) -> dict[str, float | None]:
    return {"score": score.get("value"), "low": score.get("low"), "high": score.get("high")}


def _distinct(examples: Iterable[Example]) -> Iterator[str]:
    """One piece of a line for each token that is marked, in the order of the examples."""
    seen = set()
    for example in examples:
        token = example.tokens[example.at]
        if token not in seen:
            seen.add(token)
            yield excerpt(example)


def excerpt(example: Example) -> str:
    r"""The line around the token at which a node is far from its mean, cut to a few words: `for i⟦ in⟧ range(`.

    The token is marked; line ends in it are written as `\n`, other control characters as escapes.
    """
    before, after = "".join(example.tokens[: example.at]), "".join(example.tokens[example.at + 1 :])
    token = example.tokens[example.at]
    start = before.rpartition("\n")[2].lstrip()[-BEFORE:]
    end = "" if token.endswith("\n") else after.partition("\n")[0][:AFTER]
    return one_line(f"{start}⟦{token}⟧{end}".rstrip())


def one_line(text: str) -> str:
    r"""A text on one line: line ends and tabs as `\n` and `\t`, other control characters as escapes."""
    return printable(text.replace("\n", "\\n").replace("\t", "\\t"))
