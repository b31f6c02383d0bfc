"""A circuit as a picture: SVG, and DOT for Graphviz."""

from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

from benchmark.export.graph import TERMINAL, CircuitEdge, CircuitGraph
from benchmark.export.layout import Row, rows, short

BOX_WIDTH, BOX_HEIGHT = 84, 22
"""Size of the box of a node, pixels."""

COLUMN, ROW = 96, 84
"""Distance between the centres of neighbouring nodes, and of neighbouring rows, pixels."""

MARGIN, LABELS, HEADER = 16, 190, 56
"""Empty border, width of the labels of rows, and height of the title, pixels."""

POSITIVE, NEGATIVE, OPAQUE = "#1b6ca8", "#c4571b", "#888888"
"""Colours of edges of positive and negative weight, and of edges through an opaque block."""

FILLS = {
    TERMINAL: "#eeeeee",
    "residual_read": "#f6efd8",
    "residual_write": "#f6efd8",
    "query": "#e3ecf8",
    "key": "#e3ecf8",
    "value": "#dcefe4",
    "neuron": "#f7e3e3",
    "feature": "#eadff4",
    "error": "#d9d9d9",
}
"""Colour of a node by its kind."""

THINNEST, THICKEST = 0.8, 4.0
"""Widths of the edges of the smallest and of the largest weight, pixels."""

UNVERIFIED = 0.25
"""Opacity of an edge that the circuit does not need."""

Point = tuple[float, float]


def to_svg(graph: CircuitGraph) -> str:
    """The circuit drawn in rows, the inputs at the bottom.

    Each node is one element of the class `node` with its name as its title, each edge one of the class `edge`. The
    wider an edge, the larger its weight; blue is positive, orange negative, dashed grey runs through an opaque block.
    Where verified edges are known, the others are pale.
    """
    drawn = rows(graph)
    widest = max((len(row.names) for row in drawn), default=1)
    width = 2 * MARGIN + LABELS + max(widest * COLUMN, 640)
    height = 2 * MARGIN + HEADER + len(drawn) * ROW
    at = dict(_places(drawn, width, height))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">',
        f"<title>{escape(graph.title)}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{MARGIN}" y="{MARGIN + 12}" font-size="14">{escape(graph.title)}</text>',
        f'<text x="{MARGIN}" y="{MARGIN + 30}" fill="#555555">{escape(_summary(graph))}</text>',
        *_row_labels(drawn, height),
        *_edges(graph, at),
        *_nodes(graph, at),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def svg_files(graph: CircuitGraph) -> Mapping[str, bytes]:
    """The drawing as a file."""
    return {"circuit.svg": to_svg(graph).encode()}


def _summary(graph: CircuitGraph) -> str:
    """`12 nodes, 9 edges`, and how many edges are verified if that is known."""
    parts = [f"{len(graph.nodes)} nodes", f"{len(graph.edges)} edges"]
    if any(edge.verified is not None for edge in graph.edges):
        parts.append(f"{sum(edge.verified is True for edge in graph.edges)} of them verified")
    return ", ".join(parts)


def _places(drawn: list[Row], width: int, height: int) -> Iterator[tuple[str, Point]]:
    """The centre of each node."""
    middle = (width + LABELS) / 2
    for number, row in enumerate(drawn):
        y = _height_of(number, height)
        for column, name in enumerate(row.names):
            yield name, (middle + (column - (len(row.names) - 1) / 2) * COLUMN, y)


def _height_of(number: int, height: int) -> float:
    """The height at which a row is drawn; the first is at the bottom."""
    return height - MARGIN - (number + 0.5) * ROW


def _row_labels(drawn: list[Row], height: int) -> Iterator[str]:
    for number, row in enumerate(drawn):
        y = _height_of(number, height)
        yield f'<text class="row" x="{MARGIN}" y="{y + 4:g}" fill="#555555">{escape(row.label)}</text>'


