"""Two methods side by side: paired differences, with p-values corrected over every comparison that could be made."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, count
from typing import NamedTuple

import numpy as np

from benchmark.leaderboard.ranking import Board, Place, Rules
from benchmark.records.table import Record
from benchmark.statistics.intervals import (
    UNKNOWN,
    Interval,
    PairedDifference,
    Ratio,
    detectable_difference,
    holm,
    least_p,
    paired_difference,
    permutation_test,
    prompt_ratio_interval,
    size_ratio,
    student_interval,
)

LEVEL = 0.05
"""The share of families in which a difference may be claimed that does not exist."""

DRAWS = 20_000
"""Random flips of a permutation test; up to 14 tasks are flipped in every way."""

Key = tuple[str, int | None]
"""A task, or a concept, and a training seed."""


class Declared(NamedTuple):
    """A metric of the family, and what it is measured on."""

    metric: str
    item: str


FAMILY = (
    Declared("verified_edges", "task"),
    Declared("faithfulness", "task"),
    Declared("label_replacement_score", "concept"),
)
"""The metrics by which every pair of ranked methods is compared, declared before any result is seen."""

SIZES = ("verified_edges", "edges")
"""Those of which logarithms are compared."""


# Sizes alone


@dataclass(frozen=True)
class Comparison:
    """Two methods' circuit sizes on the tasks that both reach.

    Attributes:
        ratio: First over second, with its interval over tasks and their number.
        over_prompts: Interval of the ratio over prompts, for these tasks and models; `nan` if sizes have none.
        loss_gap: Validation loss of the first less that of the second, mean over shared seeds, nats.
    """

    ratio: Ratio
    over_prompts: Interval
    loss_gap: float


def compare(
    records: Iterable[Record],
    first: Place,
    second: Place,
    rules: Rules,
    generator: np.random.Generator,
    metric: str = "edges",
) -> Comparison:
    """Geometric-mean ratio of two methods' sizes in one preset, over only the tasks that both reach.

    Args:
        records: Rows of one preset.
        first: The method above the line.
        second: The method below it.
        rules: Of the preset.
        generator: Source of the draws of tasks.
        metric: The size to compare.
    """
    board = Board("", list(records), rules)
    above, below = board.reached(first, metric), board.reached(second, metric)
    shared = sorted(above.keys() & below.keys(), key=str)
    ratio = size_ratio(_by_item(above, shared), _by_item(below, shared), generator)
    return Comparison(ratio, _over_prompts(above, below, ratio.value), board.loss_gap(first, second))


# The declared family


@dataclass(frozen=True)
class Contrast:
    """One metric of two methods, over the tasks (or concepts) for which both have a value.

    Attributes:
        metric: What was compared.
        declared: What the family names: `verified_edges` where `edges` stand in for it.
        item: What it is paired by, besides the seed: `task` or `concept`.
        difference: First less second, of logs where the metric is a size; over tasks, each the mean over its seeds.
        pairs: Number of pairs of task and seed.
        seeds: The training seeds among them.
        over_seeds: Student's t interval of the difference over training seeds; `nan` below three.
        over_prompts: Interval of a ratio of sizes over prompts, for these tasks and trained models; else `nan`.
        p: Of the permutation test over tasks; `nan` without pairs.
        corrected: p by Holm's correction over the family.
        tests: Number of tests in the family.
        first_only: What only the first method has a value for, with the seeds.
        second_only: What only the second one has a value for.
        recorded: Whether either method has a value at all.
    """

    metric: str
    declared: str
    item: str
    difference: PairedDifference
    pairs: int
    seeds: tuple[int | None, ...]
    over_seeds: Interval
    over_prompts: Interval
    p: float
    corrected: float
    tests: int
    first_only: Mapping[str, tuple[int | None, ...]]
    second_only: Mapping[str, tuple[int | None, ...]]
    recorded: bool

    @property
    def is_ratio(self) -> bool:
        """Whether the difference is one of logarithms."""
        return self.metric in SIZES

    @property
    def fewest(self) -> int:
        """The fewest tasks with which a difference could be concluded at all, however large it is."""
        return next(pairs for pairs in count(1) if self.tests * least_p(pairs) <= LEVEL)

    @property
    def detectable(self) -> float:
        """The difference that so many tasks would show with a chance of 80 %, if this were the only test.

        `nan` where no difference could reach the level, as there are fewer than `fewest` tasks.
        """
        return self._detectable(1)

    @property
    def detectable_corrected(self) -> float:
        """The same as one test of the family, when no other difference exists."""
        return self._detectable(self.tests)

    def _detectable(self, tests: int) -> float:
        if tests * least_p(self.difference.pairs) > LEVEL:
            return math.nan
        return detectable_difference(self.difference.deviation, self.difference.pairs, LEVEL / tests)

    @property
    def significant(self) -> bool:
        """Whether the corrected p is at most the level."""
        return self.corrected <= LEVEL

    @property
    def concluded(self) -> bool:
        """Whether a difference can be concluded: over tasks after correction and, from three seeds on, over seeds."""
        low, high = self.over_seeds
        return self.significant and not low <= 0 <= high


@dataclass(frozen=True)
class Contrasts:
    """Two methods, by every metric of the family.

    Attributes:
        first: The first method.
        second: The second one.
        contrasts: In the order of the family.
        loss_gap: Validation loss of the first less that of the second, mean over shared seeds, nats.
        declared: Whether the pair is one of the family; if not, the family was enlarged by it.
    """

    first: Place
    second: Place
    contrasts: tuple[Contrast, ...]
    loss_gap: float
    declared: bool

    @property
    def seeds(self) -> tuple[int | None, ...]:
        """The training seeds behind any of the contrasts."""
        return tuple(sorted({seed for one in self.contrasts for seed in one.seeds}, key=str))


def family(board: Board) -> list[tuple[Place, Place]]:
    """All pairs of ranked methods, each by its first ranked variant in the unit graph."""
    ranked = sorted({place.method for place in board.places if not board.why_unranked(place)})
    return list(combinations([place_named(board, method) for method in ranked], 2))


def place_named(board: Board, name: str) -> Place:
    """What `METHOD` or `METHOD/VARIANT` names in the unit graph; without a variant the first that is ranked.

    Raises:
        ValueError: With the choices.
    """
    method, _, variant = name.partition("/")
    places = sorted((place for place in board.places if place.graph == "unit"), key=lambda one: _order(board, one))
    if not places:
        raise ValueError(
            f"preset {board.preset!r} has no circuits in the unit graph at loss {board.rules.target_loss:g}"
        )
    methods = list(dict.fromkeys(place.method for place in places))
    if method not in methods:
        raise ValueError(f"unknown method {method!r} in preset {board.preset!r}; choose from {', '.join(methods)}")
    own = [place for place in places if place.method == method]
    found = [place for place in own if variant in (place.variant, "")] if "/" not in name or variant else []
    if not found:
        choices = ", ".join(place.variant for place in own)
        raise ValueError(f"unknown variant {variant!r} of method {method!r}; choose from {choices}")
    return found[0]


def contrast_methods(board: Board, first: Place, second: Place, generator: np.random.Generator) -> Contrasts:
    """Compare two methods by every metric of the family, with p corrected over the whole family.

    The unit of every test is the task (or the concept): a task's difference is the mean over its training seeds, as
    seeds of one task are no independent pairs. Tests run in the order of the family, whichever pair is asked for, so
    that each has one p-value. A pair outside the family (a control, another variant) enlarges it by its own tests.

    Args:
        board: The rows of one preset.
        first: The method above the line, or from which the other is taken.
        second: The other.
        generator: Source of the random flips.

    Returns:
        The contrasts of the pair.
    """
    declared = family(board)
    asked = (first, second) if first < second else (second, first)
    pairs = declared if asked in declared else [*declared, asked]
    found = {pair: [_contrast(board, *pair, one, generator) for one in FAMILY] for pair in pairs}
    every = [contrast for contrasts in found.values() for contrast in contrasts]
    corrected = dict(zip(map(id, every), holm([contrast.p for contrast in every]), strict=True))
    shown = [replace(one, corrected=corrected[id(one)], tests=len(every)) for one in found[asked]]
    return Contrasts(
        first=first,
        second=second,
        contrasts=tuple(one if asked == (first, second) else _turned(one) for one in shown),
        loss_gap=board.loss_gap(first, second),
        declared=asked in declared,
    )


def _contrast(
    board: Board, first: Place, second: Place, declared: Declared, generator: np.random.Generator
) -> Contrast:
    """One contrast, not yet corrected."""
    metric = board.size_metric if declared.metric in SIZES else declared.metric
    above, below = board.reached(first, metric), board.reached(second, metric)
    differences = {
        at: _compared(above[at], metric) - _compared(below[at], metric)
        for at in sorted(above.keys() & below.keys(), key=str)
    }
    by_item = _means(differences)
    difference = paired_difference(by_item)
    return Contrast(
        metric=metric,
        declared=declared.metric,
        item=declared.item,
        difference=difference,
        pairs=len(differences),
        seeds=tuple(sorted({seed for _, seed in differences}, key=str)),
        over_seeds=student_interval(_by_seed(differences)),
        over_prompts=_over_prompts(above, below, math.exp(difference.mean)) if metric in SIZES else UNKNOWN,
        p=permutation_test(by_item, generator, DRAWS),
        corrected=math.nan,
        tests=1,
        first_only=_seeds_by_item(above.keys() - below.keys()),
        second_only=_seeds_by_item(below.keys() - above.keys()),
        recorded=bool(above or below),
    )


def _turned(one: Contrast) -> Contrast:
    """The same contrast with the methods exchanged."""
    mean, low, high, deviation, pairs = one.difference
    return replace(
        one,
        difference=PairedDifference(-mean, -high, -low, deviation, pairs),
        over_seeds=Interval(-one.over_seeds.high, -one.over_seeds.low),
        over_prompts=Interval(1 / one.over_prompts.high, 1 / one.over_prompts.low),
        first_only=one.second_only,
        second_only=one.first_only,
    )


def _compared(row: Record, metric: str) -> float:
    """What is subtracted: the value, or the log of a size."""
    assert row.value is not None, row
    return math.log(max(row.value, 1)) if metric in SIZES else row.value


def _means(differences: Mapping[Key, float]) -> list[float]:
    """Mean over seeds of each task."""
    by_item: dict[str, list[float]] = {}
    for (item, _), difference in differences.items():
        by_item.setdefault(item, []).append(difference)
    return [sum(values) / len(values) for values in by_item.values()]


def _by_seed(differences: Mapping[Key, float]) -> list[float]:
    """Mean of each seed over the tasks that have a difference with every seed: the same tasks for all."""
    seeds = sorted({seed for _, seed in differences}, key=str)
    items = [item for item, own in _seeds_by_item(differences).items() if len(own) == len(seeds)]
    return [sum(differences[item, seed] for item in items) / len(items) for seed in seeds] if items else []


def _seeds_by_item(keys: Iterable[Key]) -> dict[str, tuple[int | None, ...]]:
    found: dict[str, list[int | None]] = {}
    for item, seed in sorted(keys, key=str):
        found.setdefault(item, []).append(seed)
    return {item: tuple(seeds) for item, seeds in found.items()}


def _over_prompts(above: Mapping[Key, Record], below: Mapping[Key, Record], ratio: float) -> Interval:
    """Interval over prompts of a ratio of sizes."""
    shared = above.keys() & below.keys()
    return prompt_ratio_interval(ratio, [(_interval(above[at]), _interval(below[at])) for at in shared])


def _order(board: Board, place: Place) -> tuple[bool, bool, int, Place]:
    """Ranked methods before controls, and the variants of a method as it declares them, ranked ones first."""
    from benchmark.methods import methods

    known = methods().get(place.method)
    variants = [variant.name for variant in known.variants] if known is not None else []
    at = variants.index(place.variant) if place.variant in variants else len(variants)
    return board.rules.is_control(place.method), bool(board.why_unranked(place)), at, place


def _interval(row: Record) -> Interval:
    """The interval over prompts that a row carries."""
    known = row.interval == "prompts" and row.low is not None and row.high is not None
    return Interval(row.low, row.high) if known else UNKNOWN  # type: ignore[arg-type]


def _by_item(rows: Mapping[Key, Record], wanted: Sequence[Key]) -> dict[str, list[float]]:
    """Values of the wanted tasks and seeds, a list over seeds for each task."""
    found: dict[str, list[float]] = {}
    for at in wanted:
        value = rows[at].value
        assert value is not None, rows[at]
        found.setdefault(at[0], []).append(value)
    return found
