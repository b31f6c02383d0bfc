"""The leaderboard: a pure view of the records, with one ranked row per preset, method, variant and graph."""

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
"""Number of edges at which the axis of the performance profile ends."""

FIRST = ("validation_loss", "nonzero_parameters")
"""The metrics whose columns come first."""

LIMITS = {
    "fvu": (1.0, "worse than predicting the mean"),
    "dead_fraction": (0.5, "most of its features never fire"),
}
"""By metric, the value above which a dictionary is not ranked, and what it means."""

DIRECT, OPAQUE = "direct", "opaque"
"""Groups that are ranked apart: edges that are weights, and edges that run through whole layers, as those of SAEs."""

SAME_AREA = 1e-9
"""Areas that differ by at most this share a rank."""


@dataclass(frozen=True)
class Rules:
    """How the rows of one preset are ranked.

    Attributes:
        target_loss: The task loss that circuits have to reach, nats; rows with another one are left out.
        ranking: How nodes were ordered; rows with another ordering are left out.
        ablation: The ablation; rows with another one are left out.
        largest_size: Number of edges at which the axis of the performance profile ends.
        references: A task counts if these methods solve it at half the target; they also fix the validation loss.
        tolerance: Largest difference in validation loss, mean over seeds, that still counts as matched, nats.
        controls: Methods that are null baselines.
        unranked: Variants, as (method, variant), that are listed only.
        control_tasks: Tasks that are listed only.
        explains: By method, the reference model of its circuits, unless that is the method itself.
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


def _installed(role: "Role") -> tuple[str, ...]:
    from benchmark.methods import with_role

    return with_role(role)


def rules_of(circuit: "CircuitConfig") -> Rules:
    """The rules of a run's settings, with what the installed methods and tasks declare."""
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
    """A value over seeds with its interval; `None` where unknown."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


class EntryKey(NamedTuple):
    """What identifies a row of one preset."""

    method: str
    variant: str
    graph: str


@dataclass(frozen=True)
class LeaderboardRow:
    """One row of the leaderboard.

    Attributes:
        preset: The preset.
        place: Method, variant and graph.
        rank: 1 for the largest profile area of the group, ties shared; `None` if listed only.
        group: `direct`, or `opaque` if edges of the circuits run through whole attention layers or MLPs; empty if the
            row is listed only.
        seeds: Number of training seeds.
        tasks: Number of tasks tried, without control tasks.
        tasks_solved: Number of tasks that the whole model solves at the target, mean over seeds.
        tasks_reached: Number of tasks that a circuit solves at the target, mean over seeds.
        control_tasks_reached: The same for control tasks, which no circuit should solve.
        reference_tasks: Number of tasks that the profile is taken over, mean over seeds.
        profile_area: Area under the performance profile, 0 to 1, higher is better.
        scores: Each registered metric, over tasks and then over seeds.
        status: `ok`, or a warning.
        reason: Why the status is not `ok`, and why the row is not ranked.
    """

    preset: str
    place: EntryKey
    rank: int | None
    group: str
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
        """The row of the file, as text."""
        tasks = ("tasks", "tasks_solved", "tasks_reached", "control_tasks_reached", "reference_tasks")
        own = {name: getattr(self, name) for name in ("rank", "group", "seeds", *tasks)}
        values = {"preset": self.preset, **self.place._asdict(), **own}
        summaries = {"profile_area": self.profile_area}
        summaries |= {name: self.scores.get(name, Summary()) for name in (*FIRST, *METRICS)}
        for name, found in summaries.items():
            values |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
        values |= {"status": self.status, "reason": self.reason}
        return {name: printed(value) for name, value in values.items()}


def leaderboard(records: Iterable[Record], rules: Mapping[str, Rules]) -> list[LeaderboardRow]:
    """The leaderboard of all presets.

    Rank is by the area under the performance profile (Dolan and More 2002): the share of reference tasks that are
    reached with at most x edges, over the logarithm of x from 1 to a constant. Reference tasks are those that all
    reference methods solve at half the target, seed by seed. A task that is not reached, for whatever reason, counts as
    larger than anything, so failing never helps; dead nodes have no edges, so they change nothing. Without reference
    tasks nothing is ranked, and the rows say `undefined`.

    `rules` are by preset, `Rules()` for a preset without any. Rows come in the order of rank, each preset's unit graph
    first.
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
    nobody = LeaderboardRow("", EntryKey("", "", ""), None, "", 0, 0, 0.0, 0.0, 0.0, 0.0, Summary(), {}, "ok", "")
    return list(nobody.row)


def profile_area(sizes: Iterable[float | int | None], largest: float | int) -> float:
    """Area under the performance profile of some tasks.

    Args:
        sizes: Edges of each task's circuit, `None` where the target is not reached (right-censored).
        largest: Number of edges at which the axis ends, above 1.

    Returns:
        Mean over tasks of 1 - log max(size, 1) / log largest, 0 for censored tasks and those beyond the axis; from 0 to
        1, higher is better; `nan` without tasks.
    """
    credits = [0.0 if size is None else max(0.0, 1 - math.log(max(size, 1)) / math.log(largest)) for size in sizes]
    return sum(credits) / len(credits) if credits else math.nan


