"""What the training runs of all dictionaries share: steps on a stream of activations, and how they are resumed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from baselines.activations import ActivationStream
from baselines.base import ReplaceableModel
from baselines.config import DictionaryConfig
from benchmark.corpus import Corpus
from benchmark.methods import DivergedError
from sparse_model.checkpoint import Checkpoints, State, digest_of, digest_of_parameters
from sparse_model.resuming import moments_of, restore_moments


class DictionaryTraining(ABC):
    """A training run of a dictionary, one batch of activations per step.

    Args:
        config: How it is trained.
        generator: Draws the batches and the revived features.
        stream: Where the batches come from; a run without it cannot be resumed.
    """

    def __init__(
        self, config: DictionaryConfig, generator: torch.Generator, stream: ActivationStream | None = None
    ) -> None:
        self.config, self.generator, self.stream = config, generator, stream
        self.done, self.total = 0, config.steps
        self._loss = 0.0

    @abstractmethod
    def step(self) -> float:
        """Do the next step and return its loss."""

    @abstractmethod
    def parts(self) -> dict[str, State]:
        """The state of what is trained, by name."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Restore what `parts` has given, joined."""

    def advance(self) -> None:
        """Do the next step, and check that its loss is finite."""
        self._loss = self.step()
        DivergedError.unless_finite(self._loss, self.done, self.config)
        self.done += 1

    def report(self, seconds: float) -> tuple[int, int, str]:
        """The tokens that have been seen, and the last loss."""
        return self.done * self.config.batch, self.total * self.config.batch, f"loss {self._loss:.3f}"

    def state(self) -> State:
        """Everything that later steps depend on."""
        assert self.stream is not None, "only a run on a stream is resumed"
        run = State({"generator": self.generator.get_state()}, {"done": self.done})
        return State.joined({**self.parts(), "stream": self.stream.state(), "run": run})

    def resume(self, state: State) -> None:
        """Restore the run that `state` was taken from."""
        assert self.stream is not None, "only a run on a stream is resumed"
        self.restore(state)
        self.stream.resume(state.part("stream"))
        self.generator.set_state(state.part("run").tensors["generator"])  # features may have been revived since
        self.done = state.part("run").values["done"]


def checkpoints_of(
    name: str, corpus: Corpus, config: DictionaryConfig, seed: int, dense: ReplaceableModel, folder: Path
) -> Checkpoints:
    """The checkpoints of the training of a kind of dictionary, which belong to its corpus and its dense model."""
    on = {"corpus": digest_of(corpus.windows("train")), "dense": digest_of_parameters(dense.named_parameters())}
    return Checkpoints(folder, {"dictionary": name, "training": config.model_dump(), "seed": seed, **on})


def state_of_adam(optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler) -> State:
    """The moments of Adam, its learning rate, and where the schedule is."""
    rates = [group["lr"] for group in optimizer.param_groups]
    return State(moments_of(optimizer), {"rates": rates, "schedule": _numbers_of(schedule)})


def restore_adam(
    optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler, state: State
) -> None:
    """Restore what `state_of_adam` has given."""
    restore_moments(optimizer, state.tensors)
    for group, rate in zip(optimizer.param_groups, state.values["rates"], strict=True):
        group["lr"] = rate
    schedule.load_state_dict(state.values["schedule"])


def _numbers_of(schedule: torch.optim.lr_scheduler.LRScheduler) -> Mapping[str, Any]:
    """The state of a schedule, which is JSON for those that are used here."""
    numbers: Mapping[str, Any] = schedule.state_dict()
    return numbers
