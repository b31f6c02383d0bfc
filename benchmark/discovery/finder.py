"""Discovers circuits: ranks the nodes of a model for a task, then keeps few with which it still does the task.

Four stages, of which 1, 2 and 4 are those of Gao et al. 2025 (arXiv 2511.13653) appendix A.5:

1. *Rank* the nodes (`benchmark.discovery.rankings`; the paper uses a learned mask).
2. *Cut* the ranking: the fewest top-ranked nodes with which the criterion holds, by bisection. If the circuit will be
   shrunk, nodes that are needed but stand late are brought forward and the ranking is cut again.
   If no prefix does, but one comes near, the nodes are ranked and cut once more, with the tokens that exchanges would
   have had.
3. *Shrink* the circuit by thinning and exchanges, until no node can be removed alone (`benchmark.discovery.shrinking`).
4. *Calibrate* a scale and a shift of the logit difference, reported separately.

As an option, stages 1 to 3 run several times, each without some of the prompts, and what most of these circuits share
is kept (`benchmark.discovery.deletion_smoothing`).

Everything is reported on test prompts (`benchmark.scoring`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from benchmark.discovery.arguments import check_search, checked_graph
from benchmark.discovery.bisection import COARSE
from benchmark.discovery.calibration import calibrate
from benchmark.discovery.candidates import NodeTrials
from benchmark.discovery.cutting import FoundCircuit, cut_again, cut_at, cut_order, size_of
from benchmark.discovery.deletion_smoothing import inclusions, stable
from benchmark.discovery.rankings import RANKINGS
from benchmark.discovery.search import Budget, Search
from benchmark.discovery.shrinking import certify, exchange, thin
from benchmark.discovery.spending import CERTIFICATION
from benchmark.interventions.ablation import AblationValuesOn, Means, ablate, at_means
from benchmark.model.circuit import Circuit, by_site
from benchmark.model.interface import CircuitModel
from benchmark.tasks.prompts import TaskPrompts

NEAR = 2.0
"""A search starts once more if some circuit has a loss of at most this many times the target, but none meets it."""


def find_circuit(
    model: CircuitModel,
    task: TaskPrompts,
    means: Means,
    *,
    graph: str,
    target: float,
    ranking: str = "mask",
    budget: Budget = Budget(),
    ablation_values: AblationValuesOn | None = None,
    generator: torch.Generator,
) -> FoundCircuit:
    """Find a circuit of few nodes that does a task; it is 1-minimal, which does not make it the smallest there is.

    Args:
        model: The model in which to find the circuit.
        task: The prompts of the task.
        means: Ablation values, unless `ablation_values` gives others.
        graph: `unit` or `channel`: which sites count as nodes.
        target: Task loss to reach, nats, finite and above 0.
        ranking: Name of the ranking that orders the nodes.
        budget: The budget of the search; runs on other prompts to obtain ablation values are not counted.
        ablation_values: Ablation values on given prompts.
        generator: Source of all randomness.

    Raises:
        ValueError: For an unknown ranking, or one that leaves out nodes; for any other argument that no search can be
            made with.
    """
    check_search(model, task, means, graph, target, budget, generator)
    RANKINGS.named(ranking)
    values = ablation_values or (lambda batch: at_means(means))

    def searched(prompts: TaskPrompts) -> Search:
        return Search.of(model, prompts, values, checked_graph(graph), target, budget)

    def found(search: Search) -> FoundCircuit:
        return _found(search, ranking, budget, generator)

    search = searched(task)
    if budget.deletion_draws:
        best = _stable(search, lambda prompts: found(searched(prompts)), budget, generator)
    else:
        best = found(search)
    edit = ablate(best.circuit, search.ablation_on_sample)
    return replace(best, calibration=calibrate(model, search.sample, edit))


def _found(search: Search, ranking: str, budget: Budget, generator: torch.Generator) -> FoundCircuit:
    """Stages 1 to 3; only whether it meets the criterion, for a circuit that is known already."""
    if RANKINGS.named(ranking).as_given:
        order, nodes = RANKINGS[ranking].function(search, budget, generator)
        (order,) = _checked(search, ranking, [order])
        return cut_at(search, order, nodes)
    cuts = _cuts(search, ranking, budget, generator)
    near = cuts[0].lowest_loss <= NEAR * search.criterion.target
    if budget.shrink and cuts[0].status != "ok" and near:
        cuts = sorted([*cuts, *_cuts(search, ranking, budget, generator)], key=_preference)
        budget = replace(budget, exchanges=0)
    reached = [cut for cut in cuts if cut.status == "ok"]
    if not (budget.shrink and reached):
        return cuts[0]
    trials = search.trials(budget.tokens)
    shrunk = _shrunk(search, [cut_again(search, cut, trials) for cut in reached], budget)
    return shrunk if shrunk.minimal else min(shrunk, _exactly_cut(search, reached[0]), key=_preference)


def _cuts(search: Search, ranking: str, budget: Budget, generator: torch.Generator) -> list[FoundCircuit]:
    """Stages 1 and 2: a cut of every order that a ranking gives, the best first."""
    orders = _checked(search, ranking, RANKINGS.named(ranking).function(search, budget, generator))
    slack = COARSE if budget.shrink else 0.0
    return sorted((cut_order(search, order, slack) for order in orders), key=_preference)


def _checked(search: Search, ranking: str, orders: Iterable[Tensor]) -> list[Tensor]:
    """The orders that a ranking gives; `ValueError` unless there are some, each of them of all nodes."""
    found, every = [torch.as_tensor(order) for order in orders], torch.arange(search.size)
    if not found or not all(torch.equal(order.sort().values, every) for order in found):
        raise ValueError(f"{RANKINGS.called(ranking)} did not return orders of all {search.size} nodes")
    return found


def _exactly_cut(search: Search, cut: FoundCircuit) -> FoundCircuit:
    """A coarse cut made exact: with a tiny budget that may be smaller than what shrinking has left."""
    return replace(cut_order(search, cut.order, slack=0.0), minimal=False)


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
    return cut_at(search, order, int(stable(counts, budget.deletion_draws).sum()))


def _preference(found: FoundCircuit) -> tuple[bool, float]:
    """Circuits that meet the criterion come first, the smallest before the others; then those of lowest loss."""
    return found.status != "ok", float(size_of(found)) if found.status == "ok" else found.lowest_loss


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
