"""Trains the cross-layer transcoder of the dense model, and loads it."""

from collections.abc import Mapping
from pathlib import Path

import torch

from baselines.activations import ActivationStream, hook_points, normalised_stream
from baselines.clt import CLTConfig
from baselines.clt.coder import CrossLayerTranscoder
from baselines.clt.files import load_cross_layer, save_cross_layer
from baselines.coder_training import fit
from baselines.dictionary_training import checkpoints_of
from baselines.files import load_mean_errors
from baselines.quality import finish
from baselines.replacement import ReplacedMLPs, Replacement, dense_of
from benchmark.corpus import Corpus
from benchmark.methods import Facts
from benchmark.model.devices import device_of
from benchmark.model.interface import CircuitModel
from benchmark.progress import Progress


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
