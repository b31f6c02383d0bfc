"""Trains the low-rank sparse attention of the dense model, and loads it."""

from collections.abc import Mapping
from pathlib import Path

import torch

from baselines.activations import hook_points, normalised_stream
from baselines.coder_training import fit
from baselines.dictionary_training import checkpoints_of
from baselines.files import load_mean_errors
from baselines.lorsa import LorsaConfig
from baselines.lorsa.activations import WindowStream, windows_of
from baselines.lorsa.coder import SparseAttentionCoder
from baselines.lorsa.files import load_heads, save_heads
from baselines.lorsa.replacement import ReplacedAttention
from baselines.quality import finish
from baselines.replacement import Replacement, dense_of
from benchmark.corpus import Corpus
from benchmark.methods import Facts
from benchmark.model.devices import device_of
from benchmark.model.interface import CircuitModel
from benchmark.progress import Progress
from sparse_model.transformer import Transformer


def train(
    corpus: Corpus, config: LorsaConfig, seed: int, needed: Mapping[str, CircuitModel], folder: Path, progress: Progress
) -> Facts:
    """Train all layers on one stream of windows; an interrupted run resumes and gives the same bytes.

    Raises:
        ValueError: A batch is not a whole number of windows.
    """
    dense, windows = transformer_of(needed), corpus.windows("train")
    windows_of(config.batch, windows.shape[1] - 1)
    sources, targets = hook_points(dense, "attn_in"), hook_points(dense, "attn_out")
    generator = torch.Generator().manual_seed(seed)
    stream = WindowStream(dense, windows, [*sources, *targets], config.batch, generator)
    normalisers, batches = normalised_stream(stream)
    checkpoints = checkpoints_of("lorsa", corpus, config, seed, dense, folder)
    reads, writes = [normalisers[name] for name in sources], [normalisers[name] for name in targets]
    coder = SparseAttentionCoder(config, dense, reads, generator).to(device_of(dense))
    pairs = (([batch[name] for name in sources], [batch[name] for name in targets]) for batch in batches)
    fit(coder, pairs, config, generator, progress, stream, checkpoints)
    save_heads(coder.dictionary(reads, writes), folder)
    facts = finish(load, corpus, config, needed, folder, config.tokens)
    checkpoints.remove()
    return facts


def load(folder: Path, variant: str, needed: Mapping[str, CircuitModel]) -> Replacement:
    """The dense model with its attention layers replaced."""
    return ReplacedAttention.of(load_heads(folder), transformer_of(needed), load_mean_errors(folder), variant)


def transformer_of(needed: Mapping[str, CircuitModel]) -> Transformer:
    """The dense model, which is one of our own transformers."""
    dense = dense_of(needed)
    assert isinstance(dense, Transformer), type(dense)
    return dense
