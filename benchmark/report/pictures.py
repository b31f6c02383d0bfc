"""Standard figures as pictures for papers and READMEs, drawn by matplotlib: the same tables give the same bytes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.disk import written_atomically
from benchmark.report.figures.data import Axis, Figure, Number, Series
from benchmark.report.figures.style import style

if TYPE_CHECKING:
    import matplotlib.figure
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform
    from matplotlib.typing import RcKeyType

METADATA: Mapping[str, Mapping[str, None]] = {
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
    ".png": {"Software": None},
}
"""What is left out of a file, by its suffix, so that it does not depend on when it was drawn."""

MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "cross": "P",
    "pentagon": "p",
    "star": "*",
}
"""The markers of `benchmark.report.figures.style` as matplotlib calls them."""

INK, FAINT, PAPER = "#1a1a1a", "#dddddd", "#ffffff"
"""Colours of text and axes, of the grid, and of the paper."""

WIDTH, HEIGHT = 7.0, 4.6
"""Size of a picture, inches: its text can be read where it is shown 600 pixels wide."""

RESOLUTION = 200
"""Pixels per inch of a PNG."""

SPREAD = 0.66
"""Share of the distance between two categories over which the methods of a category are spread."""

CROWDED = 60
"""Number of points above which intervals are drawn thin, so that points stay visible."""

MOST_MARKERS = 6
"""Number of markers on a line with many points."""

APART = 0.18
"""Inches over which lines over the same places are spread."""

DECADES = 2.5
"""Powers of ten below which a logarithmic axis has ticks between them."""

LONG_LABELS = 60
"""Number of characters of all categories above which their labels are slanted."""

SETTINGS: "Mapping[RcKeyType, Any]" = {
    "svg.hashsalt": "sparse-circuit-bench",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titlepad": 10,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
"""What differs from matplotlib's own settings; those of the user are not read."""


def write_picture(figure: Figure, path: Path) -> None:
    """Draw a figure into a file, which is replaced if it exists.

    Args:
        figure: The figure.
        path: The file; its suffix says the format.

    Raises:
        ValueError: In one line, if the suffix is not known, or the figure has nothing to draw.
    """
    check_path(path)
    kind = path.suffix.lower()
    if not figure.series:
        raise ValueError(f"{figure.name}: {' '.join(figure.missing) or 'there is nothing to draw'}")
    with _settings():
        drawn = _drawn(figure)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_atomically(path) as partial:
            drawn.savefig(partial, format=kind[1:], metadata=METADATA[kind], dpi=RESOLUTION)


def check_path(path: Path) -> None:
    """`ValueError` in one line, with the choices, if the suffix of a file is not that of a picture."""
    if path.suffix.lower() not in METADATA:
        raise ValueError(f"a picture ends in {', '.join(METADATA)}, not as {str(path)!r}")


