"""Two methods side by side: paired differences, with p-values corrected over families of tests declared in advance."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, groupby
from operator import itemgetter

import numpy as np
import pandas as pd

from benchmark.concepts import concept_families
from benchmark.leaderboard.ranking import Board, EntryKey
from benchmark.methods import METHODS
from benchmark.metrics.registry import METRICS
from benchmark.statistics.intervals import (
    UNKNOWN,
    Interval,
    PairedDifference,
    detectable_difference,
    holm,
    least_p,
    paired_difference,
    permutation_test,
    prompt_ratio_interval,
    student_interval,
)

LEVEL = 0.05
"""Family-wise error rate: the probability of claiming any difference that does not exist."""

DRAWS = 20_000
"""Random sign flips of a permutation test; with up to 14 tasks all flips are enumerated."""

DECLARED = {"verified_edges": "task", "robust_faithfulness": "task", "label_replacement_score": "concept"}
"""The metrics that methods are compared by, the primary one first, and what each is measured on.

The p-values of each metric are corrected separately.
"""

SIZES = ("verified_edges", "edges")
"""The metrics that are compared as logarithms."""


def values(board: Board, place: EntryKey, metric: str) -> pd.DataFrame:
    """A method's values of a metric by task (or concept) and seed: `value`, and `low` and `high` over prompts."""
    rows = [
        (*at, row.value, *((row.low, row.high) if row.interval == "prompts" else (None, None)))
        for at, row in board.reached(place, metric).items()
    ]
    found = pd.DataFrame(rows, columns=["item", "seed", "value", "low", "high"]).set_index(["item", "seed"])
    return found.astype(float).sort_index()


