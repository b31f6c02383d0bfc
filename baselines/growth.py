"""What training steps of dictionaries cost by features and layers, for `bench growth`."""

from collections.abc import Callable

import torch

from baselines.clt import CLTConfig
from baselines.clt.coder import CrossLayerTranscoder
from baselines.config import DictionaryConfig
from baselines.speed import cross_layer_steps, sae_steps, top_k_sae
from benchmark.studies.growth import Workload
from benchmark.studies.speed import drawn

WIDTH, ROWS, K = 64, 256, 12
"""Channels, tokens per step, and features that fire."""

FEATURES, LAYERS = (512, 1_024, 4_096, 16_384), (2, 3, 4, 6, 8)
"""The sizes."""


def workloads() -> list[Workload]:
    """All workloads, on random numbers."""
    return [
        Workload(
            name="training step of a TopK SAE",
            axis="features",
            sizes=FEATURES,
            prepare=_sae_step,
            operations=lambda features: _operations(features, 2 * WIDTH * features),
            numbers=lambda features: _numbers(features, 2 * WIDTH * features),
        ),
        Workload(
            name="training step of a cross-layer transcoder of 2 layers",
            axis="features",
            sizes=FEATURES,
            prepare=lambda features: _clt_step(features, layers=2),
            operations=lambda features: _operations(2 * features, _clt_weights(features, 2)),
            numbers=lambda features: _numbers(2 * features, _clt_weights(features, 2)),
        ),
        Workload(
            name="training step of a cross-layer transcoder of 1,024 features",
            axis="layers",
            sizes=LAYERS,
            prepare=lambda layers: _clt_step(1_024, layers),
            operations=lambda layers: _operations(layers * 1_024, _clt_weights(1_024, layers)),
            numbers=lambda layers: _numbers(layers * 1_024, _clt_weights(1_024, layers)),
        ),
    ]


def _operations(features: int, weights: int) -> int:
    """Products forward and backward, about 20 operations per feature and token to select features, and Adam."""
    return 6 * ROWS * weights + 20 * ROWS * features + 15 * weights


def _numbers(features: int, weights: int) -> int:
    """Parameters, gradients and two moments; pre-activations, what decides the selection, features, a gradient."""
    return 4 * weights + 4 * ROWS * features


def _clt_weights(features: int, layers: int) -> int:
    """Entries of the encoders and decoders: features of a layer write to that layer and to all later ones."""
    return features * WIDTH * (layers + layers * (layers + 1) // 2)


def _sae_step(features: int) -> Callable[[], object]:
    config = DictionaryConfig(features=features, k=K, batch=ROWS, tokens=ROWS, revivals=0)
    return sae_steps(top_k_sae(config, WIDTH), drawn(ROWS, WIDTH), config)


def _clt_step(features: int, layers: int) -> Callable[[], object]:
    config = CLTConfig(features=features, k=K, batch=ROWS, tokens=ROWS, revivals=0)
    return cross_layer_steps(CrossLayerTranscoder(config, WIDTH, WIDTH, layers, torch.Generator().manual_seed(0)))
