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
from benchmark.metrics.shares import share, shares
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
    spread, size = reseeded.std(axis=1, ddof=1), np.abs(reseeded.mean(axis=1))
    distance = abs(mean["oracle"] - mean["random"])
    noise = share(float(spread.mean()), distance, mean["oracle"], mean["random"])
    gaps = _gaps(metric, levels)
    truth = agreement(metric, learned)
    faults = [*_hand_set_faults(metric, gaps, mean, noise), *_truth_faults(metric, truth, bool(learned))]
    status: AuditStatus = "failed" if faults else "passed"
    reason = "; ".join(faults)
    if metric.is_size and not truth.models:
        times = share(float(reseeded.mean()), mean["oracle"])
        reason = f"circuits of equal size; the found ones are {times:.2f} times the known ones"
        status = "not_applicable"
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
        ordered_models=None if metric.is_size else int((gaps.mean(axis=2) > 0).all(axis=0).sum()),
        found=float(reseeded.mean()),
        reseed_noise=float(shares(spread, size).mean()),
        noise_share=math.nan if metric.is_size else noise,
        truth_correlation=truth.correlation,
        truth_low=truth.low,
        truth_high=truth.high,
        trained_models=truth.models,
        trained_circuits=truth.circuits,
        status=status,
        reason=reason,
    )


@torch.no_grad()
def _values(metric: RankableMetric, known: PlantedModel, level: Level, draws: int) -> list[float]:
    """A metric of circuits of a kind, the same ones for every metric; sizes are taken of the known circuit alone."""
    if metric.is_size and level != "oracle":
        return [math.nan]
    values = []
    for draw in range(1 if metric.is_size else draws):
        generator = torch.Generator().manual_seed(seed_of("audit", known.name, level, draw))
        circuit = known.circuit
        if level == "degraded":
            circuit = degraded(circuit, generator)
        elif level == "random":
            circuit = random_circuit(circuit, generator)
        values.append(metric.score(Case.of(known, circuit, generator)))
    return values


def _reseeded(metric: RankableMetric, known: PlantedModel, found: Sequence[FoundCircuit]) -> list[float]:
    """A metric of the circuits that searches with other seeds have found."""
    seeds = [torch.Generator().manual_seed(seed_of("audit found", known.name, seed)) for seed in range(len(found))]
    return [metric.score(Case(known, one.circuit, one.order, seed)) for one, seed in zip(found, seeds, strict=True)]


def _gaps(metric: RankableMetric, levels: Mapping[Level, np.ndarray]) -> Float[np.ndarray, "2 model draw"]:
    """By how much oracle is better than degraded, and that than random."""
    oracle, between, random = (levels[level] * (-1 if metric.direction == "lower" else 1) for level in LEVELS)
    return np.stack([oracle - between, between - random])


def _hand_set_faults(
    metric: RankableMetric, gaps: Float[np.ndarray, "2 model draw"], mean: Mapping[Level, float], noise: float
) -> Iterator[str]:
    """What is wrong with a metric on hand-set models; sizes are not asked.

    The standard error of a gap is that of the mean over a fixed set of models, the draws being random.
    """
    if metric.is_size:
        return
    _, models, draws = gaps.shape
    errors = np.sqrt((gaps.var(axis=2, ddof=1) / draws).sum(axis=1)) / models
    if not (gaps.mean(axis=(1, 2)) > 2 * errors).all():  # `nan` is in no order
        told = ", ".join(f"{level} {mean[level]:.3g}" for level in LEVELS)
        yield f"not in order beyond chance ({metric.direction} is better): {told}"
    if not noise <= MOST_NOISE:
        yield f"reseed noise is {noise:.0%} of the distance from oracle to random"


def _truth_faults(metric: RankableMetric, truth: RankAgreement, asked: bool) -> Iterator[str]:
    """What is wrong with a metric on trained models; a size that could not be asked has no fault."""
    if asked and not (metric.is_size and not truth.models) and not truth.low > 0:
        limits = f"{truth.low:.2f} to {truth.high:.2f}"
        yield f"correlation with the truth on trained models is {truth.correlation:.2f}, {limits}, not above 0"
