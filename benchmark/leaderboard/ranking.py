"""The leaderboard: a pure view of the records, one row a preset, method, variant and graph, ranked without favours."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from benchmark.concepts import TOKEN_DECIDES
from benchmark.metrics.registry import METRICS, Aggregate
from benchmark.records.table import Key, Record, csv_text, printed
from benchmark.statistics.intervals import Interval, geometric_mean, median_interval, student_interval

if TYPE_CHECKING:
    from benchmark.discovery.settings import CircuitConfig
    from benchmark.methods import Role

LEADERBOARD = "leaderboard.csv"

LARGEST_SIZE = 1_000_000
"""Edges at which the axis of the performance profile ends."""

_COUNTS = ("rank", "seeds", "tasks", "tasks_solved", "tasks_reached", "control_tasks_reached", "reference_tasks")

FIRST = ("validation_loss", "nonzero_parameters")
"""The metrics that come before the others."""

LIMITS = {
    "fvu": (1.0, "worse than predicting the mean"),
    "dead_fraction": (0.5, "most of its features never fire"),
}
"""Values above which a dictionary is not ranked, and what they say."""

SAME_AREA = 1e-9
"""Areas that differ by less share a rank."""


@dataclass(frozen=True)
class Rules:
    """How the rows of one preset are ranked.

    Attributes:
        target_loss: The task loss that circuits were cut to, nats; rows with another one are left out.
        ranking: How nodes were ordered; rows with another ordering are left out.
        ablation: What ablated nodes held; rows with another ablation are left out.
        largest_size: Edges at which the axis of the performance profile ends.
        references: A task counts if these methods solve it at half the target; they also fix the validation loss.
        tolerance: Greatest difference of validation losses, mean over seeds, that still counts as matched, nats.
        controls: Methods that are nulls.
        unranked: Variants, as (method, variant), that are listed only.
        control_tasks: Tasks that are listed only.
        explains: The method that a method's circuits are held to, where that is not itself.
    """

    target_loss: float = 0.15
    ranking: str = "mask"
    ablation: str = "mean"
    largest_size: int = LARGEST_SIZE
    references: tuple[str, ...] = field(default_factory=lambda: _installed("reference"))
    tolerance: float = 0.02
    controls: frozenset[str] = field(default_factory=lambda: frozenset(_installed("control")))
    unranked: frozenset[tuple[str, str]] = frozenset()
    control_tasks: frozenset[str] = frozenset({"nonsense"})
    explains: Mapping[str, str] = field(default_factory=dict)

    def is_control(self, method: str) -> bool:
        """Whether a method is a null."""
        return method in self.controls


def _installed(role: "Role") -> tuple[str, ...]:
    from benchmark.methods import with_role

    return with_role(role)


def rules_of(circuit: "CircuitConfig") -> Rules:
    """The rules of a run's settings, with what the installed methods and tasks say about themselves."""
    from benchmark.methods import METHODS
    from benchmark.tasks import TASKS

    known = METHODS.values()
    return Rules(
        target_loss=circuit.target_loss,
        ranking=circuit.found_by,
        ablation=circuit.ablation,
        unranked=frozenset((method.name, way.name) for method in known for way in method.variants if not way.ranked),
        control_tasks=frozenset(task.name for task in TASKS.values() if task.control),
        explains={method.name: method.explains for method in known if method.explains is not None},
    )


