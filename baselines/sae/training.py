"""Trains an SAE after every block of the dense model with sae-lens's trainer."""

from collections.abc import Mapping
from pathlib import Path

import torch

from baselines.activations import ActivationStream, hook_points, normalised_stream
from baselines.dictionary_training import checkpoints_of
from baselines.quality import finish
from baselines.replaced_stream import load_stream
from baselines.replacement import dense_of
from baselines.sae import SAEConfig
from benchmark.corpus import Corpus
from benchmark.methods import Facts
from benchmark.model.devices import device_of
from benchmark.model.interface import CircuitModel
from benchmark.progress import Progress


def train(
    corpus: Corpus, config: SAEConfig, seed: int, needed: Mapping[str, CircuitModel], folder: Path, progress: Progress
) -> Facts:
    """Train all layers on one stream of activations; an interrupted run resumes and gives the same bytes."""
    from baselines.sae_lens_training import fit, fold, new_sae, save

    dense = dense_of(needed)
    names = hook_points(dense, "resid_post")
    generator = torch.Generator().manual_seed(seed)
    stream = ActivationStream(dense, corpus.windows("train"), names, config.batch, generator)
    normalisers, batches = normalised_stream(stream)
    checkpoints = checkpoints_of("sae", corpus, config, seed, dense, folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        saes = {name: new_sae(config, config.activation, dense.config.d_model).to(device_of(dense)) for name in names}
    fit(saes, batches, config, generator, progress, stream, checkpoints)
    for name, sae in saes.items():
        fold(sae, normalisers[name], normalisers[name])
        save(sae, folder / name)
    facts = finish(load_stream, corpus, config, needed, folder, config.tokens)
    checkpoints.remove()
    return facts
