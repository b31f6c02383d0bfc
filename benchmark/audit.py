"""Audits the metrics that could rank circuits, on models whose circuit is known.

1. *Order*: does a metric put the known circuit (oracle) before the same with a third of its nodes swapped for others of
   their sites (degraded), and that before a random circuit with as many nodes of each site? Asked of the means over
   models and draws, by more than twice the standard error over draws; on how many models the means are in this order
   stands beside it.
2. *Noise*: how far does its value move when a circuit is searched again with another seed?

A metric fails if the order does not hold, or if its noise is above half its distance from oracle to random. Sizes
cannot order circuits of equal size: of them only the circuit found at the target is compared with the known one.

Left out: the correlation with the truth on small *trained* models (interchange-intervention training as in InterpBench,
Gupta et al. 2024, arXiv 2407.14494, with dictionaries fitted on them) is not built. That a metric passes on hand-set
gates says that it is not wrong in the simplest case, not that it is right for trained models.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark import metrics
from benchmark.ablation import keep_only, random_circuit
from benchmark.circuit import Circuit
from benchmark.edges import verify_edges
from benchmark.known import KnownModel
from benchmark.metrics.registry import METRICS, Direction
from benchmark.model import unedited
from benchmark.pruning import (
    Budget,
    FoundCircuit,
    answer_logits,
    find_circuit,
    geometric_sizes,
    logit_difference,
)
from benchmark.records import csv_text, replace_file
from benchmark.robustness import Trial, robust_faithfulness
from benchmark.seeds import seed_of
from benchmark.tasks.prompts import PromptBatch

AUDIT = "audit.csv"

TARGET = 0.05
"""Task loss that circuits are cut to, nats; each node of a known circuit is worth more."""

SEARCH = Budget(tokens=2_000, learning_rate=0.03, coefficients=(1e-3, 1e-2))
"""A search that is stopped early: given time it finds the known circuit whatever its seed, and there is no noise."""

MOST_NOISE = 0.5
"""Noise of a metric, of its distance from oracle to random, above which it fails."""

Level = Literal["oracle", "degraded", "random"]
LEVELS: tuple[Level, ...] = ("oracle", "degraded", "random")

Levels = Mapping[Level, Float[np.ndarray, "model draw"]]
"""A metric by kind of circuit."""

Status = Literal["passed", "failed", "not_applicable"]


@dataclass(frozen=True, eq=False)
class Case:
    """A circuit of a known model that is to be scored.

    Attributes:
        known: The model and its task.
        circuit: The circuit, right or wrong.
        order: `[node]`, all nodes, those of the circuit first.
        generator: Source of what a score draws.
    """

    known: KnownModel
    circuit: Circuit
    order: Int[Tensor, " node"]
    generator: torch.Generator

    @classmethod
    def of(cls, known: KnownModel, circuit: Circuit, generator: torch.Generator) -> "Case":
        """A circuit whose nodes are in no order, before all others in no order."""
        kept = torch.cat([circuit.masks[site.name] for site in known.model.sites])
        mixed = torch.randperm(len(kept), generator=generator)
        return cls(known, circuit, mixed[kept[mixed].int().argsort(descending=True, stable=True)], generator)

    @property
    def batch(self) -> PromptBatch:
        """The prompts on which it is scored."""
        return self.known.prompts.test

    @cached_property
    def whole(self) -> Float[Tensor, "prompt vocab"]:
        """Logits with nothing ablated."""
        return answer_logits(self.known.model, self.batch, unedited)

    def logits(self, circuit: Circuit) -> Float[Tensor, "prompt vocab"]:
        """Logits of a circuit, the rest at its means."""
        return answer_logits(self.known.model, self.batch, keep_only(circuit, self.known.means))

    def faithfulness(self, circuit: Circuit) -> float:
        """Of any circuit of the model."""
        return metrics.faithfulness(self._kl(self.logits(circuit)), self._empty_kl)

    @cached_property
    def _empty_kl(self) -> float:
        return self._kl(self.logits(Circuit.empty(self.known.model.sites)))

    def _kl(self, logits: Tensor) -> float:
        return metrics.pair_kl(self.whole, logits, self.batch.answer, self.batch.other)


Score = Callable[[Case], float]
"""A metric of a case; `nan` where it has none."""


@dataclass(frozen=True)
class Candidate:
    """A metric that could rank circuits.

    Attributes:
        name: Its name.
        score: Takes it.
        direction: Which way is better.
        is_size: Whether it says nothing but how large a circuit is.
    """

    name: str
    score: Score
    direction: Direction
    is_size: bool = False


# The scores


def _verified_edges(case: Case) -> float:
    known = case.known
    connections, validation = known.model.connections("unit"), known.prompts.validation
    found = verify_edges(known.model, case.circuit, connections, known.means, validation, known.windows, TARGET)
    return float(found.edges) if found.status == "ok" else math.nan


def _robust_faithfulness(case: Case) -> float:
    known = case.known
    trial = Trial(known.model, known.model.sites, case.circuit, known.means, case.batch, case.whole, case.generator)
    return robust_faithfulness(trial)


def _necessity(case: Case) -> float:
    return metrics.task_loss(case.logits(case.circuit.complement()), case.batch.answer, case.batch.other)


def _logit_difference_r2(case: Case) -> float:
    whole, circuit = (logit_difference(logits, case.batch) for logits in (case.whole, case.logits(case.circuit)))
    return metrics.logit_difference_r2(whole, circuit)


def _cpr(case: Case) -> float:
    sites, total = case.known.model.sites, len(case.order)
    sizes = geometric_sizes(total, 2.0)
    scores = [case.faithfulness(Circuit.first(sites, case.order, size)) for size in sizes]
    return metrics.cpr(sizes, scores, total)


_SIZES: Mapping[str, Score] = {
    "nodes": lambda case: metrics.node_count(case.circuit),
    "edges": lambda case: metrics.edge_count(case.circuit, case.known.model.connections("unit")),
    "verified_edges": _verified_edges,
    "description_bits": lambda case: metrics.description_bits(case.circuit, case.known.model.connections("unit")),
}

_SCORES: Mapping[str, Score] = {
    "faithfulness": lambda case: case.faithfulness(case.circuit),
    "robust_faithfulness": _robust_faithfulness,
    "completeness": lambda case: case.faithfulness(case.circuit.complement()),
    "necessity": _necessity,
    "logit_difference_r2": _logit_difference_r2,
    "cpr": _cpr,
}

CANDIDATES: tuple[Candidate, ...] = (
    *(Candidate(name, score, METRICS[name].direction, is_size=True) for name, score in _SIZES.items()),
    *(Candidate(name, score, METRICS[name].direction) for name, score in _SCORES.items()),
)
"""The metrics that are audited."""


# The audit


@dataclass(frozen=True, kw_only=True)
class Verdict:
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
    status: Status
    reason: str


def audit(
    known: Sequence[KnownModel], candidates: Iterable[Candidate] = CANDIDATES, *, draws: int = 40, searches: int = 5
) -> list[Verdict]:
    """Judge metrics by models whose circuit is known; the same arguments give the same verdicts.

    Args:
        known: The models.
        candidates: The metrics.
        draws: Degraded and random circuits to average over, at least 2.
        searches: Finder seeds, at least 2.
    """
    found = [[_search(model, seed) for seed in range(searches)] for model in known]
    return [_judge(candidate, known, found, draws) for candidate in candidates]


def write_audit(folder: Path, verdicts: Iterable[Verdict]) -> None:
    """Write `audit.csv` into a folder, in the place of an earlier one."""
    names = [field.name for field in fields(Verdict)]
    rows = [[_finite(getattr(verdict, name)) for name in names] for verdict in verdicts]
    replace_file(folder / AUDIT, csv_text(names, rows))


def degraded(circuit: Circuit, generator: torch.Generator) -> Circuit:
    """A circuit with a third of its nodes, at least one, swapped for nodes of the same site that it does not keep."""
    masks = {name: mask.clone() for name, mask in circuit.masks.items()}
    nodes = [(name, node) for name, kept in circuit.kept().items() for node in kept]
    swapped = torch.randperm(len(nodes), generator=generator)[: max(1, round(len(nodes) / 3))]
    for name, node in (nodes[index] for index in swapped.tolist()):
        outside = (~circuit.masks[name] & ~masks[name]).nonzero().flatten()
        masks[name][node] = False
        masks[name][outside[torch.randint(len(outside), (1,), generator=generator)]] = True
    return Circuit(masks)


def _search(known: KnownModel, seed: int) -> FoundCircuit:
    generator = torch.Generator().manual_seed(seed_of("audit search", known.name, seed))
    return find_circuit(
        known.model, known.prompts, known.means, graph="unit", target=TARGET, budget=SEARCH, generator=generator
    )


def _judge(
    candidate: Candidate, known: Sequence[KnownModel], found: Sequence[Sequence[FoundCircuit]], draws: int
) -> Verdict:
    """One metric on all models."""
    levels = {level: np.array([_values(candidate, model, level, draws) for model in known]) for level in LEVELS}
    reseeded = np.array([_reseeded(candidate, *each) for each in zip(known, found, strict=True)])  # [model, seed]
    mean = {level: float(values.mean()) for level, values in levels.items()}
    spread = reseeded.std(axis=1, ddof=1)
    distance = abs(mean["oracle"] - mean["random"])
    share = float(spread.mean()) / distance if distance > 0 else math.nan
    status, reason = _status(candidate, levels, reseeded, share)
    registered = METRICS.get(candidate.name)
    return Verdict(
        metric=candidate.name,
        metric_version=None if registered is None else registered.version,
        direction=candidate.direction,
        models=len(known),
        draws=draws,
        searches=reseeded.shape[1],
        oracle=mean["oracle"],
        degraded=math.nan if candidate.is_size else mean["degraded"],
        random=math.nan if candidate.is_size else mean["random"],
        ordered_models=None if candidate.is_size else _ordered_models(levels, candidate.direction),
        found=float(reseeded.mean()),
        reseed_noise=_relative(spread, np.abs(reseeded.mean(axis=1))),
        noise_share=math.nan if candidate.is_size else share,
        status=status,
        reason=reason,
    )


def _values(candidate: Candidate, known: KnownModel, level: Level, draws: int) -> list[float]:
    """A metric of circuits of a kind; sizes are taken of the known circuit alone."""
    if candidate.is_size:
        draws = 1
        if level != "oracle":
            return [math.nan]
    return [candidate.score(case) for case in _cases(known, level, draws)]


@torch.no_grad()
def _cases(known: KnownModel, level: Level, draws: int) -> Iterator[Case]:
    """Circuits of a kind, the same for every metric."""
    for draw in range(draws):
        generator = torch.Generator().manual_seed(seed_of("audit", known.name, level, draw))
        circuit = known.circuit
        if level == "degraded":
            circuit = degraded(circuit, generator)
        elif level == "random":
            circuit = random_circuit(circuit, generator)
        yield Case.of(known, circuit, generator)


def _reseeded(candidate: Candidate, known: KnownModel, found: Sequence[FoundCircuit]) -> list[float]:
    """A metric of the circuits that searches with other seeds have found."""
    seeds = [torch.Generator().manual_seed(seed_of("audit found", known.name, seed)) for seed in range(len(found))]
    return [candidate.score(Case(known, one.circuit, one.order, seed)) for one, seed in zip(found, seeds, strict=True)]


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


def _status(
    candidate: Candidate, levels: Levels, reseeded: Float[np.ndarray, "model seed"], share: float
) -> tuple[Status, str]:
    """Whether a metric passes, and if not, why."""
    if candidate.is_size:
        ratio = float(reseeded.mean() / levels["oracle"].mean())
        return "not_applicable", f"circuits of equal size; the found ones are {ratio:.2f} times the known ones"
    reasons = []
    if not _in_order(levels, candidate.direction):
        told = ", ".join(f"{level} {levels[level].mean():.3g}" for level in LEVELS)
        reasons.append(f"not in order beyond chance ({candidate.direction} is better): {told}")
    if not share <= MOST_NOISE:
        reasons.append(f"reseed noise is {share:.0%} of the distance from oracle to random")
    return ("failed", "; ".join(reasons)) if reasons else ("passed", "")


def _relative(spread: Float[np.ndarray, " model"], size: Float[np.ndarray, " model"]) -> float:
    """Mean over models of the spread relative to the size; `nan` where a size is 0."""
    return float((spread / size).mean()) if (size > 0).all() else math.nan


def _finite(value: str | float | int | None) -> str | float | int | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value
