"""Draws the pictures of the documentation from the numbers of the examples on its pages.

`python docs/pictures/draw.py` writes them again; a test compares them with the files that are here.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]

WIDTH, HEIGHT = 520, 240
LEFT, RIGHT, TOP, BOTTOM = 60, 460, 20, 190
"""The frame of a picture's axes, pixels."""

BLUE, ORANGE, GREY, INK = "#3b6fb6", "#d9822b", "#9aa0a6", "#202124"

Point = tuple[float, float]


def numbers_of(page: str) -> dict[str, Any]:
    """The names that the Python of a page defines."""
    text = (DOCS / page).read_text(encoding="utf-8")
    seen: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        exec(block, seen)  # noqa: S102 - the project's own pages
    return seen


# Elements of a picture


def label(at: Point, words: str, anchor: str = "middle", colour: str = INK) -> str:
    """A line of text."""
    place = f'x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(words)}</text>"


def line(points: Iterable[Point], colour: str = INK, width: float = 1.0, dashed: bool = False) -> str:
    """A line through some points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="4 4"' * dashed
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dash}/>'


def area(points: Iterable[Point], colour: str = BLUE) -> str:
    """A shaded polygon."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polygon points="{path}" fill="{colour}" fill-opacity="0.2"/>'


def bar(corner: Point, size: Point, fill: str, edge: str = "none") -> str:
    """A rectangle, from its upper left corner."""
    place = f'x="{corner[0]:.1f}" y="{corner[1]:.1f}" width="{size[0]:.1f}" height="{size[1]:.1f}"'
    return f'<rect {place} fill="{fill}" stroke="{edge}" stroke-width="1.5"/>'


def dot(at: Point, radius: float = 4.0, fill: str = BLUE, edge: str = BLUE) -> str:
    """A circle."""
    return (
        f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius:g}" fill="{fill}" stroke="{edge}" stroke-width="1.5"/>'
    )


class Axes:
    """Maps numbers to places, and draws the axes.

    Args:
        across: Smallest and largest number from left to right.
        up: Smallest and largest number from bottom to top.
    """

    def __init__(self, across: Point, up: Point) -> None:
        self._across, self._up = across, up

    def __call__(self, x: float, y: float) -> Point:
        """The place of a pair of numbers."""
        right = (x - self._across[0]) / (self._across[1] - self._across[0])
        high = (y - self._up[0]) / (self._up[1] - self._up[0])
        return LEFT + right * (RIGHT - LEFT), BOTTOM - high * (BOTTOM - TOP)

    def drawn(
        self, across: str, up: str, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]]
    ) -> list[str]:
        """The axes with their names and with marked numbers."""
        parts = [line([(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)])]
        parts += [label((self(x, self._up[0])[0], BOTTOM + 17), words) for x, words in x_ticks]
        parts += [label((LEFT - 8, self(self._across[0], y)[1] + 4), words, "end") for y, words in y_ticks]
        parts.append(label(((LEFT + RIGHT) / 2, BOTTOM + 38), across))
        turned = f'<g transform="rotate(-90 16 {(TOP + BOTTOM) / 2:.0f})">'
        return [*parts, turned, label((16, (TOP + BOTTOM) / 2), up), "</g>"]


