"""All numbers behind what is said of sparse circuits, for one model."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.claims.activity import activity
from benchmark.claims.compounding import ErrorCurve, error_curve, error_sites
from benchmark.claims.connections import Density, density, density_by_kinds, drawn_connections, orders
from benchmark.claims.dilution import Point, dilution_curve, list_prompts
from benchmark.claims.token_losses import token_losses
from benchmark.corpus import Corpus
from benchmark.corpus.sampling import spread_windows
from benchmark.interventions.ablation import Means
from benchmark.model.interface import CircuitModel
from benchmark.progress import Progress

LISTS = 16
"""Lists of each kind and length whose closing bracket is asked for."""


@dataclass(frozen=True, eq=False)
class Claims:
    """What was measured of one model.

    Attributes:
        errors: What its errors lose, layer by layer; `None` for a model without error sites.
        rates: By site of features, the share of positions at which each fires.
        density: How dense the connections between its units are; `None` if all are opaque.
        kinds: The same between each two kinds of node.
        losses: Next-token loss of each token.
        reference_losses: The same of the model that it is compared with.
        why_alone: Why there is none; empty if there is.
        lists: How surely it closes lists of each length.
        why_no_lists: Why it cannot be asked; empty if it can.
    """

    errors: ErrorCurve | None
    rates: Mapping[str, Float[np.ndarray, " _"]]
    density: Density | None
    kinds: Mapping[str, Density]
    losses: Float[np.ndarray, "window position"]
    reference_losses: Float[np.ndarray, "window position"] | None
    why_alone: str
    lists: tuple[Point, ...]
    why_no_lists: str


def measure(
    model: CircuitModel,
    means: Means,
    corpus: Corpus,
    tokens: int,
    reference: CircuitModel | str,
    seed: int,
    progress: Progress,
) -> Claims:
    """Measure everything, on validation windows of about so many tokens.

    `reference` is the model to compare its losses with, or why there is none; `seed` that of names, numbers and
    permutations.
    """
    windows, targets = spread_windows(corpus, "validation", tokens)
    errors = error_curve(model, means, windows, targets) if error_sites(model) else None
    progress(1, 4, "connections")
    rates, dense, kinds = _traffic(model, means, windows, seed)
    progress(2, 4, "token losses")
    lists, why_no_lists = _lists(model, corpus, seed)
    progress(3, 4, "lists")
    return Claims(
        errors=errors,
        rates=rates,
        density=dense,
        kinds=kinds,
        losses=token_losses(model, windows, targets),
        reference_losses=None if isinstance(reference, str) else token_losses(reference, windows, targets),
        why_alone=reference if isinstance(reference, str) else "",
        lists=lists,
        why_no_lists=why_no_lists,
    )


def _traffic(
    model: CircuitModel, means: Means, windows: Int[Tensor, "window position"], seed: int
) -> tuple[dict[str, Float[np.ndarray, " _"]], Density | None, dict[str, Density]]:
    """Firing rates of features, and densities of all connections and of those between each two kinds."""
    connections = drawn_connections(model)
    seen = activity(model, means, windows, [(each.source, each.target) for each in connections])
    rates = {
        site.name: (seen.fires[site.name].double() / seen.positions).numpy()
        for site in model.sites
        if site.kind == "feature"
    }
    if not connections:
        return rates, None, {}
    permuted = orders(connections, seen, torch.Generator().manual_seed(seed))
    kinds = density_by_kinds(model, connections, seen, permuted)
    return rates, density(connections, seen, permuted), kinds


def _lists(model: CircuitModel, corpus: Corpus, seed: int) -> tuple[tuple[Point, ...], str]:
    """How surely lists are closed, or why the tokenizer does not allow the question."""
    try:
        batches = list_prompts(corpus.tokenizer, corpus.config.context, LISTS, seed)
    except ValueError as error:
        return (), str(error)
    return tuple(dilution_curve(model, batches)), "" if batches else "the context holds no list"
