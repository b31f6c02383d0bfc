"""The colour and the marker of each method, the same in every picture and on the page.

The colours can be told apart with the common forms of colour blindness, on white and on dark paper. No two installed
methods share both colour and marker, so that colour alone never carries a meaning.
"""

import zlib
from dataclasses import dataclass

from benchmark.methods import METHODS, Method, with_role
from benchmark.plugins.versions import DISTRIBUTION

LIGHT = ("#2760f3", "#bc7908", "#219e60", "#7a1f99", "#7f1d19", "#1e4861", "#330520")
"""Colours on white paper, by their place in the palette; each has a contrast of 3 or more with the paper."""

DARK = ("#3195d6", "#ff9318", "#04c774", "#bc45ff", "#e15b38", "#65eeff", "#c21b98")
"""The same on dark paper."""

GREY = ("#6b6b6b", "#a6a6a6")
"""The colour of controls, and of what belongs to no method, on white and on dark paper."""

MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "pentagon", "star")
"""Markers; plotly knows these names, and `benchmark.report.pictures` translates them for matplotlib."""


LIMIT = len(LIGHT) * len(MARKERS)
"""Number of pairs of a colour and a marker."""


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
    """How a method is drawn: by its place among the installed methods, so that a plug-in changes none of ours.

    A method that is not installed, in tables from elsewhere, is drawn by its name. Controls are grey.
    """
    place = order(method)
    if not method or _is_control(method):
        return Style(*GREY, MARKERS[place % len(MARKERS)])
    return Style(LIGHT[place % len(LIGHT)], DARK[place % len(DARK)], MARKERS[place % len(MARKERS)])


def order(method: str) -> int:
    """The place of a method in legends: references first, then other methods, then controls, each as installed.

    Methods that need settings of their user come after those that every run has, ours before those of others. One that
    is not installed comes last, at a place given by its name.
    """
    references = with_role("reference")
    others = sorted((each for each in METHODS.values() if each.role != "reference"), key=_group)
    names = [*references, *(each.name for each in others)]
    return names.index(method) if method in names else len(names) + zlib.crc32(method.encode()) % LIMIT


def _group(method: Method) -> tuple[bool, bool, bool]:
    return METHODS.origin(method.name) != DISTRIBUTION, method.role == "control", method.by_name


def _is_control(method: str) -> bool:
    return method in METHODS and METHODS[method].role == "control"