def svg(parts: Sequence[str], title: str) -> str:
    """A picture on white, so that it can be read in a dark page too."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img"'
    style = 'font-family="sans-serif" font-size="12"'
    white = bar((0, 0), (WIDTH, HEIGHT), "white")
    return "\n".join([f"{head} {style}>", f"<title>{escape(title)}</title>", white, *parts, "</svg>", ""])


# Pictures


def size() -> str:
    """The graph of the example: kept nodes are filled, edges drawn through, touched edges dashed."""
    seen = numbers_of("numbers/size.md")
    kept, weights = seen["kept"], {("read", "neuron"): seen["reads"], ("neuron", "write"): seen["writes"]}
    rows = {"read": 200.0, "neuron": 120.0, "write": 40.0}
    places = {
        (site, node): (240 + 100 * (node - (len(mask) - 1) / 2), rows[site])
        for site, mask in kept.items()
        for node in range(len(mask))
    }
    parts = []
    for (source, target), matrix in weights.items():
        for (row, column), weight in ((at, matrix[at].item()) for at in _indices(matrix)):
            if weight:
                inside = kept[source][column] and kept[target][row]
                ends = [places[source, column], places[target, row]]
                parts.append(line(ends, BLUE if inside else GREY, 2.0, dashed=not inside))
    for (site, node), at in places.items():
        parts.append(dot(at, 10, BLUE if kept[site][node] else "white", BLUE if kept[site][node] else GREY))
        parts.append(label((at[0] + 15, at[1] + 4), f"{node}", "start"))
    parts += [label((70, height + 4), f"{site}s") for site, height in rows.items()]
    return svg(parts, "A circuit of 5 nodes and 4 edges that touches 6")


def _indices(matrix: Any) -> list[tuple[int, int]]:
    rows, columns = matrix.shape
    return [(row, column) for row in range(rows) for column in range(columns)]


def faithfulness() -> str:
    """Faithfulness as a function of the divergence, with the circuits of the example."""
    seen = numbers_of("numbers/faithfulness.md")
    uneven = seen["pair_kl"](seen["whole"], seen["uneven"], seen["answer"], seen["other"])
    empty = seen["empty_kl"]
    axes = Axes((0, 0.7), (0, 1))
    parts = axes.drawn(
        "KL from the whole model, nats",
        "faithfulness",
        [(tenth / 10, f"{tenth / 10:g}") for tenth in range(8)],
        [(0, "0"), (0.5, "0.5"), (1, "1")],
    )
    parts.append(line([axes(0, 1), axes(empty, 0)], GREY))
    named = {"whole model": 0.0, "circuit": seen["circuit_kl"], "uneven": uneven, "empty circuit": empty}
    for name, kl in named.items():
        at = axes(kl, 1 - kl / empty)
        parts += [dot(at), label((at[0] + 8, at[1] - 7), name, "start")]
    return svg(parts, "Faithfulness is 1 without divergence from the whole model and 0 at that of the empty circuit")


def curves() -> str:
    """The area under faithfulness over the logarithm of size."""
    seen = numbers_of("numbers/curves.md")
    sizes, scores, largest = seen["sizes"], seen["scores"], seen["largest"]
    axes = Axes((0, math.log2(largest)), (0, 1))
    curve = [axes(math.log2(size), score) for size, score in zip(sizes, scores, strict=True)]
    parts = axes.drawn(
        "nodes, log scale",
        "faithfulness",
        [(power, f"{2**power}") for power in range(0, 9, 2)],
        [(0, "0"), (0.5, "0.5"), (1, "1")],
    )
    end = axes(math.log2(largest), scores[-1])
    parts += [area([axes(0, 0), *curve, end, axes(math.log2(largest), 0)])]
    parts += [line(curve, BLUE, 2.0), line([curve[-1], end], BLUE, 2.0, dashed=True), *map(dot, curve)]
    return svg(parts, "Faithfulness over the number of nodes; the shaded area is cpr")


def validity() -> str:
    """Activations by position, filled where the concept holds."""
    seen = numbers_of("numbers/validity.md")
    axes = Axes((-0.5, len(seen["dog"]) - 0.5), (0, 1))
    parts = axes.drawn(
        "position", "activation", [(at, f"{at}") for at in range(10)], [(0, "0"), (0.5, "0.5"), (1, "1")]
    )
    for third in (1 / 3, 2 / 3):
        parts.append(line([axes(-0.5, third), axes(9.5, third)], GREY, dashed=True))
    for at, (value, dog) in enumerate(zip(seen["activation"], seen["dog"], strict=True)):
        x, top = axes(at, value)
        colour = BLUE if dog else "white"
        parts.append(bar((x - 12, top - 2), (24, BOTTOM - top + 2), colour, BLUE if dog else GREY))
    parts += [label((RIGHT, TOP + 4), "filled: a dog is there", "end")]
    return svg(parts, "The top activations all show a dog, but the node is silent at three of seven dogs")


def dictionaries() -> str:
    """The attributions of the example; the pairs that carry 0.9 of each row are outlined."""
    matrix = numbers_of("numbers/dictionaries.md")["attributions"]
    side, parts = 60, []
    for row, values in enumerate(matrix):
        needed, carried = set(), 0.0
        for column in sorted(range(len(values)), key=lambda column: -values[column]):
            if carried < 0.9 * sum(values):
                needed.add(column)
                carried += values[column]
        for column, value in enumerate(values):
            corner = (150 + column * (side + 14), 50 + row * (side + 14))
            shade = f"rgb({255 - 14 * value:.0f},{255 - 10 * value:.0f},255)"
            parts.append(bar(corner, (side, side), shade, ORANGE if column in needed else GREY))
            parts.append(label((corner[0] + side / 2, corner[1] + side / 2 + 4), f"{value:g}"))
        parts.append(label((140, 50 + row * (side + 14) + side / 2 + 4), f"target {row}", "end"))
    parts += [label((150 + column * (side + 14) + side / 2, 40), f"source {column}") for column in range(3)]
    parts.append(label((WIDTH / 2, 225), "outlined: 3 of 6 pairs carry 0.9 of each row"))
    return svg(parts, "Three of six pairs carry 0.9 of what flows into each target")


def claims() -> str:
    """Separation over the length of the list, on logarithmic axes."""
    seen = numbers_of("numbers/claims.md")
    axes = Axes((0.5, 4.5), (-1.5, 2.5))
    points = [axes(math.log2(x), math.log2(y)) for x, y in zip(seen["elements"], seen["separation"], strict=True)]
    parts = axes.drawn(
        "elements of the list, log scale",
        "separation, nats, log scale",
        [(power, f"{2**power}") for power in range(1, 5)],
        [(power, f"{2.0**power:g}") for power in range(-1, 3)],
    )
    parts += [line(points, BLUE, 2.0), *map(dot, points), label((300, 80), "slope -1", "start")]
    return svg(parts, "The separation halves whenever the list doubles")


def statistics() -> str:
    """The smallest p-value by number of pairs."""
    least_p = numbers_of("numbers/statistics.md")["least_p"]
    axes = Axes((2.4, 10.6), (0, 0.26))
    parts = axes.drawn(
        "pairs (tasks that both methods reach)",
        "smallest p-value",
        [(pairs, f"{pairs}") for pairs in range(3, 11)],
        [(0, "0"), (0.1, "0.1"), (0.2, "0.2")],
    )
    for pairs in range(3, 11):
        x, top = axes(pairs, least_p(pairs))
        parts.append(bar((x - 14, top), (28, BOTTOM - top), BLUE))
    for level, words in ((0.05, "0.05: one test"), (0.05 / 4, "0.0125: the first of four")):
        parts.append(line([axes(2.4, level), axes(10.6, level)], ORANGE, 1.5, dashed=True))
        parts.append(label((RIGHT, axes(0, level)[1] - 5), words, "end", ORANGE))
    return svg(parts, "Six pairs are needed for one test at 0.05, and eight for four")


def leaderboard() -> str:
    """The performance profile of the example."""
    seen = numbers_of("leaderboard.md")
    reached, tasks = sorted(edges for edges in seen["edges"] if edges), len(seen["edges"])
    axes = Axes((0, math.log10(seen["largest"])), (0, 1))
    parts = axes.drawn(
        "edges, log scale",
        "share of tasks",
        [(power, f"{10**power:,}") for power in range(0, 7, 2)],
        [(0, "0"), (1 / 3, "1/3"), (2 / 3, "2/3"), (1, "1")],
    )
    steps = [axes(0, 0)]
    for count, edges in enumerate(reached):
        steps += [axes(math.log10(edges), count / tasks), axes(math.log10(edges), (count + 1) / tasks)]
    steps.append(axes(math.log10(seen["largest"]), len(reached) / tasks))
    parts += [area([*steps, axes(math.log10(seen["largest"]), 0)]), line(steps, BLUE, 2.0)]
    return svg(parts, "The share of tasks with a circuit of at most x edges; the shaded area is 0.5")


PICTURES: tuple[Callable[[], str], ...] = (
    size,
    faithfulness,
    curves,
    validity,
    dictionaries,
    claims,
    statistics,
    leaderboard,
)

if __name__ == "__main__":
    for picture in PICTURES:
        (Path(__file__).parent / f"{picture.__name__}.svg").write_text(picture(), encoding="utf-8")
