"""Does a circuit predict the effects of interventions? Single nodes are edited in the circuit and in the whole model.

An edit sets one node, at all positions, to its value in the other prompt of the pair: an interchange intervention
(Geiger et al. 2021, arXiv 2106.02997), made in the circuit with the circuit's values and in the whole model with its
own. Half of the edited nodes are in the circuit. The other half are not, so editing them has no effect in the circuit
by construction; if one lies on a live path that the circuit misses, the circuit's prediction is wrong. The whole model
is the one that the circuit was cut from, since only that model has the nodes.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmark import metrics
from benchmark.interventions.replacement import CachedRun, EvalBatch, Node
from benchmark.model.circuit import Circuit
from benchmark.records.table import Measurement
from benchmark.scoring.case import CircuitUnderTest
from benchmark.scoring.redundant_nodes import drawn_nodes, first_pairs
from benchmark.tasks.answers import logit_difference, pair_signs, partners
from benchmark.tasks.prompts import PromptBatch

EDITS = 24
"""Maximum number of edited nodes, half of them in the circuit."""

MOVES = 1e-5
"""A node differs between the prompts of a pair if it does by more than this share of its site's largest value."""

METRICS = ("prediction_rank_correlation", "prediction_r2")


@torch.no_grad()
def intervention_prediction(case: CircuitUnderTest) -> list[Measurement]:
    """Rank correlation of mean effects over edits, and explained variance over all edits and prompts."""
    batch = first_pairs(equally_long(case.batch))
    if not len(batch):
        return [case.missing(metric, "the prompts of every pair differ in length") for metric in METRICS]
    whole, circuit = _effects_of_edits(case, batch)
    if not len(whole):
        return [case.missing(metric, "no node differs between the prompts of a pair") for metric in METRICS]
    order = metrics.rank_correlation(whole.mean(axis=1), circuit.mean(axis=1))
    signs = pair_signs(len(batch)).numpy()  # towards the answer of the same prompt of each pair
    r2 = metrics.logit_difference_r2(*((signs * each).reshape(-1) for each in (whole, circuit)))
    return [case.measured(metric, value, batch) for metric, value in zip(METRICS, (order, r2), strict=True)]


def equally_long(batch: PromptBatch) -> PromptBatch:
    """The pairs whose two prompts have the same length."""
    same = batch.last == batch.last[partners(len(batch))]
    return batch.rows(same.nonzero().flatten())


def _effects_of_edits(
    case: CircuitUnderTest, batch: PromptBatch
) -> tuple[Float[np.ndarray, "edit prompt"], Float[np.ndarray, "edit prompt"]]:
    """Effects of editing drawn nodes in the whole model and in the circuit, first the nodes that the circuit keeps."""
    prompts = EvalBatch(
        batch.tokens, batch.positions, lambda logits, row: -logit_difference(logits[:, 0], batch.rows(row))
    )
    sites = [site.name for site in case.sites]
    whole = CachedRun(case.model, prompts, rows=len(batch))
    circuit = CachedRun(case.model, prompts, case.edit(batch), len(batch))
    values = whole.values(sites)
    moves = {
        name: (found - found[partners(len(batch))]).abs()[batch.real].amax(dim=0) > MOVES * found.abs().max()
        for name, found in values.items()
    }
    moving = [
        Circuit({name: part.masks[name] & mask for name, mask in moves.items()})
        for part in (case.circuit, case.circuit.complement())
    ]
    inside, outside = (drawn_nodes(part, EDITS // 2, case.generator) for part in moving)
    kept = _effects(circuit, circuit.values(sites), inside)
    nothing = np.zeros((len(outside), len(batch)))
    return _effects(whole, values, [*inside, *outside]), np.concatenate([kept, nothing])


def _effects(run: CachedRun, values: Mapping[str, Tensor], nodes: list[Node]) -> Float[np.ndarray, "edit prompt"]:
    """Change of the run's losses with each node at its value in the other prompt of the pair."""
    other = partners(len(run.batch.tokens))
    losses = run.losses([{node: values[node.site][other][..., node.index].numpy()} for node in nodes])
    return np.asarray(np.array(losses).reshape(len(nodes), len(other)) - run.true)
