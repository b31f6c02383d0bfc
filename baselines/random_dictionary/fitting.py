"""Draws random directions after every block of the dense model and fits what is not a direction: scale and bias."""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from baselines.activations import activations, inputs, place, places
from baselines.dictionary import Encoder, Place
from baselines.files import load_mean_errors, load_places, save_top_k_place
from baselines.quality import BATCH, finish, first_windows
from baselines.random_dictionary import RandomDictionaryConfig
from baselines.replacement import ReplacedStream, dense_of, no_errors
from benchmark.corpus import Corpus
from benchmark.methods import Facts
from benchmark.model.interface import CircuitModel
from benchmark.progress import Progress


def train(
    corpus: Corpus,
    config: RandomDictionaryConfig,
    seed: int,
    needed: Mapping[str, CircuitModel],
    folder: Path,
    progress: Progress,
) -> Facts:
    """Draw from the seed and fit on training windows."""
    dense = dense_of(needed)
    windows = first_windows(corpus.windows("train"), config.measured_tokens)
    parts = [activations(dense, inputs(windows[at : at + BATCH])) for at in range(0, len(windows), BATCH)]
    generator = torch.Generator().manual_seed(seed)
    for layer in range(dense.config.layers):
        name = place(layer, "resid_post")
        values = torch.cat([part[name].flatten(0, 1) for part in parts])
        directions = F.normalize(torch.randn(config.features, values.shape[1], generator=generator), dim=-1)
        save_top_k_place(fitted(directions, config.k, values), folder / name)
        progress(layer + 1, dense.config.layers)
    model = ReplacedStream(dense, load_places(folder, places(dense, "resid_post")), no_errors(dense), "errors_ablated")
    return finish(model, corpus, config.measured_tokens, folder, 0.0)


def load(folder: Path, variant: str, needed: Mapping[str, CircuitModel]) -> ReplacedStream:
    """The dense model with its stream replaced."""
    dense = dense_of(needed)
    return ReplacedStream(dense, load_places(folder, places(dense, "resid_post")), load_mean_errors(folder), variant)


def fitted(directions: Float[Tensor, "feature channel"], k: int, values: Float[Tensor, "row channel"]) -> Place:
    """A tied TopK dictionary of given directions, its scale by least squares and its biases by means alone."""
    mean = values.mean(0)
    encoder = Encoder(directions, -(directions @ mean), k=k).requires_grad_(False)
    predicted = encoder(values) @ directions
    deviation = predicted - predicted.mean(0)
    scale = (deviation * (values - mean)).sum() / deviation.square().sum()
    return Place(encoder, scale * directions.T, mean - scale * predicted.mean(0))
