"""The circuits of the page as compact JSON, which its script draws: texts once, columns instead of rows, few digits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmark.records.table import Record
from benchmark.report.page.picture import Picture
from benchmark.report.words import short

if TYPE_CHECKING:
    from benchmark.report.page.circuit_reading import ShownPrompt
    from benchmark.report.page.node_cards import NodeCard

DIGITS = 3
"""Significant digits of numbers in a picture."""

PLACES = 3
"""Decimal places of a node's place, and of a share."""

Json = dict[str, object]


@dataclass
class Interned:
    """Texts, each of which is embedded once and named by its number."""

    texts: list[str] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def __call__(self, text: str) -> int:
        """The number of a text."""
        if text not in self._numbers:
            self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return self._numbers[text]


def drawing(drawn: Picture, effects: Mapping[str, float], texts: Interned) -> Json:
    """A picture, with what ablating each of its nodes does.

    `nodes` has columns: name, kind, x, line and effect of each node. `edges` has columns: source, target, weight,
    size, sign and whether each edge is verified; there are no sizes where they are those of the weights.
    """
    edges: Json = {
        "source": [edge.source for edge in drawn.edges],
        "target": [edge.target for edge in drawn.edges],
        "weight": [rounded(edge.weight) for edge in drawn.edges],
        "sign": "".join("-0+"[edge.sign + 1] for edge in drawn.edges),
        "verified": "".join(_known(edge.verified) for edge in drawn.edges),
    }
    if drawn.by_flow:
        edges["size"] = [rounded(edge.size) for edge in drawn.edges]
    return {
        "nodes": {
            "name": [texts(node.name) for node in drawn.nodes],
            "kind": [texts(node.kind) for node in drawn.nodes],
            "x": [round(node.x, PLACES) for node in drawn.nodes],
            "line": [node.line for node in drawn.nodes],
            "effect": [rounded(effects.get(node.name)) for node in drawn.nodes],
        },
        "edges": edges,
        "lines": list(drawn.lines),
        "all": {
            "nodes": drawn.all_nodes,
            "edges": drawn.all_edges,
            "opaque": drawn.opaque_edges,
            "size": rounded(drawn.total_size, 6),
        },
    }


def card(known: "NodeCard", texts: Interned) -> Json:
    """What is known of a node: what it means, the score of its labels with limits, and its examples by band."""
    found: Json = {
        "lines": [[texts(line) for line in lines] for lines in known.examples.lines.values()],
        "shares": [round(share, PLACES) for share in known.examples.shares.values()],
        "sign": known.examples.sign,
    }
    if known.words:
        found["words"] = texts(known.words)
    if known.meaning.score is not None:
        found["score"] = list(map(rounded, (known.meaning.score, known.meaning.low, known.meaning.high)))
    return found


def prompts(shown: Sequence["ShownPrompt"]) -> list[list[str]]:
    """Prompts as text, answer and alternative."""
    return [[each.text, each.answer, each.other] for each in shown]


def identity(row: Record) -> Json:
    """What a circuit is of."""
    names = ("task", "method", "variant", "graph", "seed", "ranking", "status", "reason")
    return {**{name: getattr(row, name) for name in names}, "target": row.target_loss}


def scores(rows: Sequence[Record], metrics: Mapping[str, str]) -> list[list[str]]:
    """What a run measured of a circuit as label and text, of the given metrics by name."""
    found = {row.metric: row for row in reversed(rows)}
    return [[label, _told(found[name])] for name, label in metrics.items() if name in found]


def rounded(value: float | None, digits: int = DIGITS) -> float | None:
    """A number with few digits."""
    return None if value is None else float(f"{value:.{digits}g}")


def _told(row: Record) -> str:
    return row.status.replace("_", " ") if row.value is None else short(row.value)


def _known(verified: bool | None) -> str:
    return "?" if verified is None else "1" if verified else "0"
