"""Asks whether a circuit predicts what interventions do: single nodes edited, in the circuit and in the whole model.

An edit sets one node, at all positions, to what it holds in the pair's other prompt: an interchange intervention
(Geiger et al. 2021, arXiv 2106.02997), made in the circuit with the circuit's values and in the whole model with its
own. Half of the edits are of nodes that the circuit keeps, half of nodes that it leaves out, which change nothing in it
by construction: where they lie on a live path that the circuit misses, it is wrong. The whole model is here the one
that the circuit was cut from, as only that has the nodes.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float
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
"""Nodes that are edited, at most; half of them kept by the circuit, half not."""

MOVES = 1e-5
"""A node's value differs between prompts if it does by more than this share of the largest of its site."""

METRICS = ("prediction_rank_correlation", "prediction_r2")


@torch.no_grad()
def intervention_prediction(case: CircuitUnderTest) -> list[Measurement]:
    """Rank correlation over edits of their mean effects, and explained variance over all edits and prompts."""
    batch = first_pairs(equally_long(case.batch))
    if not len(batch):
        return [case.missing(metric, "the prompts of every pair differ in length") for metric in METRICS]
    whole, circuit = _effects_of_edits(case, batch)
    if not len(whole):
        return [case.missing(metric, "no node differs between the prompts of a pair") for metric in METRICS]
    order = metrics.rank_correlation(whole.mean(axis=1), circuit.mean(axis=1))
    signs = pair_signs(len(batch)).numpy()  # towards the answer of the same prompt of each pair
    r2 = metrics.logit_difference_r2(*((signs * each).reshape(-1) for each in (whole, circuit)))
    return [
        case.measured("prediction_rank_correlation", order, batch),
        case.measured("prediction_r2", r2, batch),
    ]


def equally_long(batch: PromptBatch) -> PromptBatch:
    """The pairs whose prompts have the same positions."""
    same = batch.last == batch.last[partners(len(batch))]
    return batch.rows(same.nonzero().flatten())


def _effects_of_edits(
    case: CircuitUnderTest, batch: PromptBatch
) -> tuple[Float[np.ndarray, "edit prompt"], Float[np.ndarray, "edit prompt"]]:
    """What edits of drawn nodes change in the whole model and in the circuit, first the nodes that it keeps."""
    prompts, sites = _difference_eval(batch), [site.name for site in case.sites]
    whole = CachedRun(case.model, prompts, rows=len(batch))
    circuit = CachedRun(case.model, prompts, case.edit(batch), len(batch))
    values = whole.values(sites)
    live = _moving(values, batch)
    parts = (case.circuit, case.circuit.complement())
    moving = [Circuit({name: part.masks[name] & moves for name, moves in live.items()}) for part in parts]
    inside, outside = (drawn_nodes(part, EDITS // 2, case.generator) for part in moving)
    nothing = np.zeros((len(outside), len(batch)))
    kept = _effects(circuit, circuit.values(sites), inside)
    return _effects(whole, values, [*inside, *outside]), np.concatenate([kept, nothing])


def _moving(values: Mapping[str, Tensor], batch: PromptBatch) -> dict[str, Bool[Tensor, " _"]]:
    """By site, the nodes that hold different values in the two prompts of some pair."""
    real, other = torch.arange(batch.tokens.shape[1]) <= batch.positions, partners(len(batch))
    return {
        name: (found - found[other]).abs()[real].amax(dim=0) > MOVES * found.abs().max()
        for name, found in values.items()
    }


def _effects(run: CachedRun, values: Mapping[str, Tensor], nodes: list[Node]) -> Float[np.ndarray, "edit prompt"]:
    """Change of the logit difference with each node at its value in the other prompt of the pair."""
    other = partners(len(run.batch.tokens))
    losses = run.losses([{node: values[node.site][other][..., node.index].numpy()} for node in nodes])
    return np.asarray(np.array(losses).reshape(len(nodes), len(other)) - run.true)


def _difference_eval(batch: PromptBatch) -> EvalBatch:
    """The prompts of a task; instead of a loss the logit of the other answer minus that of the right one."""
    return EvalBatch(
        batch.tokens, batch.positions, lambda logits, row: -logit_difference(logits[:, 0], batch.rows(row))
    )
