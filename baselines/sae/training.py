"""Trains an SAE after every block of the dense model with sae-lens's trainer, and loads them."""

from collections.abc import Mapping
from pathlib import Path

import torch

from baselines.activations import normalised, normalisers, places, stream
from baselines.files import load_mean_errors, load_places
from baselines.quality import finish, training_flops
from baselines.replacement import ReplacedStream, dense_of, no_errors
from baselines.sae import SAEConfig
from benchmark.corpus import Corpus
from benchmark.methods import Facts
from benchmark.model.interface import CircuitModel
from benchmark.progress import Progress


def train(
    corpus: Corpus,
    config: SAEConfig,
    seed: int,
    needed: Mapping[str, CircuitModel],
    folder: Path,
    progress: Progress,
) -> Facts:
    """Train from the seed alone, all layers from one stream; a run that was stopped begins again."""
    from baselines.sae_lens_training import fit, fold, new_sae

    dense = dense_of(needed)
    names = places(dense, "resid_post")
    generator = torch.Generator().manual_seed(seed)
    batches = stream(dense, corpus.windows("train"), names, config.batch, generator)
    measures = normalisers(batches)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        saes = {name: new_sae(config, config.activation, dense.config.d_model) for name in names}
    fit(saes, normalised(batches, measures), config, generator, progress)
    for name, sae in saes.items():
        fold(sae, measures[name], measures[name])
        sae.save_inference_model(folder / name)
    model = ReplacedStream(dense, load_places(folder, names), no_errors(dense), "errors_ablated")
    return finish(model, corpus, config.measured_tokens, folder, training_flops(model, config.tokens))


def load(folder: Path, variant: str, needed: Mapping[str, CircuitModel]) -> ReplacedStream:
    """The dense model with its stream replaced."""
    dense = dense_of(needed)
    return ReplacedStream(dense, load_places(folder, places(dense, "resid_post")), load_mean_errors(folder), variant)
