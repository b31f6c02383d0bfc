"""Discovers circuits: ranks the nodes of a model for a task, then keeps few with which it still does the task.

Four stages, of which 1, 2 and 4 are those of Gao et al. 2025 (arXiv 2511.13653) appendix A.5:

1. *Rank* the nodes (`benchmark.discovery.rankings`; the paper uses a learned mask).
2. *Cut* the ranking: the fewest top-ranked nodes with which the criterion holds, by bisection. If the circuit will be
   shrunk, nodes that are needed but stand late are brought forward and the ranking is cut again.
3. *Shrink* the circuit by thinning and exchanges, until no node can be removed alone (`benchmark.discovery.shrinking`).
4. *Calibrate* a scale and a shift of the logit difference, reported separately.

As an option, stages 1 to 3 run several times, each without some of the prompts, and what most of these circuits share
is kept (`benchmark.discovery.deletion_smoothing`).

Everything is reported on test prompts (`benchmark.scoring`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.discovery.bisection import COARSE, fewest_nodes
from benchmark.discovery.calibration import Calibration, calibrate
from benchmark.discovery.candidates import NodeTrials
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.deletion_smoothing import inclusions, stable
from benchmark.discovery.rankings import RANKINGS
from benchmark.discovery.search import Budget, Search
from benchmark.discovery.shrinking import certify, exchange, thin
from benchmark.discovery.spending import CERTIFICATION, BudgetSpentError
from benchmark.interventions.ablation import AblationValuesOn, Means, ablate, at_means
from benchmark.model.circuit import Circuit, by_site
from benchmark.model.interface import CircuitModel, Graph
from benchmark.tasks.prompts import PromptBatch, TaskPrompts

HEADS = (0.75, 0.5, 0.25)
"""Shares of a cut that are kept when it is cut again."""

PATH = (0.1, 0.5, 0.9)
"""Shares of the rest of the cut at which first-order effects are taken."""


@dataclass(frozen=True, eq=False)
class FoundCircuit:
    """A discovered circuit."""

    circuit: Circuit
    """Few nodes with which the criterion holds, or the prefix of the ranking with the lowest loss if there are none."""
    status: Literal["ok", "not_reached"]
    """`not_reached` if no prefix of the ranking meets the criterion on the sample."""
    lowest_loss: float
    """Lowest mean loss on the sample of any prefix that was tried, nats."""
    calibration: Calibration
    """Fitted on the sample."""
    curve: Mapping[int, Float[Tensor, " _"]]
    """Losses per prompt of the sample, nats, by the number of top-ranked nodes that are kept, ascending."""
    order: Int[Tensor, " node"]
    """Indices of all nodes over the sites in order: those of the circuit, then the others, most important first."""
    sample: PromptBatch
    """The prompts on which it was cut and shrunk."""
    criterion: Criterion
    """What it has to meet there."""
    minimal: bool | None = None
    """Whether every node was tried and none can be removed alone; `None` if the circuit was not shrunk."""


def find_circuit(
    model: CircuitModel,
    task: TaskPrompts,
    means: Means,
    *,
    graph: Graph,
    target: float,
    ranking: str = "mask",
    budget: Budget = Budget(),
    ablation_values: AblationValuesOn | None = None,
    generator: torch.Generator,
) -> FoundCircuit:
    """Find the smallest circuit of a model that does a task.

    Args:
        model: The model in which to find the circuit.
        task: The prompts of the task.
        means: Ablation values, unless `ablation_values` gives others.
        graph: Determines which sites count as nodes.
        target: Task loss to reach, nats.
        ranking: Name of the ranking that orders the nodes.
        budget: The budget of the search; runs on other prompts to obtain ablation values are not counted.
        ablation_values: Ablation values on given prompts.
        generator: Source of all randomness.

    Raises:
        ValueError: For an unknown ranking, or one that leaves out nodes.
    """
    values = ablation_values or (lambda batch: at_means(means))

    def searched(prompts: TaskPrompts) -> Search:
        return Search.of(model, prompts, values, graph, target, budget)

    def found(prompts: TaskPrompts) -> FoundCircuit:
        return _found(searched(prompts), ranking, budget, generator)

    search = searched(task)
    best = _stable(search, found, budget, generator) if budget.deletion_draws else found(task)
    edit = ablate(best.circuit, search.ablation_on_sample)
    return replace(best, calibration=calibrate(model, search.sample, edit))


def _found(search: Search, ranking: str, budget: Budget, generator: torch.Generator) -> FoundCircuit:
    """Stages 1 to 3."""
    orders = list(RANKINGS.named(ranking).function(search, budget, generator))
    every = torch.arange(search.size)
    if not orders or not all(torch.equal(torch.as_tensor(order).sort().values, every) for order in orders):
        raise ValueError(f"{RANKINGS.called(ranking)} did not return orders of all {search.size} nodes")
    slack = COARSE if budget.shrink else 0.0
    cuts = sorted((_cut(search, torch.as_tensor(order), slack) for order in orders), key=_preference)
    reached = [cut for cut in cuts if cut.status == "ok"]
    if not (budget.shrink and reached):
        return cuts[0]
    trials = search.trials(budget.tokens)
    shrunk = _shrunk(search, [_recut(search, cut, trials) for cut in reached], budget)
    return shrunk if shrunk.minimal else min(shrunk, _exactly_cut(search, reached[0]), key=_preference)


def _recut(search: Search, cut: FoundCircuit, trials: NodeTrials) -> FoundCircuit:
    """A cut without the nodes that it includes only because one that is needed stands after them.

    A mask is learned on train prompts, so nodes that only validation prompts need stand late in its order. Part of the
    cut is therefore kept in its order, and all other nodes follow by their first-order effect on the loss of the sample,
    averaged over the way from that part to the cut. This is repeated while it makes the cut smaller by a tenth.
    """
    try:
        while True:
            better = next((new for new in _reordered(search, cut, trials) if _nodes(new) < 0.9 * _nodes(cut)), None)
            if better is None:
                return cut
            cut = better
    except BudgetSpentError:
        return cut


def _reordered(search: Search, cut: FoundCircuit, trials: NodeTrials) -> Iterator[FoundCircuit]:
    """Cuts of orders that keep less and less of a cut, those that meet the criterion."""
    for share in HEADS:
        head = Circuit.first(search.sites, cut.order, int(share * _nodes(cut))).row(search.sites)
        added = cut.circuit.row(search.sites) & ~head
        effects = torch.stack([trials.effects(head + step * added) for step in PATH]).mean(0)
        late = effects.masked_fill(head, torch.inf).argsort(stable=True)[: int((~head).sum())]
        new = _cut(search, torch.cat([cut.order[: int(head.sum())], late]), COARSE)
        if new.status == "ok":
            yield new


def _nodes(found: FoundCircuit) -> int:
    """Number of nodes that a circuit keeps."""
    return sum(int(mask.sum()) for mask in found.circuit.masks.values())


def _exactly_cut(search: Search, cut: FoundCircuit) -> FoundCircuit:
    """A coarse cut made exact: with a tiny budget that may be smaller than what shrinking has left."""
    return replace(_cut(search, cut.order, slack=0.0), minimal=False)


def _stable(
    search: Search, found: Callable[[TaskPrompts], FoundCircuit], budget: Budget, generator: torch.Generator
) -> FoundCircuit:
    """The nodes that are in most of the circuits that are found without some of the prompts."""

    def kept(prompts: TaskPrompts) -> Bool[Tensor, " node"]:
        circuit = found(prompts)
        row = circuit.circuit.row(search.sites)
        return row if circuit.status == "ok" else torch.zeros_like(row)

    counts = inclusions(kept, search.task, budget.deletion_draws, budget.deleted_share, generator)
    order = counts.argsort(descending=True, stable=True)
    return _prefix(search, order, int(stable(counts, budget.deletion_draws).sum()))


def _prefix(search: Search, order: Tensor, nodes: int) -> FoundCircuit:
    """A prefix of an order, whether it meets the criterion or not."""
    losses = search.sample_losses(Circuit.first(search.sites, order, nodes))
    return _from_curve(search, order, {nodes: losses}, nodes if search.criterion.holds(losses) else None)


def _preference(found: FoundCircuit) -> tuple[bool, float]:
    """Circuits that meet the criterion come first, the smallest before the others; then those of lowest loss."""
    return found.status != "ok", float(_nodes(found)) if found.status == "ok" else found.lowest_loss


def _cut(search: Search, order: Tensor, slack: float) -> FoundCircuit:
    """The smallest prefix of an order that meets the criterion, up to a share of its size (stage 2)."""
    losses: dict[int, Tensor] = {}

    def excess(nodes: int) -> float:
        losses[nodes] = search.sample_losses(Circuit.first(search.sites, order, nodes))
        return float(search.criterion.excess(losses[nodes][None])[0])

    nodes = fewest_nodes(excess, search.size, target=0.0, slack=slack)
    return _from_curve(search, order, losses, nodes)


def _from_curve(search: Search, order: Tensor, losses: Mapping[int, Tensor], nodes: int | None) -> FoundCircuit:
    """The circuit of some size; that of the lowest mean loss if none meets the criterion.

    Args:
        search: The search.
        order: Nodes, most important first.
        losses: Losses on the sample, by the number of nodes that are kept.
        nodes: The size, if one meets the criterion.
    """
    means = {size: float(row.mean()) for size, row in losses.items()}
    kept = min(means, key=lambda size: (means[size], size)) if nodes is None else nodes
    return FoundCircuit(
        circuit=Circuit.first(search.sites, order, kept),
        status="not_reached" if nodes is None else "ok",
        lowest_loss=min(means.values()),
        calibration=Calibration(1.0, 0.0),
        curve=dict(sorted(losses.items())),
        order=order,
        sample=search.sample,
        criterion=search.criterion,
    )


def _shrunk(search: Search, cuts: Sequence[FoundCircuit], budget: Budget) -> FoundCircuit:
    """The smallest 1-minimal circuit from several starts (stage 3).

    Thinning may run as many tokens as the ranking, exchanges as many again, and certification four times as many.
    """
    starts = _from_starts(search.trials(budget.tokens), [cut.circuit.row(search.sites) for cut in cuts])
    certification = search.trials(CERTIFICATION * budget.tokens)
    found = certify(certification, min(starts, key=lambda kept: int(kept.sum())))
    exchanged = exchange(search.trials(budget.tokens), found.kept, budget.exchanges, search.degrees)
    if not exchanged.equal(found.kept):
        again = certify(certification, exchanged)
        found = again if again.minimal or not found.minimal else found
    order = cuts[0].order
    kept = found.kept[order]
    return replace(
        cuts[0],
        circuit=Circuit(by_site(search.sites, found.kept)),
        order=torch.cat([order[kept], order[~kept]]),
        minimal=found.minimal,
    )


def _from_starts(trials: NodeTrials, starts: Sequence[Bool[Tensor, " node"]]) -> Iterator[Bool[Tensor, " node"]]:
    """What is left of each start, and of the union of the two smallest."""
    found = sorted((thin(trials, start) for start in starts), key=lambda kept: int(kept.sum()))
    yield from found
    if len(found) > 1:
        yield thin(trials, found[0] | found[1])
