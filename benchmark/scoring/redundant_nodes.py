"""Does a circuit keep too many nodes? Each kept node is ablated alone, and random circuits are ablated for comparison.

A circuit with redundant nodes passes every test of faithfulness, and so does one whose ablation does no more harm than
the ablation of random nodes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from benchmark import metrics
from benchmark.discovery.candidates import NodeTrials
from benchmark.discovery.shrinking import without_each
from benchmark.interventions.ablation import random_circuit
from benchmark.interventions.replacement import CachedRun, Node, task_eval
from benchmark.model.circuit import Circuit
from benchmark.model.devices import to_numpy
from benchmark.model.interface import record
from benchmark.records.table import Measurement
from benchmark.scoring.case import CircuitUnderTest, DiscoveredCircuit
from benchmark.scoring.robustness import RANDOM_CIRCUITS, ablation_result
from benchmark.tasks.prompts import PromptBatch

TRIED = 64
"""Maximum number of kept nodes that are ablated alone, and of pairs; a random sample if there are more."""

PAIRS = 16
"""Maximum number of prompt pairs on which single nodes are edited."""


ROUNDING = 1e-6
"""Relative spread of values below which they count as one."""


@torch.no_grad()
def redundant_nodes(case: CircuitUnderTest) -> list[Measurement]:
    """The share of redundant nodes, and the loss when random circuits of the same size per site are ablated."""
    nodes, batch = drawn_nodes(case.circuit, TRIED, case.generator), first_pairs(case.batch)
    if nodes:
        rises = rises_without(case, nodes, batch)
        idle = case.measured("idle_share", metrics.idle_share(rises), batch)
    else:
        idle = case.missing("idle_share", "the circuit keeps no node")
    random = [random_circuit(case.circuit, case.generator).complement() for _ in range(RANDOM_CIRCUITS)]
    necessity = sum(ablation_result(case, case.edit(case.batch, circuit)).loss for circuit in random) / len(random)
    return [idle, case.measured("random_necessity", necessity)]


@torch.no_grad()
def rises_without(case: CircuitUnderTest, nodes: Sequence[Node], batch: PromptBatch) -> Float[np.ndarray, " node"]:
    """How much the loss of a circuit rises when each of some of its nodes is ablated alone, on some prompts, nats."""
    run = CachedRun(case.model, task_eval(batch), case.edit(batch), len(batch))
    ablated, sites = case.ablation_values()(batch), {site.name: site for site in case.sites}
    values = {
        name: to_numpy(ablated(sites[name], kept).expand_as(kept))
        for name, kept in run.values(sorted({node.site for node in nodes})).items()
    }
    losses = run.losses([{node: values[node.site][..., node.index]} for node in nodes])
    return np.array([(each - run.true).mean() for each in losses])


@torch.no_grad()
def removable_pairs(case: DiscoveredCircuit) -> list[Measurement]:
    """The share of pairs of kept nodes that can be removed together, in a circuit from which no node can go alone.

    It says how far a 1-minimal circuit is from a 2-minimal one, on the prompts and by the criterion of its search.
    """
    found, kept = case.found, case.circuit.row(case.sites)
    nodes = kept.nonzero().flatten()
    if not found.minimal or len(nodes) < 2:
        reason = "the circuit has fewer than two nodes" if found.minimal else "nodes of it may be removable alone"
        return [case.missing("removable_pairs", reason)]
    pairs = torch.combinations(nodes)
    drawn = pairs[torch.randperm(len(pairs), generator=case.generator)[:TRIED]]
    trials = NodeTrials(case.model, case.sites, case.setting.ablation_values, found.sample, found.criterion)
    holds = trials.excess(kept, without_each(kept, list(drawn))) <= 0
    return [case.measured("removable_pairs", float(holds.float().mean()), found.sample)]


@torch.no_grad()
def silent_nodes(case: CircuitUnderTest) -> list[Measurement]:
    """The share of kept nodes that have the same value at every position of every test prompt, within rounding."""
    kept = case.circuit.kept()
    if not kept:
        return [case.missing("silent_share", "the circuit keeps no node")]
    values = record(case.model, case.batch.tokens, case.edit(case.batch))
    silent = 0
    for site, nodes in kept.items():
        seen = values[site][case.batch.real][:, nodes]  # [position, node]
        least, most = seen.aminmax(dim=0)
        silent += int((most - least <= ROUNDING * seen.abs().amax(0).clamp(min=1)).sum())
    return [case.measured("silent_share", silent / sum(map(len, kept.values())))]


def drawn_nodes(circuit: Circuit, most: int, generator: torch.Generator) -> list[Node]:
    """The kept nodes of a circuit in site order, or a random sample of `most` of them."""
    nodes = [Node(site, index) for site, kept in circuit.kept().items() for index in kept]
    chosen = torch.randperm(len(nodes), generator=generator)[:most].sort().values
    return [nodes[index] for index in chosen.tolist()]


def first_pairs(batch: PromptBatch) -> PromptBatch:
    """The first `PAIRS` pairs of a batch."""
    return batch.rows(slice(2 * PAIRS))
