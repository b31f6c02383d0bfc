"""Measures a trained dictionary on a split: how well it reconstructs, how sparse it is, what replacing costs."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt16
from torch import Tensor

from baselines.activations import Windows, activations, inputs, place
from baselines.files import save_mean_errors
from baselines.replacement import Replacement
from benchmark import metrics
from benchmark.corpus import Corpus
from benchmark.corpus.sampling import tokens_and_targets
from benchmark.methods import Facts
from benchmark.model.interface import CircuitModel, Edit, Site, forward, unedited

BATCH = 16
"""Windows run at once."""

LayerRows = tuple[Float[Tensor, "row feature"], Float[Tensor, "row channel"], Float[Tensor, "row channel"]]
"""Of one layer: features, prediction, target."""


@dataclass(frozen=True)
class PlaceQuality:
    """How well one place is replaced, measured on the dense model's activations.

    Attributes:
        place: `blocks.{layer}.{hook}` of what is predicted.
        fvu: Fraction of variance unexplained, 0 is best.
        l0: Mean number of features that fire at a position.
        dead_fraction: Share of the features that never fire on the measured tokens.
        dense_fraction: Share of the features that fire at more than a tenth of the positions.
    """

    place: str
    fvu: float
    l0: float
    dead_fraction: float
    dense_fraction: float


@dataclass(frozen=True)
class Quality:
    """How good a dictionary is, place by place and with all places replaced at once.

    Attributes:
        places: One by one, on the dense model's activations.
        original: Validation loss of the dense model, nats.
        replaced: With every place replaced and every error at its mean, nats.
        ablated: With every replaced place at its mean, nats.
        tokens: Positions that all of this was measured on.
    """

    places: tuple[PlaceQuality, ...]
    original: float
    replaced: float
    ablated: float
    tokens: int

    def summary(self) -> dict[str, float]:
        """The numbers of `Facts.dictionary`, by the name of the metric."""
        return {
            "fvu": fmean(each.fvu for each in self.places),
            "l0": fmean(each.l0 for each in self.places),
            "dead_fraction": fmean(each.dead_fraction for each in self.places),
            "loss_increase": metrics.loss_increase(self.replaced, self.original),
            "loss_recovered": metrics.loss_recovered(self.replaced, self.original, self.ablated),
        }


def first_windows(windows: Windows, tokens: int) -> UInt16[np.ndarray, "_taken token"]:
    """The windows that hold the first so many positions, at least one."""
    return windows[: max(1, tokens // (windows.shape[1] - 1))]


@torch.no_grad()
def mean_errors(model: Replacement, windows: Windows) -> list[Float[Tensor, " channel"]]:
    """What each layer's reconstruction misses on average, in a run of the dense model."""
    totals = [torch.zeros(model.dense.config.d_model, dtype=torch.float64) for _ in model.mean_error]
    for layers in _reconstructed(model, windows):
        for total, (_, prediction, target) in zip(totals, layers, strict=True):
            total += (target - prediction).sum(0, dtype=torch.float64)
    return [(total / windows[:, 1:].size).float() for total in totals]


@torch.no_grad()
def measure(model: Replacement, windows: Windows) -> Quality:
    """The quality of a dictionary; `model` is its variant with every error ablated."""
    assert not model.errors_available, "the dictionary alone is measured"
    gathered = list(_reconstructed(model, windows))
    places, means = [], {}
    for layer, site in enumerate(site for site in model.sites if site.kind == "feature"):
        features, prediction, target = (
            torch.cat(parts) for parts in zip(*(each[layer] for each in gathered), strict=True)
        )
        means[site.name] = features.mean(0)
        places.append(
            PlaceQuality(
                place=place(layer, model.target),
                fvu=metrics.fvu(target, prediction),
                l0=metrics.l0(features),
                dead_fraction=metrics.dead_fraction(features),
                dense_fraction=float(((features != 0).float().mean(0) > 0.1).float().mean()),
            )
        )

    def at_mean(site: Site, values: Tensor) -> Tensor:
        return means[site.name].expand_as(values) if site.kind == "feature" else values

    return Quality(
        places=tuple(places),
        original=next_token_loss(model.dense, windows),
        replaced=next_token_loss(model, windows),
        ablated=next_token_loss(model, windows, at_mean),
        tokens=windows[:, 1:].size,
    )


@torch.no_grad()
def next_token_loss(model: CircuitModel, windows: Windows, edit: Edit = unedited) -> float:
    """Mean cross entropy of the next token, nats."""
    losses = [
        F.cross_entropy(forward(model, tokens, edit).flatten(0, 1), targets.flatten(), reduction="sum").item()
        for tokens, targets in map(tokens_and_targets, _parts(windows))
    ]
    return sum(losses) / windows[:, 1:].size


def finish(model: Replacement, corpus: Corpus, measured_tokens: int, folder: Path, training_flops: float) -> Facts:
    """What every dictionary's training ends with: mean errors, quality, facts.

    Args:
        model: The finished dictionary with every error ablated; its mean errors are set here.
        corpus: Mean errors are of its training windows, the quality is of its validation windows.
        measured_tokens: Positions of each.
        folder: Gets `mean_error.safetensors` and `quality.json`.
        training_flops: Of the training run.
    """
    errors = mean_errors(model, first_windows(corpus.windows("train"), measured_tokens))
    for held, error in zip(model.mean_error, errors, strict=True):
        held.copy_(error)
    save_mean_errors(errors, folder)
    quality = measure(model, first_windows(corpus.windows("validation"), measured_tokens))
    (folder / "quality.json").write_text(json.dumps(asdict(quality), indent=1), encoding="utf-8")
    dense = model.dense
    used = [value for name, value in dense.named_parameters() if name != "bigram" and not model.replaces(name)]
    used += model.dictionary_parameters()
    return Facts(
        validation_loss=quality.replaced,
        parameters=sum(parameter.numel() for parameter in used),
        nonzero_parameters=sum(int(parameter.count_nonzero()) for parameter in used),
        bigram_parameters=dense.bigram.numel() if dense.config.bigram else 0,
        training_flops=training_flops,
        dictionary=quality.summary(),
    )


def training_flops(model: Replacement, tokens: int) -> float:
    """Operations of training a dictionary: 6 x its parameters x tokens; the dense model's own passes apart."""
    return 6.0 * tokens * sum(parameter.numel() for parameter in model.dictionary_parameters())


def _reconstructed(model: Replacement, windows: Windows) -> Iterator[list[LayerRows]]:
    """Layer by layer the features, predictions and targets of some windows at a time, in a run of the dense model."""
    layers = range(model.dense.config.layers)
    for part in _parts(windows):
        found = activations(model.dense, inputs(part))
        rows = {name: values.flatten(0, 1) for name, values in found.items()}
        predicted = model.reconstructions([rows[place(layer, model.source)] for layer in layers])
        yield [(*pair, rows[place(layer, model.target)]) for layer, pair in enumerate(predicted)]


def _parts(windows: Windows) -> Iterator[Windows]:
    for start in range(0, len(windows), BATCH):
        yield windows[start : start + BATCH]