def _nodes(graph: CircuitGraph, at: Mapping[str, Point]) -> Iterator[str]:
    for name, node in graph.by_name.items():
        x, y = at[name]
        kind = "terminal" if node.kind == TERMINAL else "node"
        yield (
            f'<g class="{kind}"><title>{escape(name)}</title>'
            f'<rect x="{x - BOX_WIDTH / 2:g}" y="{y - BOX_HEIGHT / 2:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" '
            f'rx="4" fill="{FILLS[node.kind]}" stroke="#555555"/>'
            f'<text x="{x:g}" y="{y + 4:g}" text-anchor="middle">{escape(short(node))}</text></g>'
        )


def _edges(graph: CircuitGraph, at: Mapping[str, Point]) -> Iterator[str]:
    largest = _largest(graph)
    for edge in graph.edges:
        (x1, y1), (x2, y2) = at[edge.source], at[edge.target]
        y1, y2 = y1 - BOX_HEIGHT / 2, y2 + BOX_HEIGHT / 2
        bend = (y1 - y2) / 3
        dashes = ' stroke-dasharray="4 3"' if edge.weight is None else ""
        pale = f' opacity="{UNVERIFIED}"' if edge.verified is False else ""
        yield (
            f'<path class="edge" d="M{x1:g},{y1:g} C{x1:g},{y1 - bend:g} {x2:g},{y2 + bend:g} {x2:g},{y2:g}" '
            f'fill="none" stroke="{_colour(edge)}" stroke-width="{_thickness(edge, largest):.2f}"{dashes}{pale}>'
            f"<title>{escape(_described(edge))}</title></path>"
        )


def _largest(graph: CircuitGraph) -> float:
    return max((abs(edge.weight) for edge in graph.edges if edge.weight is not None), default=1.0)


def _thickness(edge: CircuitEdge, largest: float) -> float:
    """Width of an edge, in proportion to its weight."""
    share = 0.0 if edge.weight is None else abs(edge.weight) / largest
    return THINNEST + (THICKEST - THINNEST) * share


def _colour(edge: CircuitEdge) -> str:
    if edge.weight is None:
        return OPAQUE
    return POSITIVE if edge.weight > 0 else NEGATIVE


def _described(edge: CircuitEdge) -> str:
    """`blocks.0.v[3] -> logits, weight +1.25, verified`."""
    weight = "opaque" if edge.weight is None else f"weight {edge.weight:+.4g}"
    known = {None: "", True: ", verified", False: ", not verified"}[edge.verified]
    return f"{edge.source} -> {edge.target}, {weight}{known}"


# Graphviz


def to_dot(graph: CircuitGraph) -> str:
    """The circuit in the language of Graphviz, one statement per line, with the rows of the drawing as ranks."""
    largest = _largest(graph)
    lines = [
        "digraph circuit {",
        f"  graph [rankdir=BT, label={_quoted(f'{graph.title}: {_summary(graph)}')}, labelloc=t, fontname=Helvetica];",
        "  node [shape=box, style=filled, fontname=Helvetica];",
    ]
    for row in rows(graph):
        lines.append("  { rank=same;")
        for name in row.names:
            node = graph.by_name[name]
            lines.append(f'    {_quoted(name)} [label={_quoted(short(node))}, fillcolor="{FILLS[node.kind]}"];')
        lines.append("  }")
    for edge in graph.edges:
        style = "dashed" if edge.weight is None else "dotted" if edge.verified is False else "solid"
        about = f'color="{_colour(edge)}", penwidth={_thickness(edge, largest):.2f}, style={style}'
        lines.append(
            f"  {_quoted(edge.source)} -> {_quoted(edge.target)} [{about}, tooltip={_quoted(_described(edge))}];"
        )
    return "\n".join([*lines, "}"]) + "\n"


def dot_files(graph: CircuitGraph) -> Mapping[str, bytes]:
    """The same as a file."""
    return {"circuit.dot": to_dot(graph).encode()}


def _quoted(text: str) -> str:
    """A text as a quoted identifier of the DOT language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
