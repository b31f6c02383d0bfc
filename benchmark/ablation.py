"""Ablation as edits: what the nodes outside a circuit hold, and which of them are ablated.

Mean ablation lets a mask select ablations that cancel, and a circuit that is faithful under one ablation need not be
under another (Drori 2026, "Weight-sparse circuits may be interpretable yet unfaithful"); so a circuit is scored under
several.
"""

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.circuit import Circuit, by_site
from benchmark.model import CircuitModel, Edit, Site, record, run_stages
from benchmark.tasks.prompts import PromptBatch

Ablation = Literal["mean", "zero", "resample", "counterfactual", "stochastic", "worst_subset", "adversarial"]
"""What an ablated node holds, or which of the nodes outside a circuit are ablated (the last three, at their means)."""

ABLATIONS: tuple[Ablation, ...] = get_args(Ablation)

Means = Mapping[str, Float[Tensor, " _"]]
"""One constant a node, by site name."""

Held = Callable[[Site, Float[Tensor, "batch position node"]], Float[Tensor, "..."]]
"""What ablated nodes of a site hold: broadcasts to its values."""


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
    return ablate(circuit, lambda site, values: means[site.name])


def ablate(circuit: Circuit, held: Held) -> Edit:
    """The edit that makes every node outside the circuit hold something else."""

    def edit(site: Site, values: Tensor) -> Tensor:
        mask = circuit.masks.get(site.name)
        return values if mask is None else torch.where(mask, values, held(site, values))

    return edit


def zeros(site: Site, values: Float[Tensor, "batch position node"]) -> Float[Tensor, "batch position node"]:
    """Zero ablation."""
    return torch.zeros_like(values)


@torch.no_grad()
def held_in(model: CircuitModel, batch: PromptBatch, donors: Int[Tensor, " prompt"]) -> Held:
    """What each node holds in another prompt, nothing ablated there: resample and counterfactual ablation.

    Args:
        model: Any circuit model.
        batch: The prompts that will be run.
        donors: Row of the prompt that each prompt's ablated nodes are taken from.
    """
    values = {name: rows[donors] for name, rows in record(model, batch.tokens).items()}
    return lambda site, _: values[site.name]


def counterfactual_donors(batch: PromptBatch) -> Int[Tensor, " prompt"]:
    """The other prompt of each pair."""
    return torch.arange(len(batch)) ^ 1


def resampled_donors(batch: PromptBatch, generator: torch.Generator) -> Int[Tensor, " prompt"]:
    """For each prompt a random other one of its length, so that positions fit; itself where there is none."""
    donors = torch.arange(len(batch))
    for length in batch.last.unique():
        rows = (batch.last == length).nonzero().flatten()
        mixed = rows[torch.randperm(len(rows), generator=generator)]
        donors[mixed] = mixed.roll(1)
    return donors


def partly_ablated(circuit: Circuit, kept: Bool[Tensor, " node"], sites: tuple[Site, ...]) -> Circuit:
    """A circuit and those of the nodes outside it that `kept` marks, all sites laid out in one row."""
    restored = by_site(sites, kept)
    return Circuit({name: mask | restored[name] for name, mask in circuit.masks.items()})


def random_subset(
    circuit: Circuit, sites: tuple[Site, ...], generator: torch.Generator, share: float = 0.5
) -> Bool[Tensor, " node"]:
    """Nodes outside a circuit to keep, each with this chance, for stochastic ablation.

    Many nodes ablated at once are a choice that a mask can exploit; a random part of them is not.
    """
    outside = ~torch.cat([circuit.masks[site.name] for site in sites])
    return outside & (torch.rand(len(outside), generator=generator) < share)


def adversarial_subset(
    circuit: Circuit,
    sites: tuple[Site, ...],
    loss: Callable[[Circuit], float],
    generator: torch.Generator,
    rounds: int,
) -> Bool[Tensor, " node"]:
    """Nodes outside a circuit whose keeping hurts it most, by a greedy search with a fixed number of tries.

    Each round flips a random eighth of the nodes outside and keeps the flip if the loss rises.

    Args:
        circuit: The circuit.
        sites: Whose nodes may be kept.
        loss: Of a circuit.
        generator: Source of the flips.
        rounds: Number of tries.
    """
    chosen = torch.zeros(sum(site.size for site in sites), dtype=torch.bool)
    worst = loss(circuit)
    for _ in range(rounds):
        tried = chosen ^ random_subset(circuit, sites, generator, share=1 / 8)
        found = loss(partly_ablated(circuit, tried, sites))
        if found > worst:
            chosen, worst = tried, found
    return chosen


def random_circuit(circuit: Circuit, generator: torch.Generator) -> Circuit:
    """As many nodes of each site as a circuit keeps, drawn at random."""
    return Circuit({name: mask[torch.randperm(len(mask), generator=generator)] for name, mask in circuit.masks.items()})
