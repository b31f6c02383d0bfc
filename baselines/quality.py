"""Measures a trained dictionary: its reconstruction error, its sparsity, and the loss with all layers replaced."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from jaxtyping import Float, UInt
from torch import Tensor

from baselines.activations import Windows, hook_points
from baselines.config import MeasuredConfig
from baselines.files import save_mean_errors
from baselines.replacement import Replacement, dense_of, no_errors
from benchmark import metrics
from benchmark.corpus import Corpus
from benchmark.corpus.sampling import tokens_and_targets
from benchmark.methods import Facts
from benchmark.model.devices import in_double
from benchmark.model.interface import CircuitModel, Site, next_token_loss

BATCH = 16
"""Windows per forward pass."""

LayerRows = tuple[Float[Tensor, "row feature"], Float[Tensor, "row channel"], Float[Tensor, "row channel"]]
"""Features, prediction and target of one layer."""

Load = Callable[[Path, str, Mapping[str, CircuitModel]], Replacement]
"""A method's `load`: folder, variant, needed models."""


def first_windows(windows: Windows, tokens: int) -> UInt[np.ndarray, "_taken token"]:
    """The first windows, at most `tokens` positions in total but at least one window."""
    return windows[: max(1, tokens // (windows.shape[1] - 1))]


def finish(
    load: Load,
    corpus: Corpus,
    config: MeasuredConfig,
    needed: Mapping[str, CircuitModel],
    folder: Path,
    tokens: int | None = 0,
) -> Facts:
    """The last step of training a dictionary: measure its mean errors and its quality, and return its facts.

    What is undefined is left out of the facts, as `loss_recovered` is where no feature at its mean does any harm.

    Args:
        load: Loads the trained dictionary.
        corpus: Mean errors are measured on its training windows, the quality on its validation windows.
        config: Has the number of tokens for each.
        needed: The dense model.
        folder: Contains the dictionary; `mean_error.safetensors` and `quality.json` are written into it.
        tokens: Number of training tokens. Each costs 6 operations per parameter of the dictionary; the dense model's
            own passes are not counted. `None` if it was trained elsewhere.
    """
    save_mean_errors(no_errors(dense_of(needed)), folder)
    model = load(folder, "errors_ablated", needed)
    save_mean_errors(mean_errors(model, first_windows(corpus.windows("train"), config.measured_tokens)), folder)
    model = load(folder, "errors_ablated", needed)
    validation = first_windows(corpus.windows("validation"), config.measured_tokens)
    layers, losses = quality(model, validation)
    measured = {"layers": layers, **losses, "tokens": validation[:, 1:].size}
    (folder / "quality.json").write_text(json.dumps(measured, indent=1), encoding="utf-8")
    dense, dictionary = model.dense, model.dictionary_parameters()
    used = [value for name, value in dense.named_parameters() if name != "bigram" and not model.replaces(name)]
    used += dictionary
    summary = {name: fmean(layer[name] for layer in layers.values()) for name in ("fvu", "l0", "dead_fraction")}
    if not math.isnan(losses["replaced"]):
        summary["loss_increase"] = metrics.loss_increase(losses["replaced"], losses["original"])
        summary["loss_recovered"] = metrics.loss_recovered(**losses)
    return Facts(
        validation_loss=losses["replaced"],
        parameters=sum(parameter.numel() for parameter in used),
        nonzero_parameters=sum(int(parameter.count_nonzero()) for parameter in used),
        bigram_parameters=sum(value.numel() for name, value in dense.named_parameters() if name == "bigram"),
        training_flops=None if tokens is None else 6.0 * tokens * sum(parameter.numel() for parameter in dictionary),
        dictionary={name: value for name, value in summary.items() if math.isfinite(value)},
    )


@torch.no_grad()
def mean_errors(model: Replacement, windows: Windows) -> list[Float[Tensor, " channel"]]:
    """The mean reconstruction error of each layer on activations of the dense model."""
    totals = [torch.zeros(model.dense.config.d_model, dtype=torch.float64) for _ in model.mean_error]
    for layers in _reconstructed(model, windows):
        for total, (_, prediction, target) in zip(totals, layers, strict=True):
            total += in_double(target - prediction).sum(0).cpu()
    return [(total / windows[:, 1:].size).float() for total in totals]


@torch.no_grad()
def quality(model: Replacement, windows: Windows) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """The quality of a dictionary; `model` is its variant with every error ablated.

    Returns:
        Reconstruction metrics on the dense model's activations, by the hook point of each layer; and next-token losses
        in nats: `original` for the dense model, `replaced` with all layers replaced simultaneously and every error at
        its mean, `ablated` with every feature at its mean as well.
    """
    assert not model.errors_available, "only the dictionary itself is measured"
    gathered = list(_reconstructed(model, windows))
    layers, means = {}, {}
    feature_sites = [site.name for site in model.sites if site.kind == "feature"]
    for layer, (site, name) in enumerate(zip(feature_sites, hook_points(model.dense, model.target), strict=True)):
        features, prediction, target = (
            torch.cat(parts) for parts in zip(*(each[layer] for each in gathered), strict=True)
        )
        means[site] = features.mean(0)
        layers[name] = {
            "fvu": metrics.fvu(target, prediction),
            "l0": metrics.l0(features),
            "dead_fraction": metrics.dead_fraction(features),
            "dense_fraction": float(((features != 0).float().mean(0) > 0.1).float().mean()),
        }

    def at_mean(site: Site, values: Tensor) -> Tensor:
        return means[site.name].expand_as(values) if site.kind == "feature" else values

    tokens, targets = tokens_and_targets(windows)
    losses = {
        "original": next_token_loss(model.dense, tokens, targets),
        "replaced": next_token_loss(model, tokens, targets),
        "ablated": next_token_loss(model, tokens, targets, at_mean),
    }
    return layers, losses


def _reconstructed(model: Replacement, windows: Windows) -> Iterator[list[LayerRows]]:
    """Features, predictions and targets of each layer on activations of the dense model, a few windows at a time."""
    sources, targets = hook_points(model.dense, model.source), hook_points(model.dense, model.target)
    for tokens in tokens_and_targets(windows)[0].split(BATCH):
        found = model.activations(tokens)
        predicted = model.reconstructions([found[name] for name in sources])
        yield [
            (features.flatten(0, 1), prediction.flatten(0, 1), found[name].flatten(0, 1))
            for (features, prediction), name in zip(predicted, targets, strict=True)
        ]
