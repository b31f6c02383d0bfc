"""Trains the cross-layer transcoder of the dense model, and loads it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from baselines.activations import ActivationStream, hook_points, normalised_stream
from baselines.clt import CLTConfig
from baselines.clt.coder import CrossLayerTranscoder, Sources, Targets
from baselines.clt.files import load_cross_layer, save_cross_layer
from baselines.dictionary import check_weights, forget_moments
from baselines.dictionary_training import DictionaryTraining, checkpoints_of, restore_adam, state_of_adam
from baselines.files import load_mean_errors
from baselines.quality import finish
from baselines.replacement import ReplacedMLPs, Replacement, dense_of
from benchmark.corpus import Corpus
from benchmark.methods import DivergedError, Facts
from benchmark.model.devices import device_of
from benchmark.model.interface import CircuitModel
from benchmark.progress import Progress
from sparse_model.checkpoint import Checkpoints, State
from sparse_model.resuming import train_to_end

LARGEST_GRADIENT = 1.0
"""The norm to which gradients are clipped, as in sae-lens."""


def train(
    corpus: Corpus, config: CLTConfig, seed: int, needed: Mapping[str, CircuitModel], folder: Path, progress: Progress
) -> Facts:
    """Train on a stream of activations; an interrupted run resumes and gives the same bytes."""
    dense = dense_of(needed)
    sources, targets = hook_points(dense, "mlp_in"), hook_points(dense, "mlp_out")
    generator = torch.Generator().manual_seed(seed)
    names = [*sources, *targets]
    stream = ActivationStream(dense, corpus.windows("train"), names, config.batch, generator)
    normalisers, batches = normalised_stream(stream)
    checkpoints = checkpoints_of("clt", corpus, config, seed, dense, folder)
    reads, writes = [normalisers[name] for name in sources], [normalisers[name] for name in targets]
    coder = CrossLayerTranscoder(config, len(reads[0].mean), len(writes[0].mean), len(reads), generator)
    coder.to(device_of(dense))
    pairs = (([batch[name] for name in sources], [batch[name] for name in targets]) for batch in batches)
    fit(coder, pairs, config, generator, progress, stream, checkpoints)
    save_cross_layer(coder.dictionary(reads, writes), folder)
    facts = finish(load, corpus, config, needed, folder, config.tokens)
    checkpoints.remove()
    return facts


def load(folder: Path, variant: str, needed: Mapping[str, CircuitModel]) -> Replacement:
    """The dense model with its MLPs replaced."""
    return ReplacedMLPs.of(load_cross_layer(folder), dense_of(needed), load_mean_errors(folder), variant)


class CoderTraining(DictionaryTraining):
    """Training with Adam; the learning rate rises linearly, stays constant, then falls linearly to zero."""

    def __init__(
        self,
        coder: CrossLayerTranscoder,
        batches: Iterator[tuple[list[Tensor], list[Tensor]]],
        config: CLTConfig,
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
        self.coder.revive(dead, inputs, missed, self.generator)
        decoders = zip(self.coder.W_dec, dead, strict=True)
        forget_moments(self.optimizer, [(self.coder.W_enc, dead), (self.coder.b_enc, dead), *decoders])
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
    coder: CrossLayerTranscoder,
    batches: Iterator[tuple[list[Tensor], list[Tensor]]],
    config: CLTConfig,
    generator: torch.Generator,
    progress: Progress,
    stream: ActivationStream | None = None,
    checkpoints: Checkpoints | None = None,
) -> None:
    """Train a cross-layer transcoder; with checkpoints, the batches must come from the stream."""
    train_to_end(CoderTraining(coder, batches, config, generator, stream), progress, checkpoints)
    check_weights([coder], config)
    coder.eval()


def learning_rate_share(step: int, config: CLTConfig) -> float:
    """The learning rate at a step as a share of its peak."""
    rising = (step + 1) / max(1.0, config.warm_up * config.steps)
    falling = (config.steps - step) / max(1.0, config.decay * config.steps)
    return min(1.0, rising, falling)
