"""Circuits found again with other training and finder seeds, and what the scatter of their scores is made of.

A repeat is an ordinary run with another finder seed, made of the same cells as `bench run`, so nothing is computed
twice; finder seed 0 is the run's own. Circuits are those of ranked variants, in all their graphs.
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

from benchmark.methods import METHODS
from benchmark.records.table import Measurement, Value, csv_text, read_measurements, replace_file
from benchmark.running.cells import Cell
from benchmark.running.config import RunConfig, configure
from benchmark.running.executor import Outcome
from benchmark.running.plan import Planner, by_urgency
from benchmark.running.store import Store
from benchmark.statistics.intervals import Interval, detectable_difference, none_for_nan
from benchmark.statistics.variance_components import Component, variance_split

VARIANCE = "variance.csv"

SIZES = ("nodes", "edges", "verified_edges")
"""Scores of which the logs are split, of at least one."""

SCORES = (*SIZES, "faithfulness", "robust_faithfulness")
"""Scores whose variance is split."""

QUANTILE = 1.959964
"""Half-width of a normal 95 % interval, in standard deviations."""

Seeds = tuple[int, int]
"""Training seed and finder seed."""


class CircuitGroup(NamedTuple):
    """Whose circuits differ in their seeds alone."""

    method: str
    variant: str
    graph: str
    task: str


@dataclass(frozen=True, eq=False)
class Repeats:
    """A subset of a run, repeated.

    Attributes:
        runs: The settings by finder seed; all else in them is the same.
    """

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
        """All cells, the most urgent first; only those of a method or a finder seed if it is given."""
        wanted = (
            cell
            for group, cells in self.circuits.items()
            for (_, of), cell in cells.items()
            if method in (None, group.method) and finder in (None, of)
        )
        return by_urgency(wanted, self.run.estimated_seconds)


@dataclass(frozen=True, kw_only=True)
class VarianceRow:
    """One row of `variance.csv`; a part of the variance fills three columns: variance, standard deviation, reason.

    A part is `nan` (in the file: empty) where it cannot be told; its reason says why, or why it was set to 0.

    Attributes:
        preset: The preset that the settings start from.
        method: Name of the method.
        variant: How its artifact is read.
        graph: `channel` or `unit`.
        task: Name of the task.
        metric: The score.
        scale: `ln` if the logs of the score are split; empty if the score itself is.
        seeds: Number of training seeds.
        finder_seeds: Number of finder seeds of each.
        mean: Of the score, on the scale.
        training: Between training seeds. They also draw other training prompts, whose part is in it; not the corpus.
        finder: Between finder seeds of one trained model.
        prompts: Between samples of the prompts that a circuit is scored on.
        training_and_prompts: What the first and the last add up to; known also where the last is not.
        detectable: Least true difference, on the scale, to a method that scatters as much and independently of this
            one, that a paired t test at 5 % over so many training seeds finds four times in five. Less is enough where
            two methods answer alike to the prompts that they share.
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
    """The circuits of some methods and tasks, for each training seed and finder seed.

    Args:
        preset: Name of the preset.
        methods: Names, or `all`.
        tasks: Names, or `all`.
        seeds: Training seeds.
        finder_seeds: Seeds of the search, for each trained model.
        changes: What else to change in the preset, as `configure` takes it.

    Raises:
        ValueError: One line with the value and the choices.
    """
    run = configure(preset, methods, tasks, seeds, changes)
    if "finder_seed" in run.circuit.model_fields_set:
        raise ValueError(f"circuit.finder_seed={run.circuit.finder_seed} is set; choose --finder-seeds instead")
    searches = {finder: run.circuit.model_copy(update={"finder_seed": finder}) for finder in finder_seeds}
    return Repeats({finder: replace(run, circuit=circuit) for finder, circuit in searches.items()})


# What came out


def variance_rows(repeats: Repeats, outcomes: Sequence[Outcome], store: Store) -> list[VarianceRow]:
    """A row for each group of circuits and score, also where a cell failed or reached nothing.

    Args:
        repeats: What was repeated.
        outcomes: How its cells ended.
        store: Where their artifacts are.
    """
    ended = {outcome.cell.key: outcome for outcome in outcomes}
    rows = []
    for group, cells in repeats.circuits.items():
        found = {seeds: _read(ended[cell.key], store) for seeds, cell in cells.items()}
        for metric in SCORES:
            rows.append(split(repeats.run.preset, group, metric, {at: scores[metric] for at, scores in found.items()}))
    return rows