@dataclass(frozen=True)
class Contrast:
    """One metric of two methods, over the tasks (or concepts) for which both have a value.

    Attributes:
        metric: The metric that was compared.
        declared: The metric that was declared: `verified_edges` where `edges` stand in for it.
        item: What the values are paired by, besides the seed: `task` or `concept`.
        difference: First minus second, of logs if the metric is a size; over tasks (each the mean over its seeds) or
            over families of concepts (each the mean over its concepts).
        pairs: Number of pairs of task and seed.
        seeds: The training seeds among them.
        over_seeds: Student's t interval of the difference over training seeds; `nan` below three.
        over_prompts: Interval of a ratio of sizes over prompts, for these tasks and trained models; otherwise `nan`.
        p: p-value of the permutation test over tasks or families of concepts; `nan` without pairs.
        corrected: p by Holm's correction over the family.
        tests: Number of tests in the family.
        first_only: The items for which only the first method has a value, with their seeds.
        second_only: The items for which only the second method has a value, with their seeds.
        recorded: Whether either method has a value at all.
    """

    metric: str
    declared: str
    item: str
    difference: PairedDifference
    pairs: int
    seeds: tuple[int, ...]
    over_seeds: Interval
    over_prompts: Interval
    p: float
    corrected: float
    tests: int
    first_only: Mapping[str, tuple[int, ...]]
    second_only: Mapping[str, tuple[int, ...]]
    recorded: bool

    @property
    def unit(self) -> str:
        """What the difference is taken over."""
        return "concept family" if self.item == "concept" else self.item

    @property
    def is_ratio(self) -> bool:
        """Whether the difference is one of logarithms."""
        return self.metric in SIZES

    @property
    def fewest(self) -> int:
        """The fewest tasks with which a difference, however large, could be concluded if no other test shows one.

        By Holm's correction each other test of the family that shows one with a smaller p leaves one test fewer to
        correct for.
        """
        return next(pairs for pairs in count(1) if self.tests * least_p(pairs) <= LEVEL)

    @property
    def detectable(self) -> float:
        """The difference that this many tasks would show with 80 % power if this were the only test.

        `nan` if there are so few tasks that no difference could reach the level.
        """
        return self._detectable(1)

    @property
    def detectable_corrected(self) -> float:
        """The same as one test of the family, if no other difference exists."""
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
    """Two methods, compared by every declared metric.

    Attributes:
        first: The first method.
        second: The second method.
        contrasts: One per metric, in the order of `DECLARED`.
        loss_gap: Validation loss of the first minus that of the second, mean over shared seeds, nats.
        declared: Whether the pair belongs to a declared family; if not, it was added to the shared ones.
    """

    first: EntryKey
    second: EntryKey
    contrasts: tuple[Contrast, ...]
    loss_gap: float
    declared: bool

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds behind any of the contrasts."""
        return tuple(sorted({seed for one in self.contrasts for seed in one.seeds}))


def families(board: Board) -> list[list[tuple[str, str]]]:
    """The pairs of methods whose tests are corrected together, as the methods declare them.

    Methods that share a family are each compared with the leading reference, whether or not they were run. Any other
    method is compared with every reference, in a family of its own that leaves the others unchanged; one that runs only
    by name has none until it was run.
    """
    run = [place.method for place in board.places]
    installed = {one.name: one.family for one in METHODS.values() if one.name in run or not one.by_name}
    declared = installed | {name: "" for name in run if name not in installed}
    references = board.rules.references
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name, family in declared.items():
        if name not in board.rules.controls and name not in references[:1]:
            others = references[:1] if family else references
            pairs = found.setdefault((family, "" if family else name), [])
            pairs += [(other, name) for other in others if other != name]
    return list(found.values())


def place_named(board: Board, name: str) -> EntryKey:
    """The row of the unit graph that `METHOD` or `METHOD/VARIANT` names; without a variant, the first ranked one.

    Raises:
        ValueError: If there is no such method or variant; the message lists the choices.
    """

    def order(place: EntryKey) -> tuple[bool, bool, int, EntryKey]:
        """Controls last, and the variants of a method as it declares them, ranked ones first."""
        known = METHODS.get(place.method)
        variants = [variant.name for variant in known.variants] if known is not None else []
        at = variants.index(place.variant) if place.variant in variants else len(variants)
        return place.method in board.rules.controls, bool(board.why_unranked(place)), at, place

    method, _, variant = name.partition("/")
    places = sorted((place for place in board.places if place.graph == "unit"), key=order)
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


def contrast_methods(board: Board, first: EntryKey, second: EntryKey, generator: np.random.Generator) -> Contrasts:
    """Compare two methods by every declared metric, with p corrected over the family of the pair, metric by metric.

    The unit of every test is the task: a task's difference is the mean over its training seeds, since seeds of one task
    are not independent pairs. Nor are a conjunction of concepts and its parts: concepts are averaged by family. Tests
    run in the order of the family, whichever pair is asked for, so that each has one p-value; a test without rows still
    counts. A pair outside all families (a control, another variant) is added to the shared ones. The second method is
    subtracted from the first, or is the denominator; the generator draws the random sign flips.
    """
    shared = [(lead, one.name) for lead in board.rules.references[:1] for one in METHODS.values() if one.family]
    names = {first.method, second.method}
    family = next((pairs for pairs in families(board) if any(set(pair) == names for pair in pairs)), shared)
    pairs = _ranked_pairs(board, family)
    declared = next((pair for pair in pairs if set(pair) == {first, second}), None)
    asked = declared or (min(first, second), max(first, second))
    tested = pairs if declared else [*pairs, asked]
    contrasts = [_present(found[tested.index(asked)]) for found in _tests(board, tested, generator)]
    shown = contrasts if asked == (first, second) else [_swapped(one) for one in contrasts]
    return Contrasts(first, second, tuple(shown), board.loss_gap(first, second), declared is not None)


def declared_contrasts(board: Board, generator: Callable[[], np.random.Generator]) -> list[Contrasts]:
    """Every declared comparison of two methods that were both run and are ranked, in the order of the families.

    Each is what `contrast_methods` gives with a new generator, but the tests of a family run once for all of its pairs.
    """
    found = []
    for family in families(board):
        pairs = _ranked_pairs(board, family)
        run = [(at, one, other) for at, (one, other) in enumerate(pairs) if one is not None and other is not None]
        by_metric = list(_tests(board, pairs, generator())) if run else []
        for at, one, other in run:
            contrasts = tuple(_present(tests[at]) for tests in by_metric)
            found.append(Contrasts(one, other, contrasts, board.loss_gap(one, other), declared=True))
    return found


Pair = tuple[EntryKey | None, EntryKey | None]
"""The rows of two methods; `None` for one that was not run or is not ranked."""


def _ranked_pairs(board: Board, family: Sequence[tuple[str, str]]) -> list[Pair]:
    ranked = {place.method: place_named(board, place.method) for place in board.places if not board.why_unranked(place)}
    return [(ranked.get(one), ranked.get(other)) for one, other in family]


def _tests(board: Board, pairs: Sequence[Pair], generator: np.random.Generator) -> Iterator[list[Contrast | None]]:
    """The tests of one family after correction, metric by metric; `None` for a pair of which one was not run."""
    for metric in DECLARED:
        found = [_contrast(board, one, other, metric, generator) if one and other else None for one, other in pairs]
        corrected = holm([each.p if each else math.nan for each in found])
        yield [each and replace(each, corrected=p, tests=len(pairs)) for each, p in zip(found, corrected, strict=True)]


def _present(one: Contrast | None) -> Contrast:
    assert one is not None
    return one


def _contrast(
    board: Board, first: EntryKey, second: EntryKey, declared: str, generator: np.random.Generator
) -> Contrast:
    """One metric of two methods; the p-value is not corrected yet."""
    metric = board.size_metric if declared in SIZES else declared
    above, below = (values(board, place, metric) for place in (first, second))
    scaled = [np.log(each["value"].clip(lower=1)) if metric in SIZES else each["value"] for each in (above, below)]
    differences = (scaled[0] - scaled[1]).dropna()
    units = differences.groupby("item").mean()
    if DECLARED[declared] == "concept":
        families = concept_families()
        units = units.groupby(lambda concept: families.get(concept, concept)).mean()
    most = METRICS[metric].high - METRICS[metric].low
    difference = paired_difference(units.tolist(), most)
    over_prompts = UNKNOWN
    if metric in SIZES:
        limits = pd.concat([each[["low", "high"]] for each in (above, below)], axis=1, join="inner").to_numpy()
        over_prompts = prompt_ratio_interval(math.exp(difference.mean), limits.reshape(-1, 2, 2))
    by_seed = differences.unstack("seed").dropna().mean()  # over the tasks that have every seed: the same for all
    return Contrast(
        metric=metric,
        declared=declared,
        item=DECLARED[declared],
        difference=difference,
        pairs=len(differences),
        seeds=tuple(differences.index.unique("seed").sort_values()),
        over_seeds=student_interval(by_seed.tolist()).within(-most, most),
        over_prompts=over_prompts,
        p=permutation_test(units.tolist(), generator, DRAWS),
        corrected=math.nan,
        tests=1,
        first_only=_seeds_by_item(above.index.difference(below.index)),
        second_only=_seeds_by_item(below.index.difference(above.index)),
        recorded=bool(len(above) or len(below)),
    )


def _seeds_by_item(keys: pd.Index) -> dict[str, tuple[int, ...]]:
    """The seeds of each item; an index's difference is sorted, as `groupby` needs it."""
    return {item: tuple(seed for _, seed in pairs) for item, pairs in groupby(keys, itemgetter(0))}


def _swapped(one: Contrast) -> Contrast:
    """The same contrast with first and second method swapped."""
    mean, low, high, deviation, pairs = one.difference
    return replace(
        one,
        difference=PairedDifference(-mean, -high, -low, deviation, pairs),
        over_seeds=Interval(-one.over_seeds.high, -one.over_seeds.low),
        over_prompts=Interval(1 / one.over_prompts.high, 1 / one.over_prompts.low),
        first_only=one.second_only,
        second_only=one.first_only,
    )
