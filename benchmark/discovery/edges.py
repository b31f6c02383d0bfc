"""Verified edges: the fewest edges with which a circuit still does its task when all others are ablated.

1. *Attribute* (`benchmark.discovery.edge_attribution`): measure how much flows along each edge between kept nodes. A
   ranking may order them in another way (`Ranking.edge_order`), such as by their integrated effects on the loss.
2. *Ablate* (`benchmark.interventions.edge_ablation`): an ablated edge carries its source's mean over the corpus.
3. *Cut*: find the fewest edges, the most important first, with which the criterion of the circuit holds; sizes are
   tried on a grid (`benchmark.discovery.bisection.fewest_nodes`), so a dip between two of them may be missed.
4. *Shrink* them until no edge can be ablated alone (`benchmark.discovery.shrinking`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from benchmark.discovery.bisection import COARSE, fewest_nodes
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.edge_attribution import attributions, source_means
from benchmark.discovery.edge_trials import EdgeTrials
from benchmark.discovery.shrinking import Shrunk, certify, thin
from benchmark.discovery.spending import CERTIFICATION, Spending
from benchmark.interventions.ablation import AblationValuesOn, Means, ablate, at_means
from benchmark.interventions.edge_ablation import AblatedEdges, EdgesBySite, KeptConnection, edges_by_site, kept_ends
from benchmark.model.circuit import Circuit
from benchmark.model.interface import CircuitModel, Connection, EdgeAblation, can_ablate_edges
from benchmark.tasks.prompts import PromptBatch

EdgeOrder = Callable[[EdgeTrials], Tensor]
"""Orders the edges of a circuit: `[edge]`, the most important first."""

MOST_OPAQUE_TARGETS = 150
"""Maximum number of kept nodes behind opaque blocks; each needs a run of its own."""


@dataclass(frozen=True, eq=False)
class VerifiedEdges:
    """The number of edges that a circuit needs."""

    status: Literal["ok", "not_reached", "undefined"]
    """`not_reached` if all edges together miss the target, `undefined` if the number cannot be determined."""
    edges: int = 0
    """How many edges are left; meaningless unless the status is `ok`."""
    reason: str = ""
    """Why the status is not `ok`."""
    ablation: EdgeAblation | None = None
    """Ablates all other edges, on any prompts."""
    kept: EdgesBySite | None = None
    """The edges that are left; `None` unless the status is `ok`."""
    minimal: bool | None = None
    """Whether every edge was tried and none can be ablated alone; `None` if they were not shrunk."""


def verify_edges(
    model: CircuitModel,
    circuit: Circuit,
    connections: Iterable[Connection],
    means: Means,
    batch: PromptBatch,
    corpus: Int[Tensor, "window position"],
    criterion: Criterion,
    ablation_values: AblationValuesOn | None = None,
    tokens: int | None = None,
    ranked: EdgeOrder | None = None,
) -> VerifiedEdges:
    """Few edges of a circuit that do its task when every other edge between kept nodes carries its mean.

    Args:
        model: The model of the circuit.
        circuit: The kept nodes.
        connections: The connections of the circuit's graph.
        means: Ablation values of nodes, unless `ablation_values` gives others on given prompts.
        batch: The prompts on which edges are chosen.
        corpus: Tokens over which the ablation values of edges are averaged.
        criterion: What the circuit has to meet on them.
        ablation_values: Ablation values of nodes on given prompts.
        tokens: How many prompt tokens may be run to shrink the edges; `None` leaves them as they were cut.
        ranked: Orders the edges, the most important first; `None` orders them by what flows along them.

    Raises:
        ValueError: `ranked` left out edges.
    """
    if not can_ablate_edges(model):
        return VerifiedEdges("undefined", reason="single edges of the model cannot be ablated")
    joined = [each for each in (kept_ends(one, circuit) for one in connections) if each is not None]
    if reason := _why_undefined(joined):
        return VerifiedEdges("undefined", reason=reason)
    all_means = {**means, **source_means(model, corpus)}
    values_on = ablation_values or (lambda prompts: at_means(means))
    weights = attributions(model, joined, all_means, batch, lambda prompts: ablate(circuit, values_on(prompts)))
    importance = torch.cat([weight.flatten() for weight in weights])
    trials = EdgeTrials(
        model=model,
        sites=model.sites,
        ablation_values=values_on,
        batch=batch,
        criterion=criterion,
        circuit=circuit,
        joined=joined,
        means=all_means,
        importance=importance if any(each.connection.weight is None for each in joined) else None,
    )
    order = importance.argsort(descending=True, stable=True) if ranked is None else torch.as_tensor(ranked(trials))
    if not torch.equal(order.sort().values, torch.arange(len(importance))):
        raise ValueError(f"the ranking did not return an order of all {len(importance)} edges")
    return _fewest(trials, order, tokens)


def _fewest(trials: EdgeTrials, order: Int[Tensor, " edge"], tokens: int | None) -> VerifiedEdges:
    """The shortest prefix of an order that meets the criterion, shrunk if tokens may be run for that."""
    every = torch.ones(len(order), dtype=torch.bool)

    def excess(edges: int) -> float:
        return float(trials.excess(every, first(order, edges)[None])[0])

    fewest = fewest_nodes(excess, len(order), target=0.0, slack=0.0 if tokens is None else COARSE)
    if fewest is None:
        return VerifiedEdges("not_reached", reason="the circuit misses the target with every edge kept")
    left = _shrunk(trials, first(order, fewest), tokens)
    kept = left.kept.nonzero().flatten()
    ordered = torch.cat([kept, (~left.kept).nonzero().flatten()])
    ablation = AblatedEdges.keeping(trials.joined, ordered, len(kept), trials.means)
    edges = edges_by_site(trials.joined, left.kept)
    minimal = None if tokens is None else left.minimal
    return VerifiedEdges("ok", len(kept), ablation=ablation, kept=edges, minimal=minimal)


def _shrunk(trials: EdgeTrials, kept: Bool[Tensor, " edge"], tokens: int | None) -> Shrunk:
    """What is left of some edges when they are thinned out and certified, or these edges if no tokens may be run."""
    if tokens is None:
        return Shrunk(kept, minimal=False)
    thinned = thin(replace(trials, spending=Spending(tokens)), kept)
    return certify(replace(trials, spending=Spending(CERTIFICATION * tokens)), thinned)


def _why_undefined(joined: Sequence[KeptConnection]) -> str:
    """Why the edges between kept nodes cannot be verified, or nothing if they can."""
    if not joined:
        return "no edge connects the nodes that the circuit keeps"
    hidden = [each for each in joined if each.connection.weight is None]
    if errors := sum(len(each.targets) * len(each.sources) for each in hidden if _into_errors(each)):
        return f"edges into errors ({errors}) run through an opaque block"
    opaque = sum(len(each.targets) for each in hidden)
    return f"{opaque} nodes behind opaque blocks each need a run of their own" if opaque > MOST_OPAQUE_TARGETS else ""


def _into_errors(each: KeptConnection) -> bool:
    return each.connection.target.endswith("error")


def first(order: Int[Tensor, " edge"], edges: int) -> Bool[Tensor, " edge"]:
    """The first edges of an order."""
    kept = torch.zeros(len(order), dtype=torch.bool)
    kept[order[:edges]] = True
    return kept
