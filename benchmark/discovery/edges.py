"""Verified edges: the fewest edges with which a circuit still does its task when all others are ablated.

1. *Attribute* (`benchmark.discovery.edge_attribution`): measure how much flows along each edge between kept nodes.
2. *Ablate* (`benchmark.interventions.edge_ablation`): an ablated edge carries its source's mean over the corpus.
3. *Bisect*: find the fewest edges, largest attributions first, whose loss on validation prompts is at most the target;
   sizes are tried on a grid (`benchmark.discovery.bisection.fewest_nodes`), so a dip between two of them may be missed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from benchmark.discovery.bisection import fewest_nodes
from benchmark.discovery.edge_attribution import attributions, source_means
from benchmark.interventions.ablation import AblationValuesOn, Means, ablate, keep_only
from benchmark.interventions.edge_ablation import AblatedEdges, kept_ends
from benchmark.model.circuit import Circuit
from benchmark.model.interface import CircuitModel, Connection, EdgeAblation, Edit, can_ablate_edges
from benchmark.tasks.answers import answer_logits, prompt_losses
from benchmark.tasks.prompts import PromptBatch

MOST_OPAQUE_TARGETS = 150
"""Maximum number of kept nodes behind opaque blocks; each needs a run of its own."""


@dataclass(frozen=True, eq=False)
class VerifiedEdges:
    """The number of edges that a circuit needs."""

    status: Literal["ok", "not_reached", "undefined"]
    """`not_reached` if all edges together miss the target, `undefined` if the number cannot be determined."""
    edges: int = 0
    """The fewest edges at the target that `fewest_nodes` finds; meaningless unless the status is `ok`."""
    reason: str = ""
    """Why the status is not `ok`."""
    ablation: EdgeAblation | None = None
    """Ablates all other edges, on any prompts."""


def verify_edges(
    model: CircuitModel,
    circuit: Circuit,
    connections: Iterable[Connection],
    means: Means,
    batch: PromptBatch,
    corpus: Int[Tensor, "window position"],
    target: float,
    ablation_values: AblationValuesOn | None = None,
) -> VerifiedEdges:
    """The fewest edges of a circuit that do its task when every other edge between kept nodes carries its mean.

    Args:
        model: The model of the circuit.
        circuit: The kept nodes.
        connections: The connections of the circuit's graph.
        means: Ablation values of nodes, unless `ablation_values` gives others on given prompts.
        batch: Validation prompts.
        corpus: Tokens over which the ablation values of edges are averaged.
        target: Loss to reach, nats.
        ablation_values: Ablation values of nodes on given prompts.
    """
    if not can_ablate_edges(model):
        return VerifiedEdges("undefined", reason="single edges of the model cannot be ablated")
    joined = [each for each in (kept_ends(one, circuit) for one in connections) if each is not None]
    opaque = sum(len(each.targets) for each in joined if each.connection.weight is None)
    if any(each.connection.weight is None and each.connection.target.endswith("error") for each in joined):
        return VerifiedEdges("undefined", reason="edges into errors run through an opaque block")
    if opaque > MOST_OPAQUE_TARGETS:
        return VerifiedEdges("undefined", reason=f"{opaque} nodes behind opaque blocks each need a run of their own")
    if not joined:
        return VerifiedEdges("undefined", reason="no edge connects the nodes that the circuit keeps")
    all_means = {**means, **source_means(model, corpus)}

    def edit_on(prompts: PromptBatch) -> Edit:
        return keep_only(circuit, means) if ablation_values is None else ablate(circuit, ablation_values(prompts))

    edit = edit_on(batch)
    weights = attributions(model, joined, all_means, batch, edit_on)
    order = torch.cat([weight.flatten() for weight in weights]).argsort(descending=True, stable=True)

    def all_but(edges: int) -> AblatedEdges:
        return AblatedEdges.keeping(joined, order, edges, all_means)

    @torch.no_grad()
    def loss(edges: int) -> float:
        return float(prompt_losses(answer_logits(model, batch, edit, all_but(edges)), batch).mean())

    fewest = fewest_nodes(loss, len(order), target)
    if fewest is None:
        return VerifiedEdges("not_reached", reason="the circuit misses the target with every edge kept")
    return VerifiedEdges("ok", fewest, ablation=all_but(fewest))
