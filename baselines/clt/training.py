"""Trains the cross-layer transcoder of the dense model, and loads it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from baselines.activations import hook_points, normalised_stream
from baselines.clt import CLTConfig
from baselines.clt.coder import CrossLayerTranscoder
from baselines.clt.files import load_cross_layer, save_cross_layer
from baselines.dictionary import REPORT_EVERY, check_weights, forget_moments
from baselines.files import load_mean_errors
from baselines.quality import finish
from baselines.replacement import ReplacedMLPs, Replacement, dense_of
from benchmark.corpus import Corpus
from benchmark.methods import DivergedError, Facts
from benchmark.model.devices import device_of
from benchmark.model.interface import CircuitModel
from benchmark.progress import Progress

LARGEST_GRADIENT = 1.0
"""The norm to which gradients are clipped, as in sae-lens."""


def train(
    corpus: Corpus, config: CLTConfig, seed: int, needed: Mapping[str, CircuitModel], folder: Path, progress: Progress
) -> Facts:
    """Train from the seed alone; an interrupted run starts over and gives the same bytes."""
    dense = dense_of(needed)
    sources, targets = hook_points(dense, "mlp_in"), hook_points(dense, "mlp_out")
    generator = torch.Generator().manual_seed(seed)
    names = [*sources, *targets]
    normalisers, batches = normalised_stream(dense, corpus.windows("train"), names, config.batch, generator)
    reads, writes = [normalisers[name] for name in sources], [normalisers[name] for name in targets]
    coder = CrossLayerTranscoder(config, len(reads[0].mean), len(writes[0].mean), len(reads), generator)
    coder.to(device_of(dense))
    pairs = (([batch[name] for name in sources], [batch[name] for name in targets]) for batch in batches)
    fit(coder, pairs, config, generator, progress)
    save_cross_layer(coder.dictionary(reads, writes), folder)
    return finish(load, corpus, config, needed, folder, config.tokens)


def load(folder: Path, variant: str, needed: Mapping[str, CircuitModel]) -> Replacement:
    """The dense model with its MLPs replaced."""
    return ReplacedMLPs.of(load_cross_layer(folder), dense_of(needed), load_mean_errors(folder), variant)


def fit(
    coder: CrossLayerTranscoder,
    batches: Iterator[tuple[list[Tensor], list[Tensor]]],
    config: CLTConfig,
    generator: torch.Generator,
    progress: Progress,
) -> None:
    """Train with Adam; the learning rate rises linearly, stays constant, then falls linearly to zero."""
    optimizer = torch.optim.Adam(coder.parameters(), lr=config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_share(step, config))
    silent_for = torch.zeros(coder.layers, config.features, dtype=torch.int64, device=device_of(coder))
    for step in range(config.steps):
        inputs, targets = next(batches)
        loss = coder.loss(inputs, targets, silent_for > config.dead_after, step)
        DivergedError.unless_finite(loss.error, step, config)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(coder.parameters(), LARGEST_GRADIENT)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        silent_for = torch.where(loss.fired, 0, silent_for + 1)
        if config.revives(step + 1):
            dead = silent_for > config.dead_after
            coder.revive(dead, inputs, loss.missed, generator)
            decoders = zip(coder.W_dec, dead, strict=True)
            forget_moments(optimizer, [(coder.W_enc, dead), (coder.b_enc, dead), *decoders])
            silent_for[dead] = 0
        if (step + 1) % REPORT_EVERY == 0 or step + 1 == config.steps:
            progress((step + 1) * config.batch, config.steps * config.batch, f"loss {loss.error:.3f}")
    check_weights([coder], config)
    coder.eval()


def learning_rate_share(step: int, config: CLTConfig) -> float:
    """The learning rate at a step as a share of its peak."""
    rising = (step + 1) / max(1.0, config.warm_up * config.steps)
    falling = (config.steps - step) / max(1.0, config.decay * config.steps)
    return min(1.0, rising, falling)
