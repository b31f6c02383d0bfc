"""Edges that are tested, not counted: the fewest with which a circuit still does its task when all others are ablated.

1. *Attribute* (`benchmark.discovery.edge_attribution`): how much flows along each edge between kept nodes.
2. *Ablate* (`benchmark.interventions.edge_ablation`): an ablated edge carries its source's mean over the corpus.
3. *Bisect*: the fewest edges, the largest attributions first, whose loss on validation prompts is at most the target;
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
"""Kept nodes behind opaque blocks beyond which their own runs would cost too much."""


@dataclass(frozen=True, eq=False)
class VerifiedEdges:
    """How many edges a circuit needs.

    Attributes:
        status: `ok`; `not_reached` if all its edges together miss the target; `undefined` if it cannot be told.
        edges: The fewest at the target that `fewest_nodes` finds; says nothing unless the status is `ok`.
        reason: Why the status is not `ok`.
        ablation: Ablates all others, on any prompts.
    """

    status: Literal["ok", "not_reached", "undefined"]
    edges: int = 0
    reason: str = ""
    ablation: EdgeAblation | None = None


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
        model: The model that the circuit is of.
        circuit: Its kept nodes.
        connections: Of the circuit's graph.
        means: Ablation values of edges, and of nodes unless `ablation_values` gives others.
        batch: Validation prompts.
        corpus: Tokens over which sources are averaged.
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
        return VerifiedEdges("undefined", reason="no edge joins what the circuit keeps")
    brought = {**means, **source_means(model, corpus)}

    def edit_on(prompts: PromptBatch) -> Edit:
        return keep_only(circuit, means) if ablation_values is None else ablate(circuit, ablation_values(prompts))

    edit = edit_on(batch)
    weights = attributions(model, joined, brought, batch, edit_on)
    order = torch.cat([weight.flatten() for weight in weights]).argsort(descending=True, stable=True)

    def all_but(edges: int) -> AblatedEdges:
        return AblatedEdges.keeping(joined, order, edges, brought)

    @torch.no_grad()
    def loss(edges: int) -> float:
        return float(prompt_losses(answer_logits(model, batch, edit, all_but(edges)), batch).mean())

    fewest = fewest_nodes(loss, len(order), target)
    if fewest is None:
        return VerifiedEdges("not_reached", reason="with every edge kept the circuit misses the target")
    return VerifiedEdges("ok", fewest, ablation=all_but(fewest))
