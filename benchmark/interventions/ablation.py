"""Ablation as edits: the ablation values of the nodes outside a circuit, and which of those nodes are ablated.

Mean ablation lets a mask select ablations that cancel, and a circuit that is faithful under one ablation need not be
faithful under another (Drori 2026, "Weight-sparse circuits may be interpretable yet unfaithful"). Circuits are
therefore scored under several.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.interventions.ablations import ABLATIONS, AblationContext
from benchmark.model.circuit import Circuit, by_site
from benchmark.model.devices import in_double
from benchmark.model.interface import CircuitModel, Edit, Site, begin, independent_from, record, run_stages
from benchmark.tasks.answers import partners
from benchmark.tasks.prompts import PromptBatch

Means = Mapping[str, Float[Tensor, " _"]]
"""One constant per node, by site name."""

PositionMeans = Mapping[str, Float[Tensor, "_octave _node"]]
"""One constant per node and octave of positions, by site name."""

AblationValues = Callable[[Site, Float[Tensor, "batch position node"]], Float[Tensor, "..."]]
"""The ablation values of a site's nodes, which broadcast to the site's values."""

AblationValuesOn = Callable[[PromptBatch], AblationValues]
"""The ablation values on given prompts; the same every time for the same prompts."""


@torch.no_grad()
def octave_means(
    model: CircuitModel, tokens: Int[Tensor, "window position"], batch: int = 16
) -> dict[str, Float[Tensor, "_octave _node"]]:
    """Mean of every node over the corpus positions in each octave (`octaves`), with nothing ablated.

    A node's mean drifts with the distance from the start, because attention averages over more and more tokens; this
    holds for corpus windows and prompts alike.
    """
    of_position = octaves(tokens.shape[1])
    totals = {site.name: torch.zeros(int(of_position[-1]) + 1, site.size, dtype=torch.float64) for site in model.sites}

    def add(site: Site, values: Tensor) -> Tensor:
        totals[site.name].index_add_(0, of_position, in_double(values).sum(0).cpu())
        return values

    for rows in tokens.split(batch):
        run_stages(model, begin(model, rows), add)
    counts = len(tokens) * of_position.bincount()[:, None]
    return {name: (total / counts).float() for name, total in totals.items()}


def octaves(positions: int) -> Int[Tensor, " position"]:
    """The octave of each position by its distance from the start: 0; 1 and 2; 3 to 6; 7 to 14; and so on."""
    return torch.tensor([(position + 1).bit_length() - 1 for position in range(positions)])


def corpus_means(model: CircuitModel, tokens: Int[Tensor, "window position"], batch: int = 16) -> dict[str, Tensor]:
    """Mean of every node over the pre-training distribution, Gao et al. 2025 (arXiv 2511.13653) section 2."""
    return over_octaves(octave_means(model, tokens, batch), tokens.shape[1])


def over_octaves(means: PositionMeans, positions: int) -> dict[str, Float[Tensor, " _node"]]:
    """Means over a given number of positions, from the means of their octaves."""
    share = octaves(positions).bincount().double() / positions
    return {name: (share @ rows.double()).float() for name, rows in means.items()}


def keep_only(circuit: Circuit, means: Means) -> Edit:
    """The edit that mean-ablates every node outside the circuit, as `ablate` does."""
    return ablate(circuit, at_means(means))


def ablate(circuit: Circuit, ablation_values: AblationValues) -> Edit:
    """The edit that sets every node outside the circuit to its ablation value.

    Sites without a mask are left unchanged. NaN does not leak from an ablated node.
    """

    def edit(site: Site, values: Tensor) -> Tensor:
        mask = circuit.masks.get(site.name)
        if mask is None:
            return values
        return torch.where(mask.to(values.device), values, ablation_values(site, values).to(values))

    return edit


def interpolate(shares: Mapping[str, Float[Tensor, " node"]], ablation_values: AblationValues) -> Edit:
    """The edit that moves every node the given share of the way from its ablation value to its own value.

    Sites without shares are left unchanged.
    """

    def edit(site: Site, values: Tensor) -> Tensor:
        if site.name not in shares:
            return values
        ablated = ablation_values(site, values).to(values)
        return torch.addcmul(ablated, values - ablated, shares[site.name].to(values))

    return edit


def alone_from(model: CircuitModel, sites: Iterable[Site], values: AblationValues, batch: PromptBatch) -> int | None:
    """The stage from which on only the positions of the answers need to be run; `None` if all are needed.

    Nothing else is needed where positions do not interact any more and ablation values are the same at all positions.

    Args:
        model: The model.
        sites: The sites that are edited.
        values: Their ablation values on the prompts.
        batch: The prompts.
    """
    first = independent_from(model)
    if first is None:
        return None
    return first if all(_same_everywhere(site, values, batch) for site in sites if site.stage >= first) else None


def _same_everywhere(site: Site, values: AblationValues, batch: PromptBatch) -> bool:
    """Whether a site's ablation values are one constant per node, whatever its own values are."""
    shape = (*batch.tokens.shape, site.size)
    at_zero, at_one = (values(site, torch.full((1, 1, 1), each).expand(shape)) for each in (0.0, 1.0))
    return at_zero.dim() == 1 and torch.equal(at_zero, at_one)


