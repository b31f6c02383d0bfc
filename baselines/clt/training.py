"""Trains the cross-layer transcoder of the dense model, and loads it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from baselines.activations import normalised, normalisers, places, stream
from baselines.clt import CLTConfig
from baselines.clt.coder import CrossLayerTranscoder
from baselines.clt.files import Layers, load_layers, save_layers
from baselines.dictionary import check_weights
from baselines.files import load_mean_errors
from baselines.quality import finish, training_flops
from baselines.replacement import ReplacedMLPs, dense_of, no_errors
from benchmark.corpus import Corpus
from benchmark.methods import DivergedError, Facts
from benchmark.model.interface import CircuitModel
from benchmark.progress import Progress
from sparse_model.transformer import Transformer

REPORT_EVERY = 20
"""Steps between two reports of progress."""

LARGEST_GRADIENT = 1.0
"""The norm to which a gradient is clipped, as in sae-lens."""


def train(
    corpus: Corpus,
    config: CLTConfig,
    seed: int,
    needed: Mapping[str, CircuitModel],
    folder: Path,
    progress: Progress,
) -> Facts:
    """Train from the seed alone; a run that was stopped begins again and ends in the same bytes."""
    dense = dense_of(needed)
    sources, targets = places(dense, "mlp_in"), places(dense, "mlp_out")
    generator = torch.Generator().manual_seed(seed)
    batches = stream(dense, corpus.windows("train"), [*sources, *targets], config.batch, generator)
    measures = normalisers(batches)
    reads, writes = [measures[name] for name in sources], [measures[name] for name in targets]
    coder = CrossLayerTranscoder(config, len(reads[0].mean), len(writes[0].mean), len(reads), generator)
    pairs = (
        ([batch[name] for name in sources], [batch[name] for name in targets])
        for batch in normalised(batches, measures)
    )
    fit(coder, pairs, config, generator, progress)
    save_layers(Layers(coder.encoders(reads), coder.decoders(writes), coder.biases(writes)), folder)
    model = build(dense, folder, no_errors(dense), "errors_ablated")
    return finish(model, corpus, config.measured_tokens, folder, training_flops(model, config.tokens))


def fit(
    coder: CrossLayerTranscoder,
    batches: Iterator[tuple[list[Tensor], list[Tensor]]],
    config: CLTConfig,
    generator: torch.Generator,
    progress: Progress,
) -> None:
    """Adam, its rate rising linearly, then constant, then falling linearly to zero."""
    optimizer = torch.optim.Adam(coder.parameters(), lr=config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_share(step, config))
    silent_for = torch.zeros(coder.layers, config.features, dtype=torch.int64)
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
            forget_features(optimizer, coder, dead)
            silent_for[dead] = 0
        if (step + 1) % REPORT_EVERY == 0 or step + 1 == config.steps:
            progress((step + 1) * config.batch, config.steps * config.batch, f"loss {loss.error:.3f}")
    check_weights([coder], config)
    coder.eval()


def forget_features(
    optimizer: torch.optim.Optimizer, coder: CrossLayerTranscoder, features: Bool[Tensor, "layer feature"]
) -> None:
    """Set Adam's moments of some features to zero."""
    for name in ("exp_avg", "exp_avg_sq"):
        for parameter in (coder.W_enc, coder.b_enc):
            optimizer.state[parameter][name][features] = 0.0
        for decoder, silent in zip(coder.W_dec, features, strict=True):
            optimizer.state[decoder][name][silent] = 0.0


def learning_rate_share(step: int, config: CLTConfig) -> float:
    """Share of the highest learning rate at a step."""
    rising = (step + 1) / max(1.0, config.warm_up * config.steps)
    falling = (config.steps - step) / max(1.0, config.decay * config.steps)
    return min(1.0, rising, falling)


def load(folder: Path, variant: str, needed: Mapping[str, CircuitModel]) -> ReplacedMLPs:
    """The dense model with its MLPs replaced."""
    return build(dense_of(needed), folder, load_mean_errors(folder), variant)


def build(dense: Transformer, folder: Path, mean_error: list[Float[Tensor, " channel"]], variant: str) -> ReplacedMLPs:
    """The dense model with its MLPs replaced by what a folder holds."""
    layers = load_layers(folder)
    decoders = [[weight.T.contiguous() for weight in decoder.unbind(1)] for decoder in layers.decoders]
    return ReplacedMLPs(dense, layers.encoders, decoders, layers.biases, mean_error, variant)
