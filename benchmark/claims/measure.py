"""All measurements behind the claims about sparse circuits, for one model."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.claims.activity import activity
from benchmark.claims.compounding import ErrorCurve, error_curve, error_sites
from benchmark.claims.connections import Density, density, density_by_kinds, drawn_connections, orders
from benchmark.claims.dilution import DilutionPoint, dilution_curve, list_prompts
from benchmark.corpus import Corpus
from benchmark.corpus.sampling import spread_windows
from benchmark.interventions.ablation import Means
from benchmark.model.interface import CircuitModel, forward, next_token_losses
from benchmark.progress import Progress

LISTS = 16
"""Number of lists of each kind and length whose closing bracket the model is asked for."""


@dataclass(frozen=True, eq=False)
class Claims:
    """What was measured for one model.

    Attributes:
        errors: The cost of its reconstruction errors, layer by layer; `None` for a model without error sites.
        rates: By site of features, the share of positions at which each fires.
        density: The density of the connections between its units; `None` if all are opaque.
        kinds: The same between each two kinds of node.
        losses: Next-token loss of each token.
        reference_losses: The same for the model that it is compared with.
        why_alone: Why there is no such model; empty if there is.
        lists: How well it closes lists of each length.
        why_no_lists: Why it cannot be asked to; empty if it can.
    """

    errors: ErrorCurve | None
    rates: Mapping[str, Float[np.ndarray, " _"]]
    density: Density | None
    kinds: Mapping[str, Density]
    losses: Float[np.ndarray, "window position"]
    reference_losses: Float[np.ndarray, "window position"] | None
    why_alone: str
    lists: tuple[DilutionPoint, ...]
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
    """Measure everything, on validation windows of about the given number of tokens.

    `reference` is the model to compare losses with, or why there is none; `seed` is that of names, numbers and
    permutations.
    """
    windows, targets = spread_windows(corpus, "validation", tokens)
    errors = error_curve(model, means, windows, targets) if error_sites(model) else None
    progress(1, 4, "connections")
    connections = drawn_connections(model)
    seen = activity(model, means, windows, [(each.source, each.target) for each in connections])
    features = [site.name for site in model.sites if site.kind == "feature"]
    dense, kinds = None, dict[str, Density]()
    if connections:
        permuted = orders(connections, seen, torch.Generator().manual_seed(seed))
        kinds = density_by_kinds(model, connections, seen, permuted)
        dense = density(connections, seen, permuted)
    progress(2, 4, "token losses")
    try:
        drawn = list_prompts(corpus.tokenizer, corpus.config.context, LISTS, seed, corpus.beginning)
        lists = dilution_curve(model, drawn)
        why_no_lists = "" if lists else "no list fits the context"
    except ValueError as error:
        lists, why_no_lists = [], str(error)
    progress(3, 4, "lists")
    return Claims(
        errors=errors,
        rates={name: (seen.fires[name].double() / seen.positions).numpy() for name in features},
        density=dense,
        kinds=kinds,
        losses=token_losses(model, windows, targets),
        reference_losses=None if isinstance(reference, str) else token_losses(reference, windows, targets),
        why_alone=reference if isinstance(reference, str) else "",
        lists=tuple(lists),
        why_no_lists=why_no_lists,
    )


@torch.no_grad()
def token_losses(
    model: CircuitModel,
    tokens: Int[Tensor, "window position"],
    targets: Int[Tensor, "window position"],
    batch: int = 16,
) -> Float[np.ndarray, "window position"]:
    """Cross entropy of the next token at every position of corpus windows, nats."""
    found = [
        next_token_losses(forward(model, rows), following)
        for rows, following in zip(tokens.split(batch), targets.split(batch), strict=True)
    ]
    return torch.cat(found).numpy()