def size_metric(circuits: Iterable[Mapping[str, str]]) -> str:
    """The size metric of every table, from each circuit's metrics and their statuses.

    It is `verified_edges` once all circuits have them, otherwise `edges`. A circuit whose verified edges are undefined
    counts with all its edges, with which it reaches the target.
    """
    reached = [statuses for statuses in circuits if statuses.get("edges") == "ok"]
    return "verified_edges" if reached and all("verified_edges" in statuses for statuses in reached) else "edges"


@dataclass(frozen=True, eq=False)
class Board:
    """The rows of one preset that its rules count, with lookups.

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
                    "cannot be aggregated: run the older cells again, or write to another folder"
                )

    @cached_property
    def counted(self) -> list[Record]:
        """The rows with the target, ranking and ablation of the rules."""
        return [
            row
            for row in self.records
            if row.ranking in ("", self.rules.ranking)
            and row.ablation in ("", self.rules.ablation)
            and (row.target_loss is None or math.isclose(row.target_loss, self.rules.target_loss))
        ]

    @cached_property
    def by_place(self) -> dict[EntryKey, list[Record]]:
        """The counted rows by their method, variant and graph."""
        found: dict[EntryKey, list[Record]] = {}
        for row in self.counted:
            found.setdefault(EntryKey(row.method, row.variant, row.graph), []).append(row)
        return found

    @cached_property
    def places(self) -> list[EntryKey]:
        """The rows of the leaderboard; records without a variant or a graph belong to every row that fits, if any."""
        named = self.by_place.keys()
        return sorted(place for place in named if not any(_belongs(place, other) for other in named - {place}))

    @cached_property
    def losses(self) -> dict[tuple[str, str, int | None], float]:
        """Whole-model task loss by method, task and seed; the largest where variants of a method differ."""
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
    def listed(self) -> set[str]:
        """Tasks and concepts that are shown but not aggregated: controls, and what the current token alone decides."""
        rows = _of("token_average_precision", self.counted)
        return {*self.rules.control_tasks, *(row.concept for row in rows if _value(row) > TOKEN_DECIDES)}

    @cached_property
    def size_metric(self) -> str:
        """The size metric of the unit graph."""
        circuits: dict[Key, dict[str, str]] = {}
        for row in self.counted:
            if row.graph == "unit" and row.task:
                circuits.setdefault(row.cell, {})[row.metric] = row.status
        return size_metric(circuits.values())

    def standings(self) -> list[LeaderboardRow]:
        """All rows, ranked, the unit graph first."""
        areas = {place: self.area(place) for place in self.places}
        groups = {place: self.group(place) for place in self.places}
        ranked = {place: area.value for place, area in areas.items() if area.value is not None and groups[place]}
        ranks = {
            place: 1 + sum(groups[other] == groups[place] and ranked[other] > area + SAME_AREA for other in ranked)
            for place, area in ranked.items()
        }
        shown = (DIRECT, OPAQUE, "")
        order = sorted(
            self.places,
            key=lambda place: (place.graph != "unit", shown.index(groups[place]), ranks.get(place, math.inf), place),
        )
        return [self.standing(place, ranks.get(place), groups[place], areas[place]) for place in order]

    def group(self, place: EntryKey) -> str:
        """The group in which an entry is ranked; empty if it is listed only."""
        if self.why_unranked(place):
            return ""
        return OPAQUE if any(_value(row) > 0 for row in self.reached(place, "opaque_weights").values()) else DIRECT

    def standing(self, place: EntryKey, rank: int | None, group: str, area: Summary) -> LeaderboardRow:
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
            group=group,
            seeds=len(seeds),
            tasks=len({row.task for row in real if row.task}),
            tasks_solved=len(solved) / len(seeds),
            tasks_reached=len(reached) / len(seeds),
            control_tasks_reached=len(controls) / len(seeds),
            reference_tasks=sum(len(self.references.get(seed, ())) for seed in seeds) / len(seeds),
            profile_area=area,
            scores={name: _over_tasks_and_seeds(name, real) for name in METRICS},
            status=status,
            reason="; ".join(part for part in (reason, self.why_unranked(place)) if part),
        )

    def rows_of(self, place: EntryKey) -> list[Record]:
        """The rows of an entry, including those of its method that hold for every variant or graph."""
        return [row for origin, rows in self.by_place.items() if _belongs(origin, place) for row in rows]

    def reached(self, place: EntryKey, metric: str) -> dict[tuple[str, int | None], Record]:
        """Rows with a value of a metric, by task (or concept) and seed, without those that are listed only."""
        rows = _of(metric, self.rows_of(place))
        return {(row.task or row.concept, row.seed): row for row in rows if not {row.task, row.concept} & self.listed}

    def sizes(self, place: EntryKey) -> dict[tuple[str, int | None], float]:
        """Edges that rank an entry, by task and seed.

        Where the ranking is by verified edges and they are undefined, all edges of the circuit stand in for them: with
        all of them it reaches the target, so they are an upper bound.
        """
        found = self.reached(place, "edges")
        if self.size_metric == "verified_edges":
            found = {**found, **self.reached(place, "verified_edges")}
        return {at: _value(row) for at, row in found.items()}

    def area(self, place: EntryKey) -> Summary:
        """Profile area of an entry: the mean over those of its seeds that have reference tasks."""
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
        """Why an entry is listed only; empty if it is ranked."""
        if place.method in self.rules.controls:
            return "not ranked: a control"
        if (place.method, place.variant) in self.rules.unranked:
            return f"not ranked: variant {place.variant} is listed only"
        if self.useless(place):
            return "not ranked: the dictionary is useless"
        if place.graph == "channel":
            return "not ranked: the unit graph is"
        return "" if place.graph == "unit" else "not ranked: no circuit was searched"

    def status(self, place: EntryKey) -> tuple[str, str]:
        """The status of a row, and the reason for it."""
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
        """Why a dictionary is not worth explaining in some seed; empty for one that is, and for controls."""
        if place.method in self.rules.controls:
            return ""
        for metric, (limit, why) in LIMITS.items():
            worst = max((_value(row) for row in _of(metric, self.rows_of(place))), default=0.0)
            if worst > limit:
                return f"{metric} {worst:.3g}: {why}"
        return ""

    def unmatched(self, method: str) -> str:
        """Which reference's validation loss a trained model does not match; empty if it matches all of them.

        The mean over seeds has to match, since all comparisons are of means over seeds: differences between single
        seeds of a sparse model are training noise, which more tokens for one of them would only hide.
        """
        losses = {(row.method, row.seed): _value(row) for row in _of("validation_loss", self.counted)}
        for reference in () if method in self.rules.controls else self.rules.references:
            seeds = sorted({seed for name, seed in losses if name == method and (reference, seed) in losses}, key=str)
            gaps = [losses[method, seed] - losses[reference, seed] for seed in seeds]
            gap = sum(gaps) / len(gaps) if gaps else 0.0
            if abs(gap) > self.rules.tolerance:
                by_seed = f", {min(gaps):+.3f} to {max(gaps):+.3f} by seed" if len(gaps) > 1 else ""
                return f"validation loss of {method} is {gap:+.3f} nats from that of {reference}{by_seed}"
        return ""

    def loss_gap(self, first: EntryKey, second: EntryKey) -> float:
        """Validation loss of one entry minus that of another, mean over the seeds both have; `nan` without any."""
        losses = [
            {row.seed: _value(row) for row in _of("validation_loss", self.rows_of(place))} for place in (first, second)
        ]
        gaps = [losses[0][seed] - losses[1][seed] for seed in losses[0].keys() & losses[1].keys()]
        return sum(gaps) / len(gaps) if gaps else math.nan


def _belongs(row: EntryKey, place: EntryKey) -> bool:
    """Whether a row counts for an entry: same method, and variant and graph equal or left open."""
    return row.method == place.method and row.variant in ("", place.variant) and row.graph in ("", place.graph)


def _of(metric: str, rows: Iterable[Record]) -> list[Record]:
    """The rows of a metric that have a value that counts."""
    return [row for row in rows if row.metric == metric and row.status == "ok"]


def _value(row: Record) -> float:
    assert row.value is not None, row
    return row.value


def _tasks(rows: Iterable[Record]) -> set[tuple[str, int | None]]:
    return {(row.task, row.seed) for row in rows if row.task}


def _over_tasks_and_seeds(metric: str, rows: Iterable[Record]) -> Summary:
    by_seed: dict[int | None, list[float]] = {}
    for row in _of(metric, rows):
        by_seed.setdefault(row.seed, []).append(_value(row))
    known = METRICS[metric]
    values = [aggregated(values, known.aggregate) for values in by_seed.values()]
    return over_seeds(values, known.aggregate, known.low, known.high)


def aggregated(values: Sequence[float], aggregate: Aggregate) -> float:
    """Values of a metric aggregated as it declares: by the geometric mean, the median or the arithmetic mean."""
    if aggregate == "geometric_mean":
        return geometric_mean(values)
    return median(values) if aggregate == "median" else sum(values) / len(values)


def over_seeds(values: Sequence[float], aggregate: Aggregate, least: float, most: float) -> Summary:
    """Values aggregated over seeds, with a 95 % interval from three seeds on.

    The interval is Student's t, of the logs for a geometric mean and about the median for a median; its limits are
    clipped to the range of the values, `least` to `most`.
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