@contextmanager
def _settings() -> Iterator[None]:
    """Matplotlib's own settings with ours, whatever the user has configured."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


def _drawn(figure: Figure) -> "matplotlib.figure.Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(WIDTH, HEIGHT), layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(canvas)
    axes = canvas.add_subplot()
    axes.set_title(figure.title)
    for number, series in enumerate(figure.series):
        _draw(axes, figure, number, series)
    for axis, of in ((figure.x, "x"), (figure.y, "y")):
        _label(axes, axis, of, [value for series in figure.series for value in getattr(series, of)])
    _limit(axes, figure)
    _mark_outside(axes, figure)
    handles = _legend(figure, axes.get_legend_handles_labels()[0])
    canvas.legend(handles=handles, loc="outside lower center", ncols=min(3, len(handles)))
    return canvas


def _draw(axes: "Axes", figure: Figure, number: int, series: Series) -> None:
    """The points of a series, with intervals, and a line if it has one."""
    look, crowded = style(series.method), sum(map(len, figure.series)) > CROWDED
    filled, ringed = series.emphasis != "secondary", series.emphasis == "highlight"
    beside = (number + 0.5) / len(figure.series) - 0.5
    axes.errorbar(
        [value + (SPREAD * beside if figure.x.categories else 0.0) for value in series.x],
        series.y,
        xerr=_errors(series.x, series.x_low, series.x_high),
        yerr=_errors(series.y, series.y_low, series.y_high),
        label=series.name,
        color=look.light,
        marker=MARKERS[look.marker],
        markevery=max(1, len(series) // MOST_MARKERS) if series.line else 1,
        markersize=9 if ringed else 5 if crowded else 7,
        markerfacecolor=look.light if filled else PAPER,
        markeredgecolor=INK if ringed else look.light,
        markeredgewidth=1.6 if ringed else 1.2,
        linestyle=("-" if filled else "--") if series.line else "none",
        linewidth=1.6,
        elinewidth=0.6 if crowded and not ringed else 1.2,
        zorder=3 if ringed else 2,
        transform=_beside(axes, figure, beside),
    )
    axes.update_datalim(list(_corners(series)))
    axes.autoscale_view()


def _beside(axes: "Axes", figure: Figure, beside: float) -> "Transform":
    """Where a series is drawn: lines over the same places a little beside each other, so that intervals stay apart."""
    from matplotlib.transforms import ScaledTranslation

    same = len(figure.series) > 1 and len({series.x for series in figure.series}) == 1
    if not (same and all(series.line for series in figure.series)):
        return axes.transData
    return axes.transData + ScaledTranslation(APART * beside, 0.0, axes.figure.dpi_scale_trans)


def _corners(series: Series) -> Iterator[tuple[float, float]]:
    """The points of a series and the ends of their intervals."""
    yield from zip(series.x, series.y, strict=True)
    for end in (series.y_low, series.y_high):
        yield from ((x, y) for x, y in zip(series.x, end, strict=True) if y is not None)
    for end in (series.x_low, series.x_high):
        yield from ((x, y) for x, y in zip(end, series.y, strict=True) if x is not None)


def _errors(
    values: Sequence[float], lows: Sequence[Number], highs: Sequence[Number]
) -> tuple[list[float], list[float]] | None:
    """Lengths of the intervals below and above each value, 0 where there is none; `None` without any."""
    if all(low is None for low in lows):
        return None
    below = [0.0 if low is None else max(value - low, 0.0) for value, low in zip(values, lows, strict=True)]
    above = [0.0 if high is None else max(high - value, 0.0) for value, high in zip(values, highs, strict=True)]
    return below, above


def _label(axes: "Axes", axis: Axis, of: str, values: Sequence[float]) -> None:
    """The title, the scale and the ticks of an axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.set(**{f"{of}label": axis.title})
    drawn = axes.xaxis if of == "x" else axes.yaxis
    if axis.categories:
        slanted = sum(map(len, axis.categories)) > LONG_LABELS
        turned: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
        drawn.set_ticks(range(len(axis.categories)), labels=axis.categories, **turned)
        drawn.grid(False)
    elif axis.log:
        axes.set(**{f"{of}scale": "log"})
        dense = max(values) / min(values) < 10.0**DECADES
        drawn.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if dense else (1.0,)))
        drawn.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        drawn.set_minor_formatter(NullFormatter())
    elif all(value == round(value) for value in values):
        drawn.set_major_locator(MaxNLocator(integer=True))


def _limit(axes: "Axes", figure: Figure) -> None:
    """End each axis a little beyond the points; a wider interval is cut at the border, which shows that it goes on."""
    for axis, of, limits, set_limits in (
        (figure.x, "x", axes.get_xlim(), axes.set_xlim),
        (figure.y, "y", axes.get_ylim(), axes.set_ylim),
    ):
        if not axis.categories:
            values = [value for series in figure.series for value in getattr(series, of)]
            set_limits(*_shown(axis, limits, min(values), max(values)))


def _shown(axis: Axis, limits: tuple[float, float], low: float, high: float) -> tuple[float, float]:
    """The range that shows all values, and of their intervals as much as the values span, once on each side."""
    if axis.log:
        room = max(high / low, 3.0)
        return max(limits[0], low / room), min(limits[1], high * room)
    room = (high - low) or (limits[1] - limits[0])
    shown = max(limits[0], low - room), min(limits[1], high + room)
    if axis.view is None:
        return shown
    margin = 0.02 * (axis.view[1] - axis.view[0])
    return max(shown[0], axis.view[0] - margin), min(max(shown[1], high), axis.view[1] + margin)


def _mark_outside(axes: "Axes", figure: Figure) -> None:
    """Say how many points lie beyond what is shown of the vertical axis."""
    if figure.y.view is None:
        return
    low, high = figure.y.view
    below = sorted(value for series in figure.series for value in series.y if value < low)
    above = sorted(value for series in figure.series for value in series.y if value > high)
    for beyond, at, arrow in ((below, 0.01, "↓"), (above, 0.95, "↑")):
        if beyond:
            values = ", ".join(f"{value:.2g}" for value in beyond[:3]) + ", …" * (len(beyond) > 3)
            axes.text(0.01, at, f"{arrow} {values}", transform=axes.transAxes, fontsize=9, color=INK)


def _legend(figure: Figure, drawn: Sequence["Artist"]) -> list["Artist"]:
    """One entry per series, and one for all that are highlighted."""
    from matplotlib.lines import Line2D

    shown = [each for each, series in zip(drawn, figure.series, strict=True) if series.emphasis != "highlight"]
    marked = [series.name.rpartition(", ")[2] for series in figure.series if series.emphasis == "highlight"]
    ring: dict[str, Any] = {
        "marker": "o",
        "markersize": 9,
        "markerfacecolor": PAPER,
        "markeredgecolor": INK,
        "markeredgewidth": 1.6,
    }
    return [*shown, *(Line2D([], [], linestyle="none", label=name, **ring) for name in dict.fromkeys(marked))]
