"""Audits the metrics that could rank circuits, on models whose circuit is known.

1. *Order*: does a metric rank the known circuit (oracle) above the same circuit with a third of its nodes swapped for
   others of their sites (degraded), and that above a random circuit with as many nodes per site? The means over models
   and draws have to differ by more than twice their standard error over draws; the number of models whose own means
   are in this order is also reported.
2. *Noise*: how much does its value change when the circuit is searched for again with another seed?
3. *Truth*: does it rank circuits of small trained models as the truth does (`benchmark.ground_truth.rank_agreement`)?
   These are transformers trained by interchange interventions to compute in known nodes (InterpBench, Gupta et al.
   2024, arXiv 2407.14494), and transcoders fitted to them.

Order and noise are tested on hand-set models, so passing means only that a metric is not wrong in the simplest case. A
metric fails if the order does not hold, if its noise is above half its distance from oracle to random, or if the
interval of its correlation with the truth is not above 0. Sizes cannot order circuits of equal size: only the circuit
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

from benchmark.discovery.cutting import FoundCircuit
from benchmark.discovery.search import Budget
from benchmark.disk import replace_file
from benchmark.ground_truth.circuit_metrics import CANDIDATES, TARGET, Case, RankableMetric
from benchmark.ground_truth.planted_models import PlantedModel
from benchmark.ground_truth.rank_agreement import Examined, RankAgreement, agreement, degraded, examined
from benchmark.ground_truth.trained_models import TrainedModel
from benchmark.interventions.ablation import random_circuit
from benchmark.metrics.registry import METRICS, Direction
from benchmark.metrics.shares import share, shares
from benchmark.records.table import csv_text
from benchmark.seeds import seed_of
from benchmark.statistics.intervals import none_for_nan

SEARCH = Budget(tokens=2_000, learning_rate=0.03)
"""An early-stopped search; a longer one finds the known circuit with every seed, so there would be no noise."""

MOST_NOISE = 0.5
"""Highest noise of a metric that passes, as a share of its distance from oracle to random."""

Level = Literal["oracle", "degraded", "random"]
LEVELS: tuple[Level, ...] = ("oracle", "degraded", "random")

AuditStatus = Literal["passed", "failed", "not_applicable"]


@dataclass(frozen=True, kw_only=True)
class AuditedMetric:
    """One row of `audit.csv`. Values are means over models, `nan` where there are none.

    Attributes:
        metric_version: Version of its definition; `None` if it is not registered.
        models: Number of hand-set models.
        draws: Number of degraded and of random circuits per model.
        searches: Number of searches per model, each with another seed.
        oracle: Value for the known circuits.
        degraded: Value for known circuits with a third of their nodes swapped.
        random: Value for random circuits of equal size per site.
        ordered_models: Number of models with oracle, degraded and random in order; `None` for sizes.
        found: Value for circuits found at the target.
        reseed_noise: Standard deviation over search seeds relative to the size of the mean.
        noise_share: The same relative to the distance from oracle to random.
        truth_correlation: Rank correlation with the truth on trained models, positive if better goes with truer.
        truth_low: Its lower 95 % limit.
        truth_high: Its upper 95 % limit.
        trained_models: Number of trained models behind it; 0 if there are none, or none that can judge a size.
        trained_circuits: Number of circuits behind it.
        status: `passed`, `failed`, or `not_applicable`.
        reason: Why the status is not `passed`.
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
    """Audit metrics on models whose circuit is known; the same arguments give the same verdicts.

    On each of the hand-set `known` models, `draws` degraded and random circuits are drawn, and `searches` searches are
    run, both at least 2. Without `trained` models, the comparison with the truth is skipped.
    """
    found = [[_search(model, seed) for seed in range(searches)] for model in known]
    learned = [examined(model) for model in trained]
    return [_judge(metric, known, found, learned, draws) for metric in candidates]


def write_audit(folder: Path, verdicts: Iterable[AuditedMetric]) -> None:
    """Write `audit.csv` to a folder, replacing an earlier one."""
    names = [field.name for field in fields(AuditedMetric)]
    rows = [none_for_nan([getattr(verdict, name) for name in names]) for verdict in verdicts]
    replace_file(folder / "audit.csv", csv_text(names, rows))


def _search(known: PlantedModel, seed: int) -> FoundCircuit:
    generator = torch.Generator().manual_seed(seed_of("audit search", known.name, seed))
    return known.search(SEARCH, generator, target=TARGET)


def _judge(
    metric: RankableMetric,
    known: Sequence[PlantedModel],
    found: Sequence[Sequence[FoundCircuit]],
    learned: Sequence[Examined],
    draws: int,
) -> AuditedMetric:
    """The verdict on one metric over all models."""
    levels = {level: np.array([_values(metric, model, level, draws) for model in known]) for level in LEVELS}
    reseeded = np.array([_reseeded(metric, *each) for each in zip(known, found, strict=True)])  # [model, seed]
    mean = {level: float(values.mean()) for level, values in levels.items()}
    spread, size = reseeded.std(axis=1, ddof=1), np.abs(reseeded.mean(axis=1))
    noise = share(float(spread.mean()), abs(mean["oracle"] - mean["random"]), mean["oracle"], mean["random"])
    oracle, between, random = (levels[level] * (-1 if metric.direction == "lower" else 1) for level in LEVELS)
    gaps = np.stack([oracle - between, between - random])  # [2, model, draw], positive if the order is right
    truth = agreement(metric, learned)
    reason = "; ".join(_faults(metric, gaps, mean, noise, truth if learned else None))
    status: AuditStatus = "failed" if reason else "passed"
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
    """A metric of circuits of one level, the same ones for every metric; sizes are taken only of the known circuit."""
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
    """A metric of the circuits found by searches with different seeds."""
    seeds = [torch.Generator().manual_seed(seed_of("audit found", known.name, seed)) for seed in range(len(found))]
    return [metric.score(Case(known, one.circuit, one.order, seed)) for one, seed in zip(found, seeds, strict=True)]


def _faults(
    metric: RankableMetric,
    gaps: Float[np.ndarray, "2 model draw"],
    mean: Mapping[Level, float],
    noise: float,
    truth: RankAgreement | None,
) -> Iterator[str]:
    """What is wrong with a metric on hand-set models, which do not judge sizes, and on trained models, if any."""
    if not metric.is_size:
        _, models, draws = gaps.shape
        # standard error of a gap's mean over a fixed set of models with random draws
        errors = np.sqrt((gaps.var(axis=2, ddof=1) / draws).sum(axis=1)) / models
        if not (gaps.mean(axis=(1, 2)) > 2 * errors).all():  # false for `nan`, too
            told = ", ".join(f"{level} {mean[level]:.3g}" for level in LEVELS)
            yield f"not in order beyond chance ({metric.direction} is better): {told}"
        if not noise <= MOST_NOISE:
            yield f"reseed noise is {noise:.0%} of the distance from oracle to random"
    if truth is not None and not (metric.is_size and not truth.models) and not truth.low > 0:
        limits = f"{truth.low:.2f} to {truth.high:.2f}"
        yield f"correlation with the truth on trained models is {truth.correlation:.2f}, {limits}, not above 0"
