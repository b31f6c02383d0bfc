"""Trains a transcoder for every MLP of the dense model with sae-lens's trainer, and loads them."""

from collections.abc import Mapping
from pathlib import Path

import torch

from baselines.activations import ActivationStream, hook_points, normalised_stream
from baselines.config import DictionaryConfig
from baselines.dictionary_training import checkpoints_of
from baselines.files import load_dictionary, load_mean_errors
from baselines.quality import finish
from baselines.replacement import ReplacedMLPs, Replacement, dense_of
from benchmark.corpus import Corpus
from benchmark.methods import Facts
from benchmark.model.devices import device_of
from benchmark.model.interface import CircuitModel
from benchmark.progress import Progress


def train(
    corpus: Corpus,
    config: DictionaryConfig,
    seed: int,
    needed: Mapping[str, CircuitModel],
    folder: Path,
    progress: Progress,
) -> Facts:
    """Train all layers on one stream of activations; an interrupted run resumes and gives the same bytes."""
    from baselines.sae_lens_training import fit, fold, new_transcoder, save

    dense = dense_of(needed)
    sources, targets = hook_points(dense, "mlp_in"), hook_points(dense, "mlp_out")
    generator = torch.Generator().manual_seed(seed)
    names = [*sources, *targets]
    stream = ActivationStream(dense, corpus.windows("train"), names, config.batch, generator)
    normalisers, batches = normalised_stream(stream)
    checkpoints = checkpoints_of("transcoder", corpus, config, seed, dense, folder)
    widths = [len(normalisers[name].mean) for name in sources]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transcoders = [new_transcoder(config, width, dense.config.d_model).to(device_of(dense)) for width in widths]
    pairs = list(zip(sources, targets, strict=True))
    joined = ({out: torch.cat([batch[read], batch[out]], dim=-1) for read, out in pairs} for batch in batches)
    fit(dict(zip(targets, transcoders, strict=True)), joined, config, generator, progress, stream, checkpoints)
    for source, target, transcoder in zip(sources, targets, transcoders, strict=True):
        fold(transcoder, normalisers[source], normalisers[target])
        save(transcoder, folder / target)
    facts = finish(load, corpus, config, needed, folder, config.tokens)
    checkpoints.remove()
    return facts


def load(folder: Path, variant: str, needed: Mapping[str, CircuitModel]) -> Replacement:
    """The dense model with its MLPs replaced."""
    dense = dense_of(needed)
    dictionary = load_dictionary(folder, hook_points(dense, "mlp_out"), reads=hook_points(dense, "mlp_in"))
    return ReplacedMLPs.of(dictionary, dense, load_mean_errors(folder), variant)
