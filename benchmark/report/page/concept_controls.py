"""What was put in the place of a concept's best detector, and what each replacement scored, as bars and numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.records.table import Record
from benchmark.report.words import limits, short

PADDING = 0.08
"""Empty border of the bars, as a share of their width."""

Content = Mapping[str, Any]
"""A concept's part of `validity.json`."""


@dataclass(frozen=True)
class Bar:
    """A score between 0 and 1 with its interval, as places in percent of the width.

    Attributes:
        dot: The score.
        low: Lower limit, or the left border if that lies beyond it.
        high: Upper limit, or the right border.
        cut_low: Whether the lower limit lies beyond the border.
        cut_high: Whether the upper limit does.
    """

    dot: float
    low: float
    high: float
    cut_low: bool
    cut_high: bool


@dataclass(frozen=True)
class Control:
    """One replacement.

    Attributes:
        text: What replaces the node.
        score: Its score.
        interval: Its 95 % interval; empty without one.
        loss: What it adds to the loss, nats per token.
        bar: Its bar; `None` without a score.
    """

    text: str
    score: str
    interval: str
    loss: str
    bar: Bar | None


@dataclass(frozen=True)
class ConceptControls:
    """A concept in one model.

    Attributes:
        id: Its anchor in the page.
        method: Name of the method.
        variant: How its artifact is read.
        seed: Training seed.
        concept: Name of the concept.
        facts: What its best detector says of it, each as a term and what is told.
        controls: The replacements; none if nothing was replaced.
        zero: Where a score of 0 is, in percent of the width.
        one: Where a score of 1 is.
    """

    id: str
    method: str
    variant: str
    seed: int | None
    concept: str
    facts: tuple[tuple[str, str], ...]
    controls: tuple[Control, ...]
    zero: float
    one: float


def concept_controls(number: int, row: Record, content: Content, texts: Mapping[str, str]) -> ConceptControls:
    """A concept of an assessment.

    Args:
        number: Its number in the page.
        row: A row of the assessment.
        content: What the assessment says of the concept.
        texts: What replaces the node, by control.
    """
    chosen = content["choices"].get("by_precision")
    found = {} if chosen is None else {name: chosen["controls"][name] for name in texts if name in chosen["controls"]}
    scale = _Scale.of([each["value"] for each in found.values() if each["value"] is not None])
    return ConceptControls(
        id=f"feature-validity-concept-{number}",
        method=row.method,
        variant=row.variant,
        seed=row.seed,
        concept=content["concept"],
        facts=tuple(_facts(content, chosen)),
        controls=tuple(_control(texts[name], each, scale) for name, each in found.items()),
        zero=scale(0.0),
        one=scale(1.0),
    )


def _facts(content: Content, chosen: Content | None) -> Iterator[tuple[str, str]]:
    """What the best detector of a concept says of it."""
    yield "holds at", f"{100 * content['rate']:.3g} % of tokens"
    seen = content["observed"]
    if seen is None:
        yield "not measured", content["reason"]
        return
    yield "best detector", content["node"] + (" (low where the concept holds)" if content["sign"] < 0 else "")
    yield (
        "average precision",
        f"{short(content['average_precision'])}; from the token alone {short(content['token_precision'])}",
    )
    yield "concept where it is active", short(seen["p_concept_given_active"])
    yield "active where the concept holds", short(seen["p_active_given_concept"])
    yield "top positions where it holds", short(seen["top_k_precision"])
    if chosen is not None:
        harm = f"{short(chosen['harm'])} {limits(chosen['harm_low'], chosen['harm_high'])}".strip()
        yield "harm of ablating it", f"{harm} nats per token, over {chosen['windows']:,} windows"
    if content["reason"]:
        yield "no score, since", content["reason"]


def _control(text: str, score: Content, scale: "_Scale") -> Control:
    loss = "" if score["loss"] is None else f"{score['loss']:+.5f}".replace("-", "\N{MINUS SIGN}")
    return Control(
        text=text,
        score=short(score["value"]),
        interval=limits(score["low"], score["high"]),
        loss=loss,
        bar=None if score["value"] is None else scale.bar(score["value"], score["low"], score["high"]),
    )


@dataclass(frozen=True)
class _Scale:
    """From scores to percent of the width; all scores are within it, and so are 0 and 1."""

    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "_Scale":
        least, most = min([0.0, *values]), max([1.0, *values])
        border = PADDING * (most - least)
        return cls(least - border, most + border)

    def __call__(self, value: float) -> float:
        return round(100 * (value - self.least) / (self.most - self.least), 1)

    def bar(self, value: float, low: float | None, high: float | None) -> Bar:
        ends = (value if low is None else low), (value if high is None else high)
        cut_low, cut_high = ends[0] < self.least, ends[1] > self.most
        return Bar(self(value), self(max(ends[0], self.least)), self(min(ends[1], self.most)), cut_low, cut_high)
