"""Ablation as edits: what the nodes outside a circuit hold, and which of them are ablated.

Mean ablation lets a mask select ablations that cancel, and a circuit that is faithful under one ablation need not be
under another (Drori 2026, "Weight-sparse circuits may be interpretable yet unfaithful"); so a circuit is scored under
several.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.interventions.ablations import ABLATIONS, AblationContext
from benchmark.model.circuit import Circuit, by_site
from benchmark.model.interface import CircuitModel, Edit, Site, record, run_stages
from benchmark.tasks.answers import partners
from benchmark.tasks.prompts import PromptBatch

Means = Mapping[str, Float[Tensor, " _"]]
"""One constant a node, by site name."""

PositionMeans = Mapping[str, Float[Tensor, "_octave _node"]]
"""One constant a node and octave of positions, by site name."""

AblationValues = Callable[[Site, Float[Tensor, "batch position node"]], Float[Tensor, "..."]]
"""What ablated nodes of a site hold: broadcasts to its values."""

AblationValuesOn = Callable[[PromptBatch], AblationValues]
"""What ablated nodes hold on given prompts; the same each time for the same prompts."""


@torch.no_grad()
def octave_means(
    model: CircuitModel, tokens: Int[Tensor, "window position"], batch: int = 16
) -> dict[str, Float[Tensor, "_octave _node"]]:
    """Mean of every node over the corpus positions of each octave (`octaves`), nothing ablated.

    What a node holds drifts with its distance from the start, as attention averages over more and more; windows and
    prompts both begin at one.
    """
    of_position = octaves(tokens.shape[1])
    totals = {site.name: torch.zeros(int(of_position[-1]) + 1, site.size, dtype=torch.float64) for site in model.sites}

    def add(site: Site, values: Tensor) -> Tensor:
        totals[site.name].index_add_(0, of_position, values.sum(0, dtype=torch.float64))
        return values

    for rows in tokens.split(batch):
        run_stages(model, model.start(rows), add)
    counts = len(tokens) * of_position.bincount()[:, None]
    return {name: (total / counts).float() for name, total in totals.items()}


def octaves(positions: int) -> Int[Tensor, " position"]:
    """Class of each position by its distance from the start: 0; 1 and 2; 3 to 6; 7 to 14; and so on."""
    return torch.tensor([(position + 1).bit_length() - 1 for position in range(positions)])


def corpus_means(model: CircuitModel, tokens: Int[Tensor, "window position"], batch: int = 16) -> dict[str, Tensor]:
    """Mean of every node over the positions of corpus windows, nothing ablated.

    Means over the pre-training distribution, Gao et al. 2025 (arXiv 2511.13653) section 2.
    """
    return over_octaves(octave_means(model, tokens, batch), tokens.shape[1])


def over_octaves(means: PositionMeans, positions: int) -> dict[str, Float[Tensor, " _node"]]:
    """Means over all of so many positions, from those of their octaves."""
    share = octaves(positions).bincount().double() / positions
    return {name: (share @ rows.double()).float() for name, rows in means.items()}


def keep_only(circuit: Circuit, means: Means) -> Edit:
    """The edit that holds every node outside the circuit at its mean.

    Sites without a mask are left as they are. NaN does not leak from an ablated node.
    """
    return ablate(circuit, at_means(means))


def ablate(circuit: Circuit, held: AblationValues) -> Edit:
    """The edit that makes every node outside the circuit hold something else."""

    def edit(site: Site, values: Tensor) -> Tensor:
        mask = circuit.masks.get(site.name)
        return values if mask is None else torch.where(mask, values, held(site, values))

    return edit


def ablation_values(
    ablation: str, model: CircuitModel, means: Means, position_means: PositionMeans, seed: int
) -> AblationValuesOn:
    """What ablated nodes hold under an ablation.

    Args:
        ablation: Name of an ablation.
        model: The model that is cut; other prompts are run through it.
        means: Corpus mean of every node.
        position_means: The same for each octave of positions.
        seed: Of the prompts that stand in for others.
    """
    context, values = AblationContext(model, means, position_means, seed), ABLATIONS.named(ablation).function

    def held_by_site(batch: PromptBatch) -> AblationValues:
        held: AblationValues = values(batch, context)

        def checked(site: Site, at_site: Tensor) -> Tensor:
            found = held(site, at_site)
            try:
                torch.broadcast_to(found, at_site.shape)
            except (RuntimeError, TypeError) as error:
                raise ValueError(f"{ABLATIONS.called(ablation)} does not fit site {site.name!r}: {error}") from error
            return found

        return checked

    return held_by_site


def at_means(means: Means) -> AblationValues:
    """Mean ablation."""
    return lambda site, values: means[site.name]


def at_position_means(means: PositionMeans) -> AblationValues:
    """Mean ablation by octave of positions; beyond the last that has a mean, that of the last."""

    def held(site: Site, values: Tensor) -> Tensor:
        rows = means[site.name]
        return rows[octaves(values.shape[1]).clamp(max=len(rows) - 1)]

    return held


def mean(batch: PromptBatch, context: AblationContext) -> AblationValues:
    """Mean ablation."""
    return at_means(context.means)


def position_mean(batch: PromptBatch, context: AblationContext) -> AblationValues:
    """Mean ablation by octave of positions."""
    return at_position_means(context.position_means)


def zero(batch: PromptBatch, context: AblationContext) -> AblationValues:
    """Zero ablation."""
    return lambda site, values: torch.zeros_like(values)


def resample(batch: PromptBatch, context: AblationContext) -> AblationValues:
    """Every node in a random other prompt of the same length."""
    donors = resampled_donors(batch, torch.Generator().manual_seed(context.seed))
    return values_in(context.model, batch, donors)


def counterfactual(batch: PromptBatch, context: AblationContext) -> AblationValues:
    """Every node in the other prompt of the pair."""
    return values_in(context.model, batch, partners(len(batch)))


@torch.no_grad()
def values_in(model: CircuitModel, batch: PromptBatch, donors: Int[Tensor, " prompt"]) -> AblationValues:
    """What each node holds in another prompt, nothing ablated there: resample and counterfactual ablation.

    Args:
        model: Any circuit model.
        batch: The prompts that will be run.
        donors: Row of the prompt that each prompt's ablated nodes are taken from.
    """
    values = {name: rows[donors] for name, rows in record(model, batch.tokens).items()}
    return lambda site, _: values[site.name]


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
