"""A tiny dense model with random weights, and a corpus of random tokens for it."""

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE

from baselines.dictionary import Encoder
from baselines.lorsa.heads import SparseHeads
from baselines.lorsa.replacement import ReplacedAttention
from baselines.replaced_stream import ReplacedStream
from baselines.replacement import ReplacedMLPs
from benchmark.corpus import Corpus, CorpusConfig
from sparse_model.config import TransformerConfig
from sparse_model.transformer import Transformer

VOCABULARY, CONTEXT, CHANNELS, LAYERS = 24, 10, 16, 3


def random_dense(layers: int = LAYERS, **settings) -> Transformer:
    """Blocks with weights large enough that every part matters, gains and biases included."""
    config = TransformerConfig(
        vocabulary=VOCABULARY,
        context=CONTEXT,
        layers=layers,
        d_model=CHANNELS,
        d_head=8,
        activation_density=1.0,
        **settings,
    )
    model = Transformer(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(1.0 if name.endswith("weight") else 0.0, 0.3, generator=generator)
    return model.eval().requires_grad_(False)


def random_encoder(generator: torch.Generator, features: int, d_in: int = CHANNELS) -> Encoder:
    weight = torch.randn(features, d_in, generator=generator)
    return Encoder(weight, torch.zeros(features), threshold=torch.full((features,), 0.2))


def random_clt(dense: Transformer, variant: str, features: int = 12) -> ReplacedMLPs:
    """A cross-layer transcoder of random weights: it predicts nothing well, and that must not matter."""
    generator = torch.Generator().manual_seed(1)
    layers = dense.config.layers
    return ReplacedMLPs(
        dense,
        [random_encoder(generator, features, dense.config.d_read) for _ in range(layers)],
        [
            [0.1 * torch.randn(CHANNELS, features, generator=generator) for _ in range(layers - source)]
            for source in range(layers)
        ],
        [torch.randn(CHANNELS, generator=generator) for _ in range(layers)],
        [torch.randn(CHANNELS, generator=generator) for _ in range(layers)],
        variant,
    )


def random_transcoders(dense: Transformer, variant: str) -> ReplacedMLPs:
    clt = random_clt(dense, variant)
    own = [[decoders[0].data] for decoders in clt.decoders]
    return ReplacedMLPs(dense, list(clt.encoders), own, list(clt.biases), list(clt.mean_error), variant)


def random_saes(dense: Transformer, variant: str, features: int = 12) -> ReplacedStream:
    generator = torch.Generator().manual_seed(2)
    encoders, decoders, biases = [], [], []
    for _ in range(dense.config.layers):
        encoders.append(random_encoder(generator, features))
        decoders.append([0.1 * torch.randn(CHANNELS, features, generator=generator)])
        biases.append(torch.randn(CHANNELS, generator=generator))
    mean_error = [torch.randn(CHANNELS, generator=generator) for _ in range(dense.config.layers)]
    return ReplacedStream(dense, encoders, decoders, biases, mean_error, variant)


def random_heads(generator: torch.Generator, features: int, d_in: int = CHANNELS, groups: int = 4) -> SparseHeads:
    weight = torch.randn(features, d_in, generator=generator)
    queries, keys = (
        (torch.randn(groups * 8, d_in, generator=generator), torch.randn(groups * 8, generator=generator))
        for _ in range(2)
    )
    return SparseHeads(weight, torch.randn(features, generator=generator), queries, keys, groups=groups, k=5)


def random_lorsa(dense: Transformer, variant: str, features: int = 12) -> ReplacedAttention:
    """Twelve sparse heads per layer, which share four query-key circuits and predict nothing well."""
    generator = torch.Generator().manual_seed(6)
    layers = dense.config.layers
    return ReplacedAttention(
        dense,
        [random_heads(generator, features, dense.config.d_read) for _ in range(layers)],
        [[0.3 * torch.randn(CHANNELS, features, generator=generator)] for _ in range(layers)],
        [torch.randn(CHANNELS, generator=generator) for _ in range(layers)],
        [torch.randn(CHANNELS, generator=generator) for _ in range(layers)],
        variant,
    )


def random_tokens(rows: int = 3, seed: int = 3) -> torch.Tensor:
    return torch.randint(VOCABULARY, (rows, CONTEXT), generator=torch.Generator().manual_seed(seed))


class RandomCorpus(Corpus):
    """Windows of random tokens, the same at every call."""

    def windows(self, split):
        seed = ("train", "validation", "test").index(split)
        drawn = np.random.default_rng(seed).integers(VOCABULARY, size=(64, CONTEXT + 1))
        return drawn.astype(np.uint16)


def random_corpus() -> RandomCorpus:
    return RandomCorpus(Path(), CorpusConfig(tokens=640, context=CONTEXT), Tokenizer(BPE()))