def ablation_values(
    ablation: str, model: CircuitModel, means: Means, position_means: PositionMeans, seed: int
) -> AblationValuesOn:
    """The ablation values under an ablation, given by name; the other arguments are those of `AblationContext`.

    Raises:
        ValueError: The values do not broadcast to those of a site; raised when they are taken.
    """
    context, values = AblationContext(model, means, position_means, seed), ABLATIONS.named(ablation).function

    def on_prompts(batch: PromptBatch) -> AblationValues:
        of_site: AblationValues = values(batch, context)

        def checked(site: Site, at_site: Tensor) -> Tensor:
            found = of_site(site, at_site)
            try:
                torch.broadcast_to(found, at_site.shape)
            except (RuntimeError, TypeError) as error:
                raise ValueError(f"{ABLATIONS.called(ablation)} does not fit site {site.name!r}: {error}") from error
            return found

        return checked

    return on_prompts


def at_means(means: Means) -> AblationValues:
    """Mean ablation."""
    return lambda site, values: means[site.name]


def mean(batch: PromptBatch, context: AblationContext) -> AblationValues:
    """Mean ablation."""
    return at_means(context.means)


def position_mean(batch: PromptBatch, context: AblationContext) -> AblationValues:
    """Mean ablation by octave of positions; positions beyond the last octave with a mean take that mean."""

    def of_site(site: Site, values: Tensor) -> Tensor:
        rows = context.position_means[site.name]
        return rows[octaves(values.shape[1]).clamp(max=len(rows) - 1)]

    return of_site


def zero(batch: PromptBatch, context: AblationContext) -> AblationValues:
    """Zero ablation."""
    return lambda site, values: values.new_zeros(site.size)


def off(batch: PromptBatch, context: AblationContext) -> AblationValues:
    """Features are off, at zero; all other nodes are at their means.

    A feature that is kept only to keep its mean out, and that never fires on the task's prompts, is then not needed.
    """
    return lambda site, values: values.new_zeros(site.size) if site.kind == "feature" else context.means[site.name]


def resample(batch: PromptBatch, context: AblationContext) -> AblationValues:
    """Resample ablation: values from a random other prompt of the same length, or from the prompt itself if none."""
    generator = torch.Generator().manual_seed(context.seed)
    donors = torch.arange(len(batch))
    for length in batch.last.unique():
        rows = (batch.last == length).nonzero().flatten()
        mixed = rows[torch.randperm(len(rows), generator=generator)]
        donors[mixed] = mixed.roll(1)
    return values_in(context.model, batch, donors)


def counterfactual(batch: PromptBatch, context: AblationContext) -> AblationValues:
    """Counterfactual ablation: values from the other prompt of the pair."""
    return values_in(context.model, batch, partners(len(batch)))


@torch.no_grad()
def values_in(model: CircuitModel, batch: PromptBatch, donors: Int[Tensor, " prompt"]) -> AblationValues:
    """The values of every node in another prompt, with nothing ablated there; `donors` has the other prompt's row."""
    values = {name: rows[donors] for name, rows in record(model, batch.tokens).items()}
    return lambda site, _: values[site.name]


def partly_ablated(circuit: Circuit, kept: Bool[Tensor, " node"], sites: tuple[Site, ...]) -> Circuit:
    """A circuit plus the nodes outside it that `kept` marks, all sites concatenated in one row."""
    restored = by_site(sites, kept)
    return Circuit({name: mask | restored[name] for name, mask in circuit.masks.items()})


def random_subset(
    circuit: Circuit, sites: tuple[Site, ...], generator: torch.Generator, share: float = 0.5
) -> Bool[Tensor, " node"]:
    """For stochastic ablation, nodes outside a circuit to keep, each with probability `share`.

    A mask can exploit that all nodes outside it are ablated together, but not that a random subset of them is.
    """
    outside = ~circuit.row(sites)
    return outside & (torch.rand(len(outside), generator=generator) < share)


def adversarial_circuit(
    circuit: Circuit, sites: tuple[Site, ...], loss: Callable[[Circuit], float], generator: torch.Generator, rounds: int
) -> Circuit:
    """A circuit plus the nodes outside it that hurt it most, by a greedy search of `rounds` steps.

    Each step flips a random eighth of the nodes outside the circuit, and keeps the flip if the loss rises.
    """
    chosen = torch.zeros(sum(site.size for site in sites), dtype=torch.bool)
    found, worst = circuit, loss(circuit)
    for _ in range(rounds):
        tried = chosen ^ random_subset(circuit, sites, generator, share=1 / 8)
        larger = partly_ablated(circuit, tried, sites)
        if (harm := loss(larger)) > worst:
            chosen, found, worst = tried, larger, harm
    return found


def random_circuit(circuit: Circuit, generator: torch.Generator) -> Circuit:
    """A random circuit with as many nodes of each site as the given one."""
    return Circuit({name: mask[torch.randperm(len(mask), generator=generator)] for name, mask in circuit.masks.items()})
