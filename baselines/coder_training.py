"""The training of dictionaries that train all their layers together: what such a dictionary offers, and its steps."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from baselines.activations import ActivationStream
from baselines.config import DictionaryConfig
from baselines.dictionary import check_weights, forget_moments
from baselines.dictionary_training import DictionaryTraining, restore_adam, state_of_adam
from benchmark.methods import DivergedError
from benchmark.model.devices import device_of
from benchmark.progress import Progress
from sparse_model.checkpoint import Checkpoints, State
from sparse_model.resuming import train_to_end

LARGEST_GRADIENT = 1.0
"""The norm to which gradients are clipped, as in sae-lens."""

Sources = Sequence[Float[Tensor, "*row source"]]
Targets = Sequence[Float[Tensor, "*row target"]]
"""Inputs and outputs of the sublayers, one tensor per layer; rows are apart, or lie in windows."""


@dataclass(frozen=True, eq=False)
class Loss:
    """The loss on one batch."""

    error: float
    """Squared error summed over layers and channels, mean over rows, in normalised units."""
    total: Float[Tensor, ""]
    """The error plus the penalties: what is minimised."""
    missed: Targets
    """Target minus prediction of each layer."""
    fired: Bool[Tensor, "layer feature"]
    """Which features fired at all."""


class SparseCoder(nn.Module, ABC):
    """A dictionary during training.

    Attributes:
        layers: Number of layers, each with the same number of features.
    """

    layers: int

    @abstractmethod
    def loss(self, inputs: Sources, targets: Targets, dead: Bool[Tensor, "layer feature"], step: int) -> Loss:
        """The loss on normalised inputs and outputs at a step, counted from 0."""

    @abstractmethod
    def revive(
        self, dead: Bool[Tensor, "layer feature"], inputs: Sources, missed: Targets, generator: torch.Generator
    ) -> Iterable[tuple[Tensor, Any]]:
        """Move dead features to where the error is large; the parameters that changed, each with an index into it."""


class CoderTraining(DictionaryTraining):
    """Training with Adam; the learning rate rises linearly, stays constant, then falls linearly to zero."""

    def __init__(
        self,
        coder: SparseCoder,
        batches: Iterator[tuple[Sources, Targets]],
        config: DictionaryConfig,
        generator: torch.Generator,
        stream: ActivationStream | None = None,
    ) -> None:
        super().__init__(config, generator, stream)
        self.coder, self._batches = coder, batches
        self.optimizer = torch.optim.Adam(coder.parameters(), lr=config.learning_rate, fused=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: learning_rate_share(step, config)
        )
        self.silent_for = torch.zeros(coder.layers, config.features, dtype=torch.int64, device=device_of(coder))

    def step(self) -> float:
        """One step, and the revival of dead features when it is time; the error."""
        inputs, targets = next(self._batches)
        loss = self.coder.loss(inputs, targets, self.silent_for > self.config.dead_after, self.done)
        DivergedError.unless_finite(loss.error, self.done, self.config)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(self.coder.parameters(), LARGEST_GRADIENT)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        self.silent_for = torch.where(loss.fired, 0, self.silent_for + 1)
        if self.config.revives(self.done + 1):
            self._revive(inputs, loss.missed)
        return loss.error

    def _revive(self, inputs: Sources, missed: Targets) -> None:
        """Move dead features to where the error of this batch is large, and count them as alive."""
        dead = self.silent_for > self.config.dead_after
        forget_moments(self.optimizer, self.coder.revive(dead, inputs, missed, self.generator))
        self.silent_for[dead] = 0

    def parts(self) -> dict[str, State]:
        """The parameters, Adam, and for how many steps each feature has not fired."""
        adam, silent_for = state_of_adam(self.optimizer, self.schedule), State({"steps": self.silent_for})
        return {"coder": State(self.coder.state_dict()), "adam": adam, "silent_for": silent_for}

    def restore(self, state: State) -> None:
        """Restore what `parts` has given, joined."""
        self.coder.load_state_dict(state.part("coder").tensors)
        restore_adam(self.optimizer, self.schedule, state.part("adam"))
        self.silent_for.copy_(state.part("silent_for").tensors["steps"])


def fit(
    coder: SparseCoder,
    batches: Iterator[tuple[Sources, Targets]],
    config: DictionaryConfig,
    generator: torch.Generator,
    progress: Progress,
    stream: ActivationStream | None = None,
    checkpoints: Checkpoints | None = None,
) -> None:
    """Train a dictionary; with checkpoints, the batches must come from the stream."""
    train_to_end(CoderTraining(coder, batches, config, generator, stream), progress, checkpoints)
    check_weights([coder], config)
    coder.eval()


def learning_rate_share(step: int, config: DictionaryConfig) -> float:
    """The learning rate at a step as a share of its peak."""
    rising = (step + 1) / max(1.0, config.warm_up * config.steps)
    falling = (config.steps - step) / max(1.0, config.decay * config.steps)
    return min(1.0, rising, falling)
