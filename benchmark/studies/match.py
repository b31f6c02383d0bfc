"""Searches for the number of training tokens at which a method's validation loss matches that of another method."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmark.methods import METHODS
from benchmark.records.table import read_measurements
from benchmark.running.config import RunConfig
from benchmark.running.execution import Display, execute
from benchmark.running.executors.local import LocalExecutor
from benchmark.running.plan import Planner
from benchmark.running.store import Store
from benchmark.settings import validated

LOSS_SLOPE = 0.45
"""First guess of the fall in loss when tokens are multiplied by e, nats; replaced by what the search observes."""


@dataclass(frozen=True)
class MatchingRun:
    """One training run of the search, with its schedule run to the end.

    Attributes:
        tokens: Training tokens.
        loss: Validation loss, nats.
        gap: That loss minus the target loss, nats.
    """

    tokens: int
    loss: float
    gap: float


def match(
    run: RunConfig,
    method: str,
    to: str,
    store: Store,
    display: Display,
    *,
    tolerance: float,
    trials: int,
) -> Iterator[MatchingRun]:
    """Train a method with different numbers of tokens until its validation loss is that of another method.

    A secant search on log tokens. The last trial is the match if its gap is within half the tolerance; the other half
    is left for other seeds.

    Args:
        run: The settings of both methods, with one seed.
        method: The method whose `tokens` are searched.
        to: The method whose loss is the target, trained as `run` says.
        store: Where trained models are cached.
        display: Receives the progress of the training.
        tolerance: Gap that still counts as matched, nats.
        trials: Maximum number of models to train.

    Raises:
        ValueError: If the method has no setting `tokens`, or training fails.
    """
    config = run.method_configs[method]
    if "tokens" not in type(config).model_fields:
        raise ValueError(f"method {method!r} has no setting 'tokens' to search")
    wanted = _loss(run, to, store, display)
    seen: list[MatchingRun] = []
    tokens = config.model_dump()["tokens"]
    while len(seen) < trials:
        changed = validated(type(config), {**config.model_dump(), "tokens": tokens}, method)
        tried = replace(run, method_configs={**run.method_configs, method: changed})
        loss = _loss(tried, method, store, display)
        seen.append(MatchingRun(tokens, loss, loss - wanted))
        yield seen[-1]
        if abs(seen[-1].gap) <= tolerance / 2:
            return
        tokens = next_tokens(seen)


def next_tokens(seen: Sequence[MatchingRun]) -> int:
    """The number of tokens to try next: where the line through the two trials nearest to the target crosses it."""
    nearest = sorted(seen, key=lambda trial: abs(trial.gap))[:2]
    slope = -LOSS_SLOPE
    if len(nearest) == 2 and nearest[0].tokens != nearest[1].tokens:
        run = math.log(nearest[0].tokens / nearest[1].tokens)
        slope = min((nearest[0].gap - nearest[1].gap) / run, -LOSS_SLOPE / 10)
    step = max(-1.5, min(1.5, -nearest[0].gap / slope))
    return max(1, round(nearest[0].tokens * math.exp(step)))


def _loss(run: RunConfig, method: str, store: Store, display: Display) -> float:
    planner = Planner(run)
    profile = planner.profile(method, METHODS.named(method).variants[0].name, run.seeds[0])
    cells = [planner.corpus, *profile.needs.values(), profile]
    once = list({cell.key: cell for cell in cells}.values())
    outcomes = execute(once, store, LocalExecutor(store, 1), display, kernels={})
    for outcome in outcomes:
        if outcome.status == "failed":
            raise ValueError(f"{outcome.cell.label} failed: {outcome.reason}")
    measured = {row.metric: row.value for row in read_measurements(store.artifact(profile.key))}
    assert measured["validation_loss"] is not None, profile.label
    return measured["validation_loss"]
