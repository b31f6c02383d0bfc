"""Trains to the end: with progress reports, checkpoints at intervals, and one more checkpoint when asked to stop."""

import math
import time
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from benchmark.progress import Progress, StopRequested
from sparse_model.checkpoint import LOG, Checkpoints, State

REPORT_SECONDS = 0.25
"""Seconds between two progress reports, each of which may ask to stop."""


@runtime_checkable
class Training(Protocol):
    """A training run that can be interrupted after any step."""

    @property
    def done(self) -> int:
        """Number of steps that have been done."""
        ...

    @property
    def total(self) -> int:
        """Number of steps of the whole run."""
        ...

    def advance(self) -> None:
        """Do the next step."""
        ...

    def report(self, seconds: float) -> tuple[int, int, str]:
        """What `Progress` takes, `seconds` after this process began to train."""
        ...

    def state(self) -> State:
        """Everything that later steps depend on."""
        ...

    def resume(self, state: State) -> None:
        """Restore the run that `state` was taken from."""
        ...


def train_to_end(training: Training, progress: Progress, checkpoints: Checkpoints | None = None) -> None:
    """Do the remaining steps, from the checkpoint if there is one.

    Args:
        training: A run that has not taken a step yet.
        progress: Receives a report every `REPORT_SECONDS`.
        checkpoints: Where checkpoints are read and written; without it there are none.

    Raises:
        StopRequested: Passed on from `progress` after a checkpoint of the last finished step has been written.
        OSError: That checkpoint cannot be written.
    """
    if checkpoints is not None and (found := checkpoints.load()) is not None:
        training.resume(found)
    began, reported = time.monotonic(), -math.inf
    try:
        while training.done < training.total:
            training.advance()
            now = time.monotonic()
            if now - reported >= REPORT_SECONDS or training.done == training.total:
                progress(*training.report(now - began))
                reported = now
            if checkpoints is not None and checkpoints.due:
                _save_if_possible(training, checkpoints)
    except StopRequested:
        if checkpoints is not None:
            checkpoints.save(training.state())
        raise


def _save_if_possible(training: Training, checkpoints: Checkpoints) -> None:
    """Write a checkpoint; training goes on without it if the disk does not take it now."""
    try:
        checkpoints.save(training.state())
    except OSError as error:
        LOG.warning("no checkpoint could be written: %s", error)


def moments_of(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimizer remembers of its parameters, each by the parameter's number."""
    kept = optimizer.state_dict()["state"]
    return {f"{number}/{name}": value for number, values in kept.items() for name, value in values.items()}


def restore_moments(optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor]) -> None:
    """Restore what `moments_of` has given; learning rates stay as they are."""
    kept: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        number, _, name = key.partition("/")
        kept.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": kept, "param_groups": optimizer.state_dict()["param_groups"]})
