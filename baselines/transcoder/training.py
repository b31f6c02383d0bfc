"""Trains a transcoder for every MLP of the dense model with sae-lens's trainer, and loads them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from baselines.activations import normalised, normalisers, places, stream
from baselines.files import load_mean_errors, load_places
from baselines.quality import finish, training_flops
from baselines.replacement import ReplacedMLPs, dense_of, no_errors
from baselines.transcoder import TranscoderConfig
from benchmark.corpus import Corpus
from benchmark.methods import Facts
from benchmark.model.interface import CircuitModel
from benchmark.progress import Progress
from sparse_model.transformer import Transformer


def train(
    corpus: Corpus,
    config: TranscoderConfig,
    seed: int,
    needed: Mapping[str, CircuitModel],
    folder: Path,
    progress: Progress,
) -> Facts:
    """Train from the seed alone, all layers from one stream; a run that was stopped begins again."""
    from baselines.sae_lens_training import fit, fold, new_transcoder

    dense = dense_of(needed)
    sources, targets = places(dense, "mlp_in"), places(dense, "mlp_out")
    generator = torch.Generator().manual_seed(seed)
    batches = stream(dense, corpus.windows("train"), [*sources, *targets], config.batch, generator)
    measures = normalisers(batches)
    widths = [len(measures[name].mean) for name in sources]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transcoders = [new_transcoder(config, width, dense.config.d_model) for width in widths]
    pairs = joined(normalised(batches, measures), sources, targets)
    fit(dict(zip(targets, transcoders, strict=True)), pairs, config, generator, progress)
    for source, target, transcoder in zip(sources, targets, transcoders, strict=True):
        fold(transcoder, measures[source], measures[target])
        transcoder.save_inference_model(folder / target)
    model = build(dense, folder, no_errors(dense), "errors_ablated")
    return finish(model, corpus, config.measured_tokens, folder, training_flops(model, config.tokens))


def load(folder: Path, variant: str, needed: Mapping[str, CircuitModel]) -> ReplacedMLPs:
    """The dense model with its MLPs replaced."""
    return build(dense_of(needed), folder, load_mean_errors(folder), variant)


def build(dense: Transformer, folder: Path, mean_error: list[Float[Tensor, " channel"]], variant: str) -> ReplacedMLPs:
    """The dense model with its MLPs replaced by what a folder holds."""
    found = load_places(folder, places(dense, "mlp_out"))
    return ReplacedMLPs(
        dense,
        [place.encoder for place in found],
        [[place.decoder] for place in found],
        [place.bias for place in found],
        mean_error,
        variant,
    )


def joined(
    batches: Iterator[dict[str, Tensor]], sources: list[str], targets: list[str]
) -> Iterator[dict[str, Float[Tensor, "batch source+target"]]]:
    """Each row of a layer with what is read and, behind it, what is to be predicted."""
    for batch in batches:
        yield {
            target: torch.cat([batch[source], batch[target]], dim=-1)
            for source, target in zip(sources, targets, strict=True)
        }
