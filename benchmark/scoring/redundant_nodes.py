"""Asks whether a circuit keeps too much: each kept node ablated alone, and random circuits ablated in its place.

A mask that keeps redundant nodes, and a circuit whose ablation does no more harm than that of any other nodes, both
pass every test of faithfulness.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from benchmark import metrics
from benchmark.interventions.ablation import random_circuit
from benchmark.interventions.replacement import CachedRun, Node, task_eval
from benchmark.model.circuit import Circuit
from benchmark.records.table import Measurement
from benchmark.scoring.case import CircuitUnderTest
from benchmark.scoring.robustness import RANDOM_CIRCUITS, ablation_result
from benchmark.tasks.prompts import PromptBatch

TRIED = 64
"""Kept nodes that are ablated alone, at most; a random sample of them where there are more."""

PAIRS = 16
"""Prompt pairs on which single nodes are changed, at most."""


@torch.no_grad()
def redundant_nodes(case: CircuitUnderTest) -> list[Measurement]:
    """The share of redundant nodes, and the loss with random circuits of the same size per site ablated."""
    rises = loss_rises(case, drawn_nodes(case.circuit, TRIED, case.generator))
    if len(rises):
        idle = case.measured("idle_share", metrics.idle_share(rises), first_pairs(case.batch))
    else:
        idle = case.missing("idle_share", "the circuit keeps no node")
    ablated = [random_circuit(case.circuit, case.generator).complement() for _ in range(RANDOM_CIRCUITS)]
    losses = [ablation_result(case, case.edit(case.batch, circuit)).loss for circuit in ablated]
    return [idle, case.measured("random_necessity", sum(losses) / len(losses))]


def drawn_nodes(circuit: Circuit, most: int, generator: torch.Generator) -> list[Node]:
    """The kept nodes of a circuit, or so many drawn at random, in the order of the sites."""
    nodes = [Node(site, index) for site, kept in circuit.kept().items() for index in kept]
    chosen = torch.randperm(len(nodes), generator=generator)[:most].sort().values
    return [nodes[index] for index in chosen.tolist()]


def loss_rises(case: CircuitUnderTest, nodes: Sequence[Node]) -> Float[np.ndarray, " node"]:
    """How much the circuit's task loss rises with each node ablated too, the others kept: mean over pairs, nats."""
    batch = first_pairs(case.batch)
    run = CachedRun(case.model, task_eval(batch), case.edit(batch), len(batch))
    ablated, sites = case.ablation_values()(batch), {site.name: site for site in case.sites}
    values = {
        name: ablated(sites[name], kept).expand_as(kept).numpy()
        for name, kept in run.values(sorted({node.site for node in nodes})).items()
    }
    changes = [{node: values[node.site][..., node.index]} for node in nodes]
    return np.array([(losses - run.true).mean() for losses in run.losses(changes)])


def first_pairs(batch: PromptBatch) -> PromptBatch:
    """The first `PAIRS` pairs of a batch."""
    return batch.rows(slice(2 * PAIRS))
