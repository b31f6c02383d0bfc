"""The training steps of dictionaries against sae-lens's own and against naive formulas, for `bench speed`."""

from collections.abc import Sequence
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from baselines.clt import CLTConfig
from baselines.clt.coder import CrossLayerTranscoder
from baselines.clt.naive import NaiveTranscoder
from baselines.coder_training import fit as fit_clt
from baselines.config import DictionaryConfig
from benchmark.studies.speed import Comparison, Contestant, drawn

WIDTH, FEATURES, ROWS, LAYERS = 128, 1_024, 1_024, 4
"""The channels, features per layer, tokens per step and layers."""

STEPS = 2
"""Training steps at a time: too few for features to be dead or revived."""


def comparisons(width: int = WIDTH, features: int = FEATURES, rows: int = ROWS) -> list[Comparison]:
    """All comparisons, on random numbers."""
    settings: dict[str, Any] = {"features": features, "k": 12, "batch": rows, "tokens": STEPS * rows, "revivals": 0}
    return [
        _sae(DictionaryConfig(**settings), width),
        _transcoder(DictionaryConfig(**settings), width),
        _cross_layer_transcoder(CLTConfig(**settings), width),
    ]


def _sae(config: DictionaryConfig, width: int) -> Comparison:
    from baselines.sae_lens_own import own_sae

    ours = top_k_sae(config, width)
    return Comparison(
        name=f"{STEPS} training steps of a TopK SAE, by sae-lens's trainer",
        shapes=_shapes_of(config, width),
        ours=sae_steps(ours, drawn(config.batch, width), config),
        others={"sae-lens's own SAE": sae_steps(own_sae(ours), drawn(config.batch, width), config)},
        tolerance=1e-3,
        tokens=STEPS * config.batch,
    )


def _transcoder(config: DictionaryConfig, width: int) -> Comparison:
    from baselines.sae_lens_own import own_transcoder
    from baselines.sae_lens_training import new_transcoder

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ours = new_transcoder(config, width, width)
    rows = drawn(config.batch, 2 * width)
    return Comparison(
        name=f"{STEPS} training steps of a BatchTopK transcoder, by sae-lens's trainer",
        shapes=_shapes_of(config, width),
        ours=sae_steps(ours, rows, config),
        others={"sae-lens's own step": sae_steps(own_transcoder(ours), rows, config)},
        tolerance=1e-3,
        tokens=STEPS * config.batch,
    )


def top_k_sae(config: DictionaryConfig, width: int) -> Any:
    """An untrained TopK SAE, the same at every call."""
    from baselines.sae_lens_training import new_sae

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return new_sae(config, "topk", width)


def sae_steps(sae: Any, rows: Tensor, config: DictionaryConfig) -> Contestant:
    """All training steps of a config on one batch, and the weights afterwards."""
    from baselines.sae_lens_training import fit

    def run() -> Sequence[Tensor]:
        fit({"": sae}, repeat({"": rows}), config, torch.Generator(), _silent)
        return [sae.W_enc, sae.W_dec, sae.b_dec]

    return run


def _cross_layer_transcoder(config: CLTConfig, width: int) -> Comparison:
    ours = CrossLayerTranscoder(config, width, width, LAYERS, torch.Generator().manual_seed(0))
    return Comparison(
        name=f"{STEPS} training steps of a cross-layer transcoder",
        shapes=f"{_shapes_of(config, width)}, {LAYERS} layers",
        ours=cross_layer_steps(ours),
        others={"einsum over pairs of layers": cross_layer_steps(NaiveTranscoder(ours))},
        tolerance=1e-3,
        tokens=STEPS * config.batch,
    )


def cross_layer_steps(coder: CrossLayerTranscoder) -> Contestant:
    """All training steps of a config on one batch, and the encoders and biases afterwards."""
    config, width = coder.config, coder.d_out
    inputs, targets = (list(drawn(coder.layers, config.batch, width, seed=seed)) for seed in (0, 1))

    def run() -> Sequence[Tensor]:
        fit_clt(coder, repeat((inputs, targets)), config, torch.Generator(), _silent)
        return [coder.W_enc, coder.b_dec]

    return run


def _shapes_of(config: DictionaryConfig, width: int) -> str:
    return f"{config.batch} tokens, {width} channels, {config.features} features"


def _silent(done: int, total: int, note: str = "") -> None:
    """Report nothing."""
