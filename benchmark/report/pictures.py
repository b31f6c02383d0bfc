"""Standard figures as pictures for papers and READMEs, drawn by matplotlib: the same tables give the same bytes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.disk import written_atomically
from benchmark.report.figures.data import Axis, Figure, Number, Series
from benchmark.report.figures.style import style

if TYPE_CHECKING:
    import matplotlib.figure
    from matplotlib.axes import Axes

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

LONG_LABELS = 60
"""Number of characters of all categories above which their labels are slanted."""

SETTINGS: Mapping[str, Any] = {
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
    kind = path.suffix.lower()
    if kind not in METADATA:
        raise ValueError(f"{str(path)!r} must end in {', '.join(METADATA)}: the suffix decides the format")
    if not figure.series:
        raise ValueError(f"{figure.name}: {' '.join(figure.missing) or 'there is nothing to draw'}")
    with _settings():
        drawn = _drawn(figure)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_atomically(path) as partial:
            drawn.savefig(partial, format=kind[1:], metadata=METADATA[kind], dpi=RESOLUTION)


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
        _draw(axes, series, _shift(figure, number), sum(map(len, figure.series)) > CROWDED)
    for axis, of in ((figure.x, "x"), (figure.y, "y")):
        _label(axes, axis, of)
    _limit(axes, figure)
    canvas.legend(loc="outside lower center", ncols=min(3, len(figure.series)))
    return canvas


def _shift(figure: Figure, number: int) -> float:
    """By how much the points of a series are moved beside those of the others in their category."""
    methods = len(figure.series)
    return SPREAD * ((number + 0.5) / methods - 0.5) if figure.x.categories else 0.0


def _draw(axes: "Axes", series: Series, shift: float, crowded: bool) -> None:
    look = style(series.method)
    filled = series.emphasis != "secondary"
    x = [value + shift for value in series.x]
    ringed = series.emphasis == "highlight"
    steps = series.line and len(series) > CROWDED // 6
    axes.errorbar(
        x,
        series.y,
        xerr=_errors(series.x, series.x_low, series.x_high),
        yerr=_errors(series.y, series.y_low, series.y_high),
        label=series.name,
        color=look.light,
        marker="" if steps else MARKERS[look.marker],
        markersize=9 if ringed else 5 if crowded else 7,
        markerfacecolor=look.light if filled else PAPER,
        markeredgecolor=INK if ringed else look.light,
        markeredgewidth=1.6 if ringed else 1.2,
        linestyle=("-" if filled else "--") if series.line else "none",
        linewidth=1.6,
        elinewidth=0.6 if crowded and not ringed else 1.2,
        zorder=3 if ringed else 2,
    )


def _errors(
    values: Sequence[float], lows: Sequence[Number], highs: Sequence[Number]
) -> tuple[list[float], list[float]] | None:
    """Lengths of the intervals below and above each value, 0 where there is none; `None` without any."""
    if all(low is None for low in lows):
        return None
    below = [0.0 if low is None else max(value - low, 0.0) for value, low in zip(values, lows, strict=True)]
    above = [0.0 if high is None else max(high - value, 0.0) for value, high in zip(values, highs, strict=True)]
    return below, above


def _label(axes: "Axes", axis: Axis, of: str) -> None:
    """The title, the scale and the ticks of an axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set(**{f"{of}label": axis.title})
    drawn = axes.xaxis if of == "x" else axes.yaxis
    if axis.categories:
        slanted = sum(map(len, axis.categories)) > LONG_LABELS
        turned: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
        drawn.set_ticks(range(len(axis.categories)), labels=axis.categories, **turned)
        drawn.grid(False)
    if axis.log:
        axes.set(**{f"{of}scale": "log"})
        drawn.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        drawn.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        drawn.set_minor_formatter(NullFormatter())


def _limit(axes: "Axes", figure: Figure) -> None:
    """End each axis a little beyond the points; a wider interval is cut at the border, which shows that it goes on."""
    for axis, values, limits, set_limits in (
        (figure.x, [each for series in figure.series for each in series.x], axes.get_xlim(), axes.set_xlim),
        (figure.y, [each for series in figure.series for each in series.y], axes.get_ylim(), axes.set_ylim),
    ):
        if not axis.categories:
            _set_around(set_limits, limits, min(values), max(values), axis.log)


def _set_around(
    set_limits: Callable[[float, float], object], limits: tuple[float, float], low: float, high: float, log: bool
) -> None:
    """Limits that show all values, and of the intervals as much as the values span, once on each side."""
    if log:
        room = max(high / low, 3.0)
        set_limits(max(limits[0], low / room), min(limits[1], high * room))
    else:
        room = (high - low) or (limits[1] - limits[0])
        set_limits(max(limits[0], low - room), min(limits[1], high + room))
