"""Draws random directions after every block of the dense model and fits everything else: scale and bias."""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from baselines.activations import activations, hook_points
from baselines.config import WidthConfig
from baselines.dictionary import Encoder
from baselines.files import save_top_k
from baselines.quality import BATCH, finish, first_windows
from baselines.replaced_stream import load_stream
from baselines.replacement import dense_of
from benchmark.corpus import Corpus
from benchmark.corpus.sampling import tokens_and_targets
from benchmark.methods import Facts
from benchmark.model.interface import CircuitModel
from benchmark.progress import Progress


def train(
    corpus: Corpus, config: WidthConfig, seed: int, needed: Mapping[str, CircuitModel], folder: Path, progress: Progress
) -> Facts:
    """Draw the directions from the seed and fit the rest on training windows."""
    dense = dense_of(needed)
    tokens, _ = tokens_and_targets(first_windows(corpus.windows("train"), config.measured_tokens))
    parts = [activations(dense, rows) for rows in tokens.split(BATCH)]
    generator = torch.Generator().manual_seed(seed)
    for layer, name in enumerate(hook_points(dense, "resid_post")):
        values = torch.cat([part[name].flatten(0, 1) for part in parts])
        directions = F.normalize(torch.randn(config.features, values.shape[1], generator=generator), dim=-1).to(values)
        save_top_k(*fitted(directions, config.k, values), folder / name)
        progress(layer + 1, dense.config.layers)
    return finish(load_stream, corpus, config, needed, folder)


def fitted(
    directions: Float[Tensor, "feature channel"], k: int, values: Float[Tensor, "row channel"]
) -> tuple[Encoder, Float[Tensor, "channel feature"], Float[Tensor, " channel"]]:
    """Encoder, decoder and bias for given directions: the scale by least squares, the biases from means only."""
    mean = values.mean(0)
    encoder = Encoder(directions, -(directions @ mean), k=k).requires_grad_(False)
    predicted = encoder(values) @ directions
    deviation = predicted - predicted.mean(0)
    scale = (deviation * (values - mean)).sum() / deviation.square().sum()
    return encoder, scale * directions.T, mean - scale * predicted.mean(0)
