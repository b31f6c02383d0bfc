"""A figure as plain data, which pages and pictures draw: axes, series of points with intervals, and a caption."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Number = float | None
"""A coordinate of an interval; `None` where there is no interval."""

Emphasis = Literal["normal", "secondary", "highlight"]
"""How a series is drawn: as usual; open and dashed, as what others are compared with; or ringed."""


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        label: What it shows.
        unit: Its unit; empty for a category, and for a number without one.
        log: Whether it is logarithmic; all its values are then above 0.
        categories: The names of its values, if they are categories: value n is the name at n, from 0.
        view: The range that is shown, if a few points far outside would hide the others; `None` for all of it.
    """

    label: str
    unit: str = ""
    log: bool = False
    categories: tuple[str, ...] = ()
    view: tuple[float, float] | None = None

    @property
    def title(self) -> str:
        """`validation loss (nats)`."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True)
class Series:
    """Points of one method, all tuples of the same length.

    Attributes:
        name: Its name in the legend.
        method: Name of the method, which decides its colour and marker; empty if it belongs to none.
        variant: How the method's artifact is read.
        x: Where the points are, in the order in which a line connects them.
        y: The same.
        x_low: Lower limits of the 95 % intervals.
        x_high: Upper limits.
        y_low: Lower limits.
        y_high: Upper limits.
        text: What each point is, in words.
        line: Whether a line connects the points.
        emphasis: How it is drawn.

    Raises:
        ValueError: The tuples differ in length, or a coordinate is not finite.
    """

    name: str
    method: str
    variant: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    x_low: tuple[Number, ...]
    x_high: tuple[Number, ...]
    y_low: tuple[Number, ...]
    y_high: tuple[Number, ...]
    text: tuple[str, ...]
    line: bool = False
    emphasis: Emphasis = "normal"

    def __post_init__(self) -> None:
        columns = (self.x, self.y, self.x_low, self.x_high, self.y_low, self.y_high, self.text)
        if len({len(column) for column in columns}) != 1:
            raise ValueError(
                f"series {self.name}: its columns have {', '.join(str(len(each)) for each in columns)} points"
            )
        if not all(math.isfinite(value) for column in columns[:-1] for value in column if value is not None):
            raise ValueError(f"series {self.name}: a coordinate is not finite")

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Point:
    """One point of a series.

    Attributes:
        x: Where it is.
        y: The same.
        text: What it is, in words.
        x_limits: The 95 % interval; `None` where there is none.
        y_limits: The same.
    """

    x: float
    y: float
    text: str = ""
    x_limits: tuple[Number, Number] = (None, None)
    y_limits: tuple[Number, Number] = (None, None)


@dataclass(frozen=True)
class Figure:
    """What is drawn, and what is missing from it.

    Attributes:
        name: Its name on the command line.
        title: What it shows, as a heading.
        caption: How to read it, and what the intervals are over.
        x: The horizontal axis.
        y: The vertical axis.
        series: What is drawn; empty if nothing can be.
        missing: What a folder lacks of it, one sentence each, with the command that makes it.
    """

    name: str
    title: str
    caption: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    missing: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Series]:
        return iter(self.series)


def series_of(
    name: str,
    points: Sequence[Point],
    *,
    method: str = "",
    variant: str = "",
    line: bool = False,
    emphasis: Emphasis = "normal",
) -> Series:
    """A series of some points."""
    return Series(
        name=name,
        method=method,
        variant=variant,
        x=tuple(point.x for point in points),
        y=tuple(point.y for point in points),
        x_low=tuple(point.x_limits[0] for point in points),
        x_high=tuple(point.x_limits[1] for point in points),
        y_low=tuple(point.y_limits[0] for point in points),
        y_high=tuple(point.y_limits[1] for point in points),
        text=tuple(point.text for point in points),
        line=line,
        emphasis=emphasis,
    )
