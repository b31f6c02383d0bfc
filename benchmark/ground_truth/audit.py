"""Audits the metrics that could rank circuits, on models whose circuit is known.

1. *Order*: does a metric put the known circuit (oracle) before the same with a third of its nodes swapped for others of
   their sites (degraded), and that before a random circuit with as many nodes of each site? Asked of the means over
   models and draws, by more than twice the standard error over draws; on how many models the means are in this order
   stands beside it.
2. *Noise*: how far does its value move when a circuit is searched again with another seed?
3. *Truth*: does it rank circuits of small trained models as the truth does (`benchmark.ground_truth.rank_agreement`)?
   These are transformers trained by interchange interventions to compute in known nodes (InterpBench, Gupta et al.
   2024, arXiv 2407.14494), and transcoders fitted on them.

Order and noise are asked on hand-set models: to pass there is not to be wrong in the simplest case. A metric fails if
the order does not hold, if its noise is above half its distance from oracle to random, or if the interval of its
correlation with the truth does not lie above 0. Sizes cannot order circuits of equal size: of them only the circuit
found at the target is compared with the known one, and only the truth judges them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from benchmark.discovery.finder import FoundCircuit, find_circuit
from benchmark.discovery.search import Budget
from benchmark.ground_truth.circuit_metrics import CANDIDATES, TARGET, Case, RankableMetric
from benchmark.ground_truth.planted_models import PlantedModel
from benchmark.ground_truth.rank_agreement import Examined, RankAgreement, agreement, degraded, examined
from benchmark.ground_truth.trained_models import TrainedModel
from benchmark.interventions.ablation import random_circuit
from benchmark.metrics.registry import METRICS, Direction
from benchmark.records.table import csv_text, replace_file
from benchmark.seeds import seed_of
from benchmark.statistics.intervals import none_for_nan

AUDIT = "audit.csv"

SEARCH = Budget(tokens=2_000, learning_rate=0.03, coefficients=(1e-3, 1e-2))
"""A search that is stopped early: given time it finds the known circuit whatever its seed, and there is no noise."""

MOST_NOISE = 0.5
"""Noise of a metric, of its distance from oracle to random, above which it fails."""

Level = Literal["oracle", "degraded", "random"]
LEVELS: tuple[Level, ...] = ("oracle", "degraded", "random")

Levels = Mapping[Level, Float[np.ndarray, "model draw"]]
"""A metric by kind of circuit."""

AuditStatus = Literal["passed", "failed", "not_applicable"]


# The audit


@dataclass(frozen=True, kw_only=True)
class AuditedMetric:
    """One row of `audit.csv`. Values are means over models, `nan` where there are none.

    Attributes:
        metric: Its name.
        metric_version: Version of its definition; `None` if it is not registered.
        direction: Which way is better.
        models: Known models.
        draws: Degraded and random circuits drawn for each.
        searches: Searches with other seeds on each.
        oracle: Of the known circuits.
        degraded: Of those with a third of their nodes swapped.
        random: Of random circuits of equal size per site.
        ordered_models: Models on which the means of oracle, degraded and random are in order; `None` if not asked.
        found: Of circuits found at the target.
        reseed_noise: Standard deviation over finder seeds relative to the mean's size.
        noise_share: The same relative to the distance from oracle to random.
        truth_correlation: Rank correlation with the truth on trained models, positive if better goes with truer.
        truth_low: Its lower 95 % limit.
        truth_high: Its upper 95 % limit.
        trained_models: Trained models that it is over; 0 if it was not asked, or of sizes could not be.
        trained_circuits: Circuits that it is over.
        status: `passed`, `failed`, or `not_applicable`.
        reason: Why it is not `passed`.
    """

    metric: str
    metric_version: int | None
    direction: Direction
    models: int
    draws: int
    searches: int
    oracle: float
    degraded: float
    random: float
    ordered_models: int | None
    found: float
    reseed_noise: float
    noise_share: float
    truth_correlation: float
    truth_low: float
    truth_high: float
    trained_models: int
    trained_circuits: int
    status: AuditStatus
    reason: str


def audit(
    known: Sequence[PlantedModel],
    candidates: Iterable[RankableMetric] = CANDIDATES,
    *,
    trained: Iterable[TrainedModel] = (),
    draws: int = 40,
    searches: int = 5,
) -> list[AuditedMetric]:
    """Judge metrics by models whose circuit is known; the same arguments give the same verdicts.

    Args:
        known: The hand-set models.
        candidates: The metrics.
        trained: The trained models; without any the truth is not asked.
        draws: Degraded and random circuits to average over, at least 2.
        searches: Finder seeds, at least 2.
    """
    found = [[_search(model, seed) for seed in range(searches)] for model in known]
    learned = [examined(model) for model in trained]
    return [_judge(metric, known, found, learned, draws) for metric in candidates]


def write_audit(folder: Path, verdicts: Iterable[AuditedMetric]) -> None:
    """Write `audit.csv` into a folder, in the place of an earlier one."""
    names = [field.name for field in fields(AuditedMetric)]
    rows = [none_for_nan([getattr(verdict, name) for name in names]) for verdict in verdicts]
    replace_file(folder / AUDIT, csv_text(names, rows))


def _search(known: PlantedModel, seed: int) -> FoundCircuit:
    generator = torch.Generator().manual_seed(seed_of("audit search", known.name, seed))
    return find_circuit(
        known.model, known.prompts, known.means, graph="unit", target=TARGET, budget=SEARCH, generator=generator
    )


def _judge(
    metric: RankableMetric,
    known: Sequence[PlantedModel],
    found: Sequence[Sequence[FoundCircuit]],
    learned: Sequence[Examined],
    draws: int,
) -> AuditedMetric:
    """One metric on all models."""
    levels = {level: np.array([_values(metric, model, level, draws) for model in known]) for level in LEVELS}
    reseeded = np.array([_reseeded(metric, *each) for each in zip(known, found, strict=True)])  # [model, seed]
    mean = {level: float(values.mean()) for level, values in levels.items()}
    spread = reseeded.std(axis=1, ddof=1)
    distance = abs(mean["oracle"] - mean["random"])
    share = float(spread.mean()) / distance if distance > 0 else math.nan
    told = agreement(metric, learned)
    reasons = [*_hand_set_faults(metric, levels, share), *_truth_faults(metric, told, bool(learned))]
    status, reason = _status(metric, reasons, told, float(reseeded.mean()) / mean["oracle"])
    registered = METRICS.get(metric.name)
    return AuditedMetric(
        metric=metric.name,
        metric_version=None if registered is None else registered.version,
        direction=metric.direction,
        models=len(known),
        draws=draws,
        searches=reseeded.shape[1],
        oracle=mean["oracle"],
        degraded=math.nan if metric.is_size else mean["degraded"],
        random=math.nan if metric.is_size else mean["random"],
        ordered_models=None if metric.is_size else _ordered_models(levels, metric.direction),
        found=float(reseeded.mean()),
        reseed_noise=_relative(spread, np.abs(reseeded.mean(axis=1))),
        noise_share=math.nan if metric.is_size else share,
        truth_correlation=told.correlation,
        truth_low=told.low,
        truth_high=told.high,
        trained_models=told.models,
        trained_circuits=told.circuits,
        status=status,
        reason=reason,
    )


def _values(metric: RankableMetric, known: PlantedModel, level: Level, draws: int) -> list[float]:
    """A metric of circuits of a kind; sizes are taken of the known circuit alone."""
    if metric.is_size:
        draws = 1
        if level != "oracle":
            return [math.nan]
    return [metric.score(case) for case in _cases(known, level, draws)]


@torch.no_grad()
def _cases(known: PlantedModel, level: Level, draws: int) -> Iterator[Case]:
    """Circuits of a kind, the same for every metric."""
    for draw in range(draws):
        generator = torch.Generator().manual_seed(seed_of("audit", known.name, level, draw))
        circuit = known.circuit
        if level == "degraded":
            circuit = degraded(circuit, generator)
        elif level == "random":
            circuit = random_circuit(circuit, generator)
        yield Case.of(known, circuit, generator)


def _reseeded(metric: RankableMetric, known: PlantedModel, found: Sequence[FoundCircuit]) -> list[float]:
    """A metric of the circuits that searches with other seeds have found."""
    seeds = [torch.Generator().manual_seed(seed_of("audit found", known.name, seed)) for seed in range(len(found))]
    return [metric.score(Case(known, one.circuit, one.order, seed)) for one, seed in zip(found, seeds, strict=True)]


def _gaps(levels: Levels, direction: Direction) -> list[Float[np.ndarray, "model draw"]]:
    """By how much oracle is better than degraded, and that than random."""
    oracle, between, random = (levels[level] * (-1 if direction == "lower" else 1) for level in LEVELS)
    return [oracle - between, between - random]


def _in_order(levels: Levels, direction: Direction) -> bool:
    """Whether both gaps are beyond chance; `nan` is in no order."""
    return all(gap.mean() > 2 * _standard_error(gap) for gap in _gaps(levels, direction))


def _ordered_models(levels: Levels, direction: Direction) -> int:
    """On how many models the means over draws are in order."""
    nearer, further = (gap.mean(axis=1) > 0 for gap in _gaps(levels, direction))
    return int((nearer & further).sum())


def _standard_error(values: Float[np.ndarray, "model draw"]) -> float:
    """Of the mean over a fixed set of models, the draws being random."""
    models, draws = values.shape
    return float(np.sqrt((values.var(axis=1, ddof=1) / draws).sum()) / models)


def _hand_set_faults(metric: RankableMetric, levels: Levels, share: float) -> Iterator[str]:
    """What is wrong with a metric on hand-set models; sizes are not asked."""
    if metric.is_size:
        return
    if not _in_order(levels, metric.direction):
        told = ", ".join(f"{level} {levels[level].mean():.3g}" for level in LEVELS)
        yield f"not in order beyond chance ({metric.direction} is better): {told}"
    if not share <= MOST_NOISE:
        yield f"reseed noise is {share:.0%} of the distance from oracle to random"


def _truth_faults(metric: RankableMetric, told: RankAgreement, asked: bool) -> Iterator[str]:
    """What is wrong with a metric on trained models; a size that could not be asked has no fault."""
    if not asked or (metric.is_size and not told.models):
        return
    if not told.low > 0:
        limits = f"{told.low:.2f} to {told.high:.2f}"
        yield f"correlation with the truth on trained models is {told.correlation:.2f}, {limits}, not above 0"


def _status(
    metric: RankableMetric, faults: Sequence[str], told: RankAgreement, ratio: float
) -> tuple[AuditStatus, str]:
    """Whether a metric passes, and if not, why; a size that was not held to the truth was not judged."""
    if faults:
        return "failed", "; ".join(faults)
    if metric.is_size and not told.models:
        return "not_applicable", f"circuits of equal size; the found ones are {ratio:.2f} times the known ones"
    return "passed", ""


def _relative(spread: Float[np.ndarray, " model"], size: Float[np.ndarray, " model"]) -> float:
    """Mean over models of the spread relative to the size; `nan` where a size is 0."""
    return float((spread / size).mean()) if (size > 0).all() else math.nan