class Summary(NamedTuple):
    """A value over seeds with its interval; `None` where there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


class EntryKey(NamedTuple):
    """What a row is of."""

    method: str
    variant: str
    graph: str


@dataclass(frozen=True)
class LeaderboardRow:
    """One row of the leaderboard.

    Attributes:
        preset: The preset.
        place: Method, variant and graph.
        rank: 1 for the greatest profile area, ties shared; `None` for what is listed only.
        seeds: Number of training seeds.
        tasks: Number of tasks that were tried, controls apart.
        tasks_solved: Tasks of which the whole model is at or under the target, mean over seeds.
        tasks_reached: Tasks of which a circuit is, mean over seeds.
        control_tasks_reached: Tasks without a cause of which a circuit is all the same, mean over seeds.
        reference_tasks: Tasks that the profile is taken over, mean over seeds.
        profile_area: Area under the performance profile, 0 to 1, higher is better.
        scores: Each registered metric, over tasks and then over seeds.
        status: `ok`, or what to be wary of.
        reason: Why, and why it is not ranked.
    """

    preset: str
    place: EntryKey
    rank: int | None
    seeds: int
    tasks: int
    tasks_solved: float
    tasks_reached: float
    control_tasks_reached: float
    reference_tasks: float
    profile_area: Summary
    scores: Mapping[str, Summary]
    status: str
    reason: str

    @property
    def row(self) -> dict[str, str]:
        """The row of the file, as texts."""
        counts = {name: getattr(self, name) for name in _COUNTS}
        values = {"preset": self.preset, **self.place._asdict(), **counts, **_spread("profile_area", self.profile_area)}
        for name in _metric_order():
            values |= _spread(name, self.scores.get(name, Summary()))
        return {
            name: printed(value) for name, value in {**values, "status": self.status, "reason": self.reason}.items()
        }


def leaderboard(records: Iterable[Record], rules: Mapping[str, Rules]) -> list[LeaderboardRow]:
    """The leaderboard of all presets.

    Rank is by the area under the performance profile (Dolan and More 2002): the share of reference tasks that are
    reached with at most x edges, over the logarithm of x from 1 to a constant. Reference tasks are those that all
    reference methods solve at half the target, seed by seed. A task that is not reached, for whatever reason, counts as
    larger than anything, so nobody gains by failing; dead nodes have no edges, so they change nothing. Without
    reference tasks nothing is ranked, and the rows say `undefined`.

    Args:
        records: Rows of `records.csv`.
        rules: By preset; `Rules()` for a preset without any.

    Returns:
        Rows, each preset's unit graph first, in the order of rank.
    """
    by_preset: dict[str, list[Record]] = {}
    for record in records:
        by_preset.setdefault(record.preset, []).append(record)
    return [
        standing
        for preset, rows in sorted(by_preset.items())
        for standing in Board(preset, rows, rules.get(preset, Rules())).standings()
    ]


def table(standings: Iterable[LeaderboardRow]) -> str:
    """A leaderboard as `leaderboard.csv`; the same records give the same text."""
    return csv_text(header(), [list(standing.row.values()) for standing in standings])


def header() -> list[str]:
    """The columns of `leaderboard.csv`."""
    nobody = LeaderboardRow("", EntryKey("", "", ""), None, 0, 0, 0.0, 0.0, 0.0, 0.0, Summary(), {}, "ok", "")
    return list(nobody.row)


def profile_area(sizes: Iterable[float | int | None], largest: float | int) -> float:
    """Area under the performance profile of some tasks.

    Args:
        sizes: Edges of each task's circuit, `None` where the target is not reached (right-censored).
        largest: Edges at which the axis ends, above 1.

    Returns:
        Mean over tasks of 1 - log max(size, 1) / log largest, 0 for what is censored or beyond the axis; from 0 to 1,
        higher is better; `nan` without tasks.
    """
    credits = [0.0 if size is None else max(0.0, 1 - math.log(max(size, 1)) / math.log(largest)) for size in sizes]
    return sum(credits) / len(credits) if credits else math.nan


def size_metric(circuits: Iterable[Mapping[str, str]]) -> str:
    """What sizes are, by the one rule for every table: `verified_edges` once all circuits have them, else `edges`.

    A circuit whose verified edges came out as no number counts with all its edges: with them it reaches the target.

    Args:
        circuits: The status of each metric that was measured of a circuit, for all circuits that are compared.
    """
    reached = [statuses for statuses in circuits if statuses.get("edges") == "ok"]
    return "verified_edges" if reached and all("verified_edges" in statuses for statuses in reached) else "edges"


# One preset


@dataclass(frozen=True, eq=False)
class Board:
    """The rows of one preset that its rules count, and what can be looked up in them.

    Raises:
        ValueError: If rows of a metric were measured by different versions of its definition.
    """

    preset: str
    records: Sequence[Record]
    rules: Rules

    def __post_init__(self) -> None:
        versions: dict[str, set[int]] = {}
        for row in self.counted:
            versions.setdefault(row.metric, set()).add(row.metric_version)
        for metric, found in versions.items():
            if len(found) > 1:
                several = " and ".join(map(str, sorted(found)))
                raise ValueError(
                    f"rows of {metric} in preset {self.preset!r} are of versions {several} of its definition, which "
                    "cannot be added up: run what is older again, or write to another folder"
                )

    @cached_property
    def counted(self) -> list[Record]:
        """The rows of the target, ranking and ablation that are ranked."""
        return [
            row
            for row in self.records
            if row.ranking in ("", self.rules.ranking)
            and row.ablation in ("", self.rules.ablation)
            and (row.target_loss is None or math.isclose(row.target_loss, self.rules.target_loss))
        ]

    @cached_property
    def by_place(self) -> dict[EntryKey, list[Record]]:
        """The counted rows by the method, variant and graph that stand in them."""
        found: dict[EntryKey, list[Record]] = {}
        for row in self.counted:
            found.setdefault(EntryKey(row.method, row.variant, row.graph), []).append(row)
        return found

    @cached_property
    def places(self) -> list[EntryKey]:
        """All that has a row: rows without a variant or a graph belong to every place that fits, if there is one."""
        named = self.by_place.keys()
        return sorted(place for place in named if not any(_belongs(place, other) for other in named - {place}))

    @cached_property
    def losses(self) -> dict[tuple[str, str, int | None], float]:
        """Whole-model task loss by method, task and seed; the greatest where places of a method differ."""
        found: dict[tuple[str, str, int | None], float] = {}
        for row in _of("whole_loss", self.counted):
            at = (row.method, row.task, row.seed)
            found[at] = max(_value(row), found.get(at, -math.inf))
        return found

    @cached_property
    def references(self) -> dict[int | None, list[str]]:
        """Reference tasks by seed, for the seeds that have any."""
        found: dict[int | None, list[str]] = {}
        for method, task, seed in sorted(self.losses, key=str):
            solved = all(
                self.losses.get((name, task, seed), math.inf) <= self.rules.target_loss / 2
                for name in self.rules.references
            )
            if self.rules.references[:1] == (method,) and solved and task not in self.rules.control_tasks:
                found.setdefault(seed, []).append(task)
        return found

    @cached_property
    def token_decided(self) -> set[str]:
        """Concepts that the current token alone decides: shown, not aggregated."""
        rows = _of("token_average_precision", self.counted)
        return {row.concept for row in rows if _value(row) > TOKEN_DECIDES}

    @cached_property
    def listed(self) -> set[str]:
        """Tasks and concepts that are shown, not aggregated."""
        return {*self.rules.control_tasks, *self.token_decided}

    @cached_property
    def size_metric(self) -> str:
        """What sizes are in the unit graph."""
        circuits: dict[Key, dict[str, str]] = {}
        for row in self.counted:
            if row.graph == "unit" and row.task:
                circuits.setdefault(row.cell, {})[row.metric] = row.status
        return size_metric(circuits.values())

    def standings(self) -> list[LeaderboardRow]:
        """All rows, ranked, the unit graph first."""
        areas = {place: self.area(place) for place in self.places}
        ranked = {
            place: area.value
            for place, area in areas.items()
            if area.value is not None and not self.why_unranked(place)
        }
        ranks = {
            place: 1 + sum(other > area + SAME_AREA for other in ranked.values()) for place, area in ranked.items()
        }
        order = sorted(self.places, key=lambda place: (place.graph != "unit", ranks.get(place, math.inf), place))
        return [self.standing(place, ranks.get(place), areas[place]) for place in order]

    def standing(self, place: EntryKey, rank: int | None, area: Summary) -> LeaderboardRow:
        """One row."""
        rows = self.rows_of(place)
        real = [row for row in rows if not {row.task, row.concept} & self.listed]
        seeds = {row.seed for row in rows}
        reached = _tasks(row for row in real if row.metric in ("nodes", "edges") and row.status == "ok")
        solved = _tasks(row for row in _of("whole_loss", real) if _value(row) <= self.rules.target_loss)
        controls = _tasks(row for row in _of("nodes", rows) if row.task in self.rules.control_tasks)
        status, reason = self.status(place)
        return LeaderboardRow(
            preset=self.preset,
            place=place,
            rank=rank,
            seeds=len(seeds),
            tasks=len({row.task for row in real if row.task}),
            tasks_solved=len(solved) / len(seeds),
            tasks_reached=len(reached) / len(seeds),
            control_tasks_reached=len(controls) / len(seeds),
            reference_tasks=sum(len(self.references.get(seed, ())) for seed in seeds) / len(seeds),
            profile_area=area,
            scores={name: _summary(name, real) for name in METRICS},
            status=status,
            reason="; ".join(part for part in (reason, self.why_unranked(place)) if part),
        )

    def rows_of(self, place: EntryKey) -> list[Record]:
        """The rows of a place, with those of its method that hold for every variant or graph."""
        return [row for origin, rows in self.by_place.items() if _belongs(origin, place) for row in rows]

    def reached(self, place: EntryKey, metric: str) -> dict[tuple[str, int | None], Record]:
        """Rows that have a value of a metric, by task (or concept) and seed, without what is listed only."""
        rows = _of(metric, self.rows_of(place))
        return {(row.task or row.concept, row.seed): row for row in rows if not {row.task, row.concept} & self.listed}

    def sizes(self, place: EntryKey) -> dict[tuple[str, int | None], float]:
        """Edges that rank a place, by task and seed.

        Where verified edges rank but could not be told, all edges of the circuit stand in for them: with all of them it
        reaches the target, so there are no more.
        """
        found = self.reached(place, "edges")
        if self.size_metric == "verified_edges":
            found = {**found, **self.reached(place, "verified_edges")}
        return {at: _value(row) for at, row in found.items()}

    def area(self, place: EntryKey) -> Summary:
        """Profile area of a place, a mean over the seeds that have reference tasks and that it was tried with."""
        if not place.graph:
            return Summary()
        sizes = self.sizes(place)
        seeds = sorted({row.seed for row in self.rows_of(place)} & self.references.keys(), key=str)
        areas = [
            profile_area([sizes.get((task, seed)) for task in self.references[seed]], self.rules.largest_size)
            for seed in seeds
        ]
        return over_seeds(areas, "mean", 0.0, 1.0)

    def why_unranked(self, place: EntryKey) -> str:
        """Why a place is listed only; empty if it is ranked."""
        if self.rules.is_control(place.method):
            return "not ranked: a control"
        if (place.method, place.variant) in self.rules.unranked:
            return f"not ranked: variant {place.variant} is listed only"
        if self.useless(place):
            return "not ranked: the dictionary is useless"
        if place.graph == "channel":
            return "not ranked: the unit graph is"
        return "" if place.graph == "unit" else "not ranked: no circuit was searched"

    def status(self, place: EntryKey) -> tuple[str, str]:
        """What to be wary of in a row, and why."""
        rows = self.rows_of(place)
        failed = [row for row in rows if row.status == "failed"]
        if len(failed) == len(rows):
            return "failed", failed[0].reason
        useless = self.useless(place)
        if useless:
            return "failed", useless
        unmatched = self.unmatched(self.rules.explains.get(place.method, place.method))
        if unmatched:
            return "unmatched", unmatched
        if not self.references:
            at = f"task loss {self.rules.target_loss / 2:g}"
            names = " and ".join(self.rules.references) or "a reference method (none is installed)"
            return "undefined", f"no reference task: none that {names} solve at {at}"
        if len({row.seed for row in rows}) == 1:
            return "one_seed", "one training seed: no interval over seeds"
        return "ok", ""

    def useless(self, place: EntryKey) -> str:
        """Why a dictionary, in any of its seeds, is not worth explaining; empty for one that is, and for controls."""
        if self.rules.is_control(place.method):
            return ""
        for metric, (limit, why) in LIMITS.items():
            worst = max((_value(row) for row in _of(metric, self.rows_of(place))), default=0.0)
            if worst > limit:
                return f"{metric} {worst:.3g}: {why}"
        return ""

    def unmatched(self, method: str) -> str:
        """Which validation loss a model trained on the corpus does not match; empty if it matches all references.

        It is the mean over seeds that has to match, as all that is compared are means over seeds: by how much single
        seeds of a sparse model differ is scatter of the training, which more tokens for one of them would only hide.
        """
        for reference in () if self.rules.is_control(method) else self.rules.references:
            gaps = self.validation_gaps(method, reference)
            gap = _mean(gaps) or 0.0
            if abs(gap) > self.rules.tolerance:
                seeds = f", {min(gaps):+.3f} to {max(gaps):+.3f} by seed" if len(gaps) > 1 else ""
                return f"validation loss of {method} is {gap:+.3f} nats from that of {reference}{seeds}"
        return ""

    def validation_gaps(self, method: str, other: str) -> list[float]:
        """Validation loss of one method less that of another, for each seed that both have."""
        losses = {(row.method, row.seed): _value(row) for row in _of("validation_loss", self.counted)}
        seeds = sorted({seed for name, seed in losses if name == method and (other, seed) in losses}, key=str)
        return [losses[method, seed] - losses[other, seed] for seed in seeds]

    def loss_gap(self, first: EntryKey, second: EntryKey) -> float:
        """Validation loss of one place less that of another, mean over the seeds that both have; `nan` without any."""
        losses = [
            {row.seed: _value(row) for row in _of("validation_loss", self.rows_of(place))} for place in (first, second)
        ]
        gap = _mean([losses[0][seed] - losses[1][seed] for seed in losses[0].keys() & losses[1].keys()])
        return math.nan if gap is None else gap


def _belongs(row: EntryKey, place: EntryKey) -> bool:
    """Whether a row counts for a place: the same method, and variant and graph the same or left open."""
    return row.method == place.method and row.variant in ("", place.variant) and row.graph in ("", place.graph)


def _of(metric: str, rows: Iterable[Record]) -> list[Record]:
    """The rows of a metric that have a value to count."""
    return [row for row in rows if row.metric == metric and row.status == "ok"]


def _value(row: Record) -> float:
    assert row.value is not None, row
    return row.value


def _tasks(rows: Iterable[Record]) -> set[tuple[str, int | None]]:
    return {(row.task, row.seed) for row in rows if row.task}


# Summing up


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _summary(metric: str, rows: Iterable[Record]) -> Summary:
    """A metric over the tasks of each seed, then over seeds."""
    by_seed: dict[int | None, list[float]] = {}
    for row in _of(metric, rows):
        by_seed.setdefault(row.seed, []).append(_value(row))
    known = METRICS[metric]
    values = [aggregated(values, known.aggregate) for values in by_seed.values()]
    return over_seeds(values, known.aggregate, known.low, known.high)


def aggregated(values: Sequence[float], aggregate: Aggregate) -> float:
    """Values of a metric summed up as it asks for: by the geometric mean, the median or the arithmetic mean."""
    if aggregate == "geometric_mean":
        return geometric_mean(values)
    return median(values) if aggregate == "median" else sum(values) / len(values)


def over_seeds(values: Sequence[float], aggregate: Aggregate, least: float, most: float) -> Summary:
    """Values summed up over seeds, with a 95 % interval from three seeds on.

    The interval is Student's t, of the logs where the mean is geometric and about the median where it is that; its
    limits stay within the range of the values, `least` to `most`.
    """
    if not values:
        return Summary()
    value = aggregated(values, aggregate)
    if aggregate == "geometric_mean":
        limits = Interval(*map(math.exp, student_interval([math.log(max(value, 1)) for value in values])))
    else:
        limits = median_interval(values) if aggregate == "median" else student_interval(values)
    low, high = limits.within(least, most)
    return Summary(value) if math.isnan(low) else Summary(value, low, high)


def _metric_order() -> list[str]:
    return [*FIRST, *(name for name in METRICS if name not in FIRST)]


def _spread(name: str, summary: Summary) -> dict[str, float | None]:
    return {name: summary.value, f"{name}_low": summary.low, f"{name}_high": summary.high}
