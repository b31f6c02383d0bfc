"""Values of many circuits as one point with an interval: over training seeds where there are three, else over tasks."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from benchmark.leaderboard.ranking import Board, EntryKey, Summary, aggregated, over_seeds
from benchmark.metrics.registry import METRICS, Aggregate
from benchmark.report.figures.data import Emphasis
from benchmark.report.figures.style import order
from benchmark.statistics.intervals import FEWEST_SEEDS

Item = tuple[str, int | None]
"""A task or a concept, and a training seed."""

Values = Mapping[Item, float]


class Estimate(NamedTuple):
    """A value over circuits with its interval.

    Attributes:
        summary: The value and its limits.
        over: What the interval is over: `seeds`, `tasks`, or empty without one.
    """

    summary: Summary
    over: str

    @property
    def value(self) -> float:
        """The value."""
        assert self.summary.value is not None
        return self.summary.value

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """The interval."""
        return self.summary.low, self.summary.high


def estimate(values: Values, metric: str = "") -> Estimate | None:
    """The aggregate of a metric over items and seeds, with an interval; `None` without values.

    What is not a registered metric is aggregated by its mean.

    The interval is Student's t over seeds from three seeds on; below that over items, which says what another choice of
    tasks would change, not what another training would.
    """
    if not values:
        return None
    by_seed, by_item = _grouped(values, 1), _grouped(values, 0)
    over, groups = ("seeds", by_seed) if len(by_seed) >= FEWEST_SEEDS else ("tasks", by_item)
    known = METRICS.get(metric)
    how: Aggregate = "mean" if known is None else known.aggregate
    low, high = (-math.inf, math.inf) if known is None else (known.low, known.high)
    summary = over_seeds([aggregated(group, how) for group in groups.values()], how, low, high)
    return Estimate(summary, over if summary.low is not None else "")


def _grouped(values: Values, part: int) -> dict[object, list[float]]:
    found: dict[object, list[float]] = {}
    for item, value in values.items():
        found.setdefault(item[part], []).append(value)
    return found


def metric_values(board: Board, place: EntryKey, metric: str) -> dict[Item, float]:
    """A row's values of a metric, by task or concept and by seed, without those that are listed only."""
    return {at: row.value for at, row in board.reached(place, metric).items() if row.value is not None}


def shared_items(each: Iterable[Values]) -> set[Item]:
    """The items that all have; those that have none at all do not count."""
    sets = [set(values) for values in each if values]
    return set.intersection(*sets) if sets else set()


def only(values: Values, items: Collection[Item]) -> dict[Item, float]:
    """The values of some items."""
    return {item: value for item, value in values.items() if item in items}


def shown(board: Board) -> list[EntryKey]:
    """The rows of the unit graph that figures compare: those that are ranked; without any, all but controls."""
    circuits = ordered(board, lambda place: place.graph == "unit" and not is_listed_only(board, place))
    return [place for place in circuits if not board.why_unranked(place)] or circuits


def is_listed_only(board: Board, place: EntryKey) -> bool:
    """Whether a row never takes part: a control, or a variant that is not ranked."""
    return place.method in board.rules.controls or (place.method, place.variant) in board.rules.unranked


def emphasis(board: Board, place: EntryKey) -> Emphasis:
    """How a row is drawn: open and dashed unless it is ranked."""
    return "secondary" if board.why_unranked(place) else "normal"


def ordered(board: Board, chosen: Callable[[EntryKey], bool]) -> list[EntryKey]:
    """The chosen rows in the order of legends."""
    return sorted((place for place in board.places if chosen(place)), key=lambda place: (order(place.method), place))


def label(place: EntryKey) -> str:
    """The name of a row in a legend: a variant that is not ranked is named."""
    from benchmark.methods import METHODS

    known = METHODS.get(place.method)
    first = known is None or not known.variants or known.variants[0].name == place.variant
    return place.method if first or not place.variant else f"{place.method}, {place.variant.replace('_', ' ')}"


def intervals_over(overs: Iterable[str]) -> str:
    """What the intervals of a figure are over, in a sentence; empty for a figure without points."""
    known = list(overs)
    if not known:
        return ""
    named = sorted({over for over in known if over})
    if not named:
        return "There are no intervals: too few seeds and tasks."
    few = " (fewer than three training seeds: this is about these trained models, not about the methods)"
    return f"Intervals are 95 %, over {' or '.join(named)}{few * ('seeds' not in named)}."


def listed_sentence(board: Board) -> str:
    """Why no row is ranked, if figures show rows that are not; empty otherwise."""
    why = {label(place): board.why_unranked(place).removeprefix("not ranked: ") for place in shown(board)}
    told = "; ".join(f"{name}: {reason}" for name, reason in why.items() if reason)
    return f"No method is ranked here ({told})." if told else ""


def sentences(*parts: str) -> str:
    """A caption from its parts, without those that are empty."""
    return " ".join(filter(None, parts))
