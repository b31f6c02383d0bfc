"""The colour and the marker of each method, the same in every picture and on the page.

The colours can be told apart with the common forms of colour blindness, on white and on dark paper. No two installed
methods share both colour and marker, so that colour alone never carries a meaning.
"""

import zlib
from dataclasses import dataclass

from benchmark.methods import METHODS

LIGHT = ("#0072b2", "#c8500a", "#00795a", "#a03c96", "#8a6500", "#2b8cc4", "#7a1f4b")
"""Colours on white paper, by their place in the palette."""

DARK = ("#56b4e9", "#ff9a56", "#35d0a5", "#e08fd6", "#e3bd4f", "#9ddcff", "#f095bd")
"""The same on dark paper."""

GREY = ("#6b6b6b", "#a6a6a6")
"""The colour of controls, and of what belongs to no method, on white and on dark paper."""

MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "pentagon", "star")
"""Markers; plotly knows these names, and `benchmark.report.pictures` translates them for matplotlib."""


@dataclass(frozen=True)
class Style:
    """How the points of a method are drawn.

    Attributes:
        light: Their colour on white paper.
        dark: The same on dark paper.
        marker: One of `MARKERS`.
    """

    light: str
    dark: str
    marker: str


def style(method: str) -> Style:
    """How a method is drawn: by its place among the installed methods, so that a plug-in changes none of the others.

    A method that is not installed, in tables from elsewhere, is drawn by its name. Controls are grey.
    """
    known = METHODS.get(method)
    if not method or (known is not None and known.role == "control"):
        return Style(*GREY, _marker(_place(method, "control")))
    place = _place(method, "")
    return Style(LIGHT[place % len(LIGHT)], DARK[place % len(DARK)], _marker(place))


def _marker(place: int) -> str:
    return MARKERS[place % len(MARKERS)]


def _place(method: str, role: str) -> int:
    """The place of a method among those that are installed: of the controls, or of all others."""
    names = [each.name for each in METHODS.values() if (each.role == "control") == (role == "control")]
    return names.index(method) if method in names else zlib.crc32(method.encode()) % (len(LIGHT) * len(MARKERS))