def split(preset: str, group: CircuitGroup, metric: str, scores: Mapping[Seeds, Measurement]) -> VarianceRow:
    """The row of a score, from what was measured with each training seed and finder seed."""
    seeds, finders = (tuple(dict.fromkeys(column)) for column in zip(*scores, strict=True))
    values = np.array([[_value(scores[seed, finder]) for finder in finders] for seed in seeds])
    prompts = np.array([[prompt_variance(scores[seed, finder]) for finder in finders] for seed in seeds])
    detectable, why = _detectable(values)
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
        reason=_missing(scores),
    )


def prompt_variance(score: Measurement) -> float:
    """What other prompts would change in a score, as a variance on its scale; `nan` without an interval over prompts.

    The 95 % interval is taken for a normal one on that scale (of a size: of its log): half its width is 1.96 standard
    deviations. Limits that agree, as those of a count may, give 0.
    """
    if score.interval != "prompts":
        return math.nan
    assert score.low is not None, score
    assert score.high is not None, score
    half = (_scaled(score.metric, score.high) - _scaled(score.metric, score.low)) / 2
    return (half / QUANTILE) ** 2


def deviation_limits(seeds: int, confidence: float = 0.95) -> Interval:
    """Interval of a true standard deviation, as multiples of the one of so many normal values (by chi-squared).

    Raises:
        ValueError: With fewer than two seeds there is no deviation.
    """
    from scipy.special import chdtri

    if seeds < 2:
        raise ValueError(f"{seeds} seeds have no deviation; at least 2 are needed")
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    return Interval(*(math.sqrt((seeds - 1) / float(chdtri(seeds - 1, tail))) for tail in tails))


def write_variance(folder: Path, rows: Sequence[VarianceRow]) -> None:
    """Write `variance.csv` into a folder, in the place of an earlier one; the same rows give the same bytes."""
    lines = [_columns(row) for row in rows]
    replace_file(folder / VARIANCE, csv_text(list(lines[0]), [list(line.values()) for line in lines]))


def _read(outcome: Outcome, store: Store) -> dict[str, Measurement]:
    """The scores of a circuit; those that are missing say why."""
    if outcome.status == "failed":
        return {metric: Measurement(metric, status="failed", reason=outcome.reason) for metric in SCORES}
    rows = read_measurements(store.artifact(outcome.cell.key))
    absent = {metric: Measurement(metric, status="undefined", reason="it was not measured") for metric in SCORES}
    own = (row for row in rows if row.ablation in ("", outcome.cell.ablation) and not row.concept)
    return absent | {row.metric: row for row in own if row.metric in SCORES}


def _value(score: Measurement) -> float:
    """On its scale; `nan` where there is none that counts."""
    return _scaled(score.metric, score.value) if score.status == "ok" and score.value is not None else math.nan


def _scaled(metric: str, value: float) -> float:
    return math.log(max(value, 1)) if metric in SIZES else float(value)


def _detectable(values: Float[NDArray[np.float64], "training finder"]) -> tuple[float, str]:
    """From the scatter of a training seed's mean, or why not; the variances of two methods add in their difference."""
    means = values.mean(1)
    if not np.isfinite(means).all():
        return math.nan, "a score is missing"
    if len(means) < 2:
        return math.nan, "one training seed"
    if np.ptp(means) == 0:
        return math.nan, "all training seeds score the same"
    return detectable_difference(math.sqrt(2) * float(means.std(ddof=1)), len(means)), ""


def _missing(scores: Mapping[Seeds, Measurement]) -> str:
    missing = [(at, score) for at, score in scores.items() if math.isnan(_value(score))]
    if not missing:
        return ""
    (seed, finder), first = missing[0]
    where = f"training seed {seed}, finder seed {finder}: {first.status}: {first.reason}"
    return f"no value in {len(missing)} of {len(scores)} circuits; {where}"


def _columns(row: VarianceRow) -> dict[str, Value]:
    """A row as it stands in the file: three columns for a part of the variance, nothing for `nan`."""
    found: dict[str, Value] = {}
    for name, value in vars(row).items():
        if isinstance(value, Component):
            found |= {f"{name}_variance": value.variance, f"{name}_deviation": math.sqrt(value.variance)}
            found[f"{name}_reason"] = value.reason
        else:
            found[name] = value
    known: dict[str, Value] = none_for_nan(found)
    return known
