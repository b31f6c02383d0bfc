"""A feature as the page shows it: its name, what the name is worth, and examples from each band beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

SHOWN = 4
"""Most examples of a band that are shown."""

BAND_TITLES = {
    "high": "Top activations",
    "middle": "Middle activations",
    "low": "Low activations",
    "zero": "Silent, where the name holds",
}
"""What each band is called."""


@dataclass(frozen=True)
class MarkedLine:
    """A line of text with one token of it marked."""

    before: str
    token: str
    after: str

    @classmethod
    def of(cls, line: str) -> "MarkedLine":
        """A line in which the token stands between ⟦ and ⟧; without marks, no token of it."""
        before, opened, rest = line.partition("⟦")
        token, closed, after = rest.partition("⟧")
        return cls(before, token, after) if opened and closed else cls(line, "", "")


@dataclass(frozen=True)
class Band:
    """Examples from one band of a feature's activations.

    Attributes:
        title: What it is called.
        told: How often the name holds in it, in words; empty where it is not known or always holds.
        lines: The examples.
    """

    title: str
    told: str
    lines: tuple[MarkedLine, ...]


@dataclass(frozen=True)
class ShownFeature:
    """A feature.

    Attributes:
        title: What it is a feature of.
        name: The concept that its top examples show.
        facts: What is known of it, each as a term and what is told.
        bands: Its examples, the top ones first.
    """

    title: str
    name: str
    facts: tuple[tuple[str, str], ...]
    bands: tuple[Band, ...]


def band_of(band: str, lines: Sequence[str], purity: float | None) -> Band:
    """A band, given the share of its positions at which the name holds."""
    known = purity is not None and isfinite(purity) and band != "zero"
    told = f"the name holds at {purity:.0%}" if known else ""
    return Band(BAND_TITLES[band], told, tuple(map(MarkedLine.of, lines[:SHOWN])))
