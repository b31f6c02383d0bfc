"""Circuit discovery repeated with other training and finder seeds, and where the variance of the scores comes from.

A repeat is an ordinary run with another finder seed. It consists of the same cells as `bench run`, so nothing is
computed twice; finder seed 0 is the run's own. The circuits are those of ranked variants, in all their graphs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from benchmark.disk import replace_file
from benchmark.methods import METHODS
from benchmark.records.table import Measurement, Value, csv_text, read_measurements
from benchmark.running.cells import Cell
from benchmark.running.config import RunConfig, configure
from benchmark.running.plan import Planner, by_urgency
from benchmark.running.schedule import Outcome
from benchmark.running.store import Store
from benchmark.statistics.intervals import Interval, detectable_difference, none_for_nan
from benchmark.statistics.variance_components import Component, variance_split

VARIANCE = "variance.csv"

SIZES = ("nodes", "edges", "verified_edges")
"""Scores that are analysed as log max(score, 1)."""

SCORES = (*SIZES, "faithfulness", "robust_faithfulness")
"""Scores whose variance is split."""

Seeds = tuple[int, int]
"""Training seed and finder seed."""


class CircuitGroup(NamedTuple):
    """A group of circuits that differ only in their seeds."""

    method: str
    variant: str
    graph: str
    task: str


@dataclass(frozen=True, eq=False)
class Repeats:
    """A subset of a run, repeated: its settings by finder seed, identical apart from it."""

    runs: Mapping[int, RunConfig]

    @property
    def run(self) -> RunConfig:
        """The settings with the first finder seed."""
        return next(iter(self.runs.values()))

    @cached_property
    def circuits(self) -> dict[CircuitGroup, dict[Seeds, Cell]]:
        """The circuit of each training seed and finder seed."""
        planners = {finder: Planner(run) for finder, run in self.runs.items()}
        return {
            CircuitGroup(method.name, variant.name, graph, task): {
                (seed, finder): planner.circuit(method, variant, graph, task, seed)
                for seed in self.run.seeds
                for finder, planner in planners.items()
            }
            for method in map(METHODS.named, self.run.methods)
            for variant in method.variants
            if variant.ranked
            for graph in variant.graphs
            for task in self.run.tasks
        }

    def cells(self, method: str | None = None, finder: int | None = None) -> list[Cell]:
        """All cells, the most urgent first; only those of a method or a finder seed if given."""
        wanted = (
            cell
            for group, cells in self.circuits.items()
            for (_, of), cell in cells.items()
            if method in (None, group.method) and finder in (None, of)
        )
        return by_urgency(wanted, self.run.estimated_seconds)


@dataclass(frozen=True, kw_only=True)
class VarianceRow:
    """One row of `variance.csv`; a variance component fills three columns: variance, standard deviation, reason.

    A component is `nan` (in the file: empty) where it cannot be estimated; its reason says why, or why it was set to 0.

    Attributes:
        preset: The preset that the settings start from.
        method: Name of the method.
        variant: How its artifact is read.
        graph: `channel` or `unit`.
        task: Name of the task.
        metric: The score.
        scale: `ln` if the logs of the score are analysed; empty if the score itself is.
        seeds: Number of training seeds.
        finder_seeds: Number of finder seeds per training seed.
        mean: Mean score, on the scale.
        training: Variance between training seeds. A training seed also draws other training prompts, whose share is
            included; the corpus is fixed.
        finder: Variance between finder seeds of one trained model.
        prompts: Variance between samples of the prompts that a circuit is scored on.
        training_and_prompts: Sum of training and prompts; known even where the latter is not.
        detectable: Smallest true difference, on the scale, to a method with the same, independent variance that a
            paired t test at 5 % over this many training seeds detects with 80 % power. Smaller differences are
            detectable between methods that respond alike to the prompts they share.
        detectable_reason: Why it is `nan`.
        reason: Which scores are missing, and why; empty if none is.
    """

    preset: str
    method: str
    variant: str
    graph: str
    task: str
    metric: str
    scale: str
    seeds: int
    finder_seeds: int
    mean: float
    training: Component
    finder: Component
    prompts: Component
    training_and_prompts: Component
    detectable: float
    detectable_reason: str
    reason: str


def repeated(
    preset: str,
    methods: Sequence[str],
    tasks: Sequence[str],
    seeds: Sequence[int],
    finder_seeds: Sequence[int],
    changes: Sequence[str] = (),
) -> Repeats:
    """The circuits of the given methods and tasks, for each training seed and finder seed.

    Methods and tasks are names or `all`; `changes` are other changes to the preset, as `configure` takes them.

    Raises:
        ValueError: In one line, with the value and the choices.
    """
    run = configure(preset, methods, tasks, seeds, changes)
    if "finder_seed" in run.circuit.model_fields_set:
        raise ValueError(f"circuit.finder_seed={run.circuit.finder_seed} is set; choose --finder-seeds instead")
    searches = {finder: run.circuit.model_copy(update={"finder_seed": finder}) for finder in finder_seeds}
    return Repeats({finder: replace(run, circuit=circuit) for finder, circuit in searches.items()})


def variance_rows(repeats: Repeats, outcomes: Sequence[Outcome], store: Store) -> list[VarianceRow]:
    """One row per group of circuits and score, from the outcomes of the cells; also where a cell failed."""
    ended = {outcome.cell.key: outcome for outcome in outcomes}
    rows = []
    for group, cells in repeats.circuits.items():
        found = {seeds: _read(ended[cell.key], store) for seeds, cell in cells.items()}
        for metric in SCORES:
            rows.append(split(repeats.run.preset, group, metric, {at: scores[metric] for at, scores in found.items()}))
    return rows


def split(preset: str, group: CircuitGroup, metric: str, scores: Mapping[Seeds, Measurement]) -> VarianceRow:
    """The row of a score, from its measurements with each training seed and finder seed."""
    seeds, finders = (tuple(dict.fromkeys(column)) for column in zip(*scores, strict=True))
    values = np.array([[_value(scores[seed, finder]) for finder in finders] for seed in seeds])
    prompts = np.array([[prompt_variance(scores[seed, finder]) for finder in finders] for seed in seeds])
    detectable, why = _detectable(values)
    missing = [(at, score) for at, score in scores.items() if math.isnan(_value(score))]
    reason = ""
    if missing:
        (seed, finder), first = missing[0]
        where = f"training seed {seed}, finder seed {finder}: {first.status}: {first.reason}"
        reason = f"no value in {len(missing)} of {len(scores)} circuits; {where}"
    return VarianceRow(
        **group._asdict(),
        **variance_split(values, prompts)._asdict(),
        preset=preset,
        metric=metric,
        scale="ln" if metric in SIZES else "",
        seeds=len(seeds),
        finder_seeds=len(finders),
        mean=float(values.mean()),
        training_and_prompts=variance_split(values, np.zeros_like(values)).training,
        detectable=detectable,
        detectable_reason=why,
        reason=reason,
    )


def prompt_variance(score: Measurement) -> float:
    """Variance of a score over samples of prompts, on its scale; `nan` without an interval over prompts.

    The 95 % interval is treated as normal on that scale (the log for a size): half its width is 1.96 standard
    deviations. Equal limits, as those of a count may be, give 0.
    """
    if score.interval != "prompts":
        return math.nan
    assert score.low is not None, score
    assert score.high is not None, score
    half = (_scaled(score.metric, score.high) - _scaled(score.metric, score.low)) / 2
    return (half / 1.959964) ** 2


def deviation_limits(seeds: int) -> Interval:
    """95 % interval of a true standard deviation, as multiples of the sample's over normal values (by chi-squared).

    Raises:
        ValueError: Below two seeds, which have no standard deviation.
    """
    from scipy.special import chdtri

    if seeds < 2:
        raise ValueError(f"{seeds} seeds have no standard deviation; at least 2 are needed")
    return Interval(*(math.sqrt((seeds - 1) / float(chdtri(seeds - 1, tail))) for tail in (0.025, 0.975)))


def write_variance(folder: Path, rows: Sequence[VarianceRow]) -> None:
    """Write `variance.csv` into a folder, replacing an earlier one; the same rows give the same bytes."""
    lines = []
    for row in rows:
        line: dict[str, Value] = {}
        for name, value in vars(row).items():
            if isinstance(value, Component):
                line |= {f"{name}_variance": value.variance, f"{name}_deviation": math.sqrt(value.variance)}
                line[f"{name}_reason"] = value.reason
            else:
                line[name] = value
        lines.append(none_for_nan(line))
    replace_file(folder / VARIANCE, csv_text(list(lines[0]), [list(line.values()) for line in lines]))


def _read(outcome: Outcome, store: Store) -> dict[str, Measurement]:
    """The scores of a circuit; missing ones say why."""
    if outcome.status == "failed":
        return {metric: Measurement(metric, status="failed", reason=outcome.reason) for metric in SCORES}
    rows = read_measurements(store.artifact(outcome.cell.key))
    absent = {metric: Measurement(metric, status="undefined", reason="it was not measured") for metric in SCORES}
    own = (row for row in rows if row.ablation in ("", outcome.cell.ablation) and not row.concept)
    return absent | {row.metric: row for row in own if row.metric in SCORES}


def _value(score: Measurement) -> float:
    """The value on its scale; `nan` without one that counts."""
    return _scaled(score.metric, score.value) if score.status == "ok" and score.value is not None else math.nan


def _scaled(metric: str, value: float) -> float:
    return math.log(max(value, 1)) if metric in SIZES else float(value)


def _detectable(values: Float[NDArray[np.float64], "training finder"]) -> tuple[float, str]:
    """From the scatter of the training seeds' means, or why not; a difference has the variances of both methods."""
    means = values.mean(1)
    if not np.isfinite(means).all():
        return math.nan, "a score is missing"
    if len(means) < 2:
        return math.nan, "one training seed"
    if np.ptp(means) == 0:
        return math.nan, "all training seeds score the same"
    return detectable_difference(math.sqrt(2) * float(means.std(ddof=1)), len(means)), ""
