"""Ablation as edits: an ablated node holds its mean over the corpus."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.circuit import Circuit
from benchmark.model import CircuitModel, Edit, Site, run_stages

Means = Mapping[str, Float[Tensor, " _"]]
"""One constant a node, by site name."""


@torch.no_grad()
def corpus_means(model: CircuitModel, tokens: Int[Tensor, "window position"], batch: int = 16) -> dict[str, Tensor]:
    """Mean of every node over the positions of corpus windows, nothing ablated.

    Means over the pre-training distribution, Gao et al. 2025 (arXiv 2511.13653) section 2.
    """
    totals = {site.name: torch.zeros(site.size, dtype=torch.float64) for site in model.sites}

    def add(site: Site, values: Tensor) -> Tensor:
        totals[site.name] += values.sum(dim=(0, 1), dtype=torch.float64)
        return values

    for rows in tokens.split(batch):
        run_stages(model, model.start(rows), add)
    return {name: (total / tokens.numel()).float() for name, total in totals.items()}


def keep_only(circuit: Circuit, means: Means) -> Edit:
    """The edit that holds every node outside the circuit at its mean.

    Sites without a mask are left as they are. NaN does not leak from an ablated node.
    """

    def edit(site: Site, values: Tensor) -> Tensor:
        mask = circuit.masks.get(site.name)
        return values if mask is None else torch.where(mask, values, means[site.name])

    return edit
