"""Asks whether a circuit predicts what interventions do: single nodes edited, in the circuit and in the whole model.

An edit sets one node, at all positions, to what it holds in the pair's other prompt: an interchange intervention
(Geiger et al. 2021, arXiv 2106.02997), made in the circuit with the circuit's values and in the whole model with its
own. Half of the edits are of nodes that the circuit keeps, half of nodes that it leaves out, which change nothing in it
by construction: where they lie on a live path that the circuit misses, it is wrong. The whole model is here the one
that the circuit was cut from, as only that has the nodes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark import metrics
from benchmark.interventions.replacement import CachedRun, EvalBatch, Node
from benchmark.model.circuit import Circuit
from benchmark.model.interface import Edit, unedited
from benchmark.records.table import Measurement
from benchmark.scoring.case import CircuitUnderTest
from benchmark.scoring.redundant_nodes import drawn_nodes, first_pairs
from benchmark.tasks.prompts import PromptBatch

EDITS = 24
"""Nodes that are edited, at most; half of them kept by the circuit, half not."""

MOVES = 1e-5
"""A node's value differs between prompts if it does by more than this share of the largest of its site."""

METRICS = ("prediction_rank_correlation", "prediction_r2")


@dataclass(frozen=True, eq=False)
class Effects:
    """What edits do to the logit difference.

    Attributes:
        whole: Its change towards the other answer in the whole model, nats.
        circuit: The same in the circuit.
    """

    whole: Float[np.ndarray, "edit prompt"]
    circuit: Float[np.ndarray, "edit prompt"]


@torch.no_grad()
def intervention_prediction(case: CircuitUnderTest) -> list[Measurement]:
    """Rank correlation over edits of their mean effects, and explained variance over all edits and prompts."""
    batch = first_pairs(equally_long(case.batch))
    if not len(batch):
        return [case.missing(metric, "the prompts of every pair differ in length") for metric in METRICS]
    effects = effects_of_edits(case, batch)
    if not len(effects.whole):
        return [case.missing(metric, "no node differs between the prompts of a pair") for metric in METRICS]
    order = metrics.rank_correlation(effects.whole.mean(axis=1), effects.circuit.mean(axis=1))
    r2 = metrics.logit_difference_r2(effects.whole.reshape(-1), effects.circuit.reshape(-1))
    return [
        case.measured("prediction_rank_correlation", order, batch),
        case.measured("prediction_r2", r2, batch),
    ]


def equally_long(batch: PromptBatch) -> PromptBatch:
    """The pairs whose prompts have the same positions."""
    same = batch.last == batch.last[other_prompts(batch)]
    return batch.rows(same.nonzero().flatten())


def other_prompts(batch: PromptBatch) -> Int[Tensor, " prompt"]:
    """Row of the other prompt of each prompt's pair."""
    return torch.arange(len(batch)) ^ 1


def effects_of_edits(case: CircuitUnderTest, batch: PromptBatch) -> Effects:
    """What edits of drawn nodes do on some prompts; nodes that the circuit keeps come first."""
    whole, circuit = _Run(case, batch, unedited), _Run(case, batch, case.edit(batch))
    live = whole.moving()
    inside, outside = (
        drawn_nodes(_common(live, part), EDITS // 2, case.generator)
        for part in (case.circuit, case.circuit.complement())
    )
    nothing = np.zeros((len(outside), len(batch)))
    return Effects(whole.effects([*inside, *outside]), np.concatenate([circuit.effects(inside), nothing]))


class _Run:
    """A model under an edit that always holds, on the prompts on which single nodes are edited."""

    def __init__(self, case: CircuitUnderTest, batch: PromptBatch, base: Edit) -> None:
        self._run = CachedRun(case.model, _difference_eval(batch), base, len(batch))
        self._values = self._run.values([site.name for site in case.sites])
        self._other = other_prompts(batch)
        self._real = torch.arange(batch.tokens.shape[1]) <= batch.positions

    def moving(self) -> Circuit:
        """The nodes that hold different values in the two prompts of some pair."""
        masks = {}
        for name, values in self._values.items():
            moved = (values - values[self._other]).abs()[self._real].amax(dim=0)
            masks[name] = moved > MOVES * values.abs().max()
        return Circuit(masks)

    def effects(self, nodes: list[Node]) -> Float[np.ndarray, "edit prompt"]:
        """Change of the logit difference with each node at its value in the other prompt."""
        edits = [{node: self._values[node.site][self._other][..., node.index].numpy()} for node in nodes]
        changed = np.array(self._run.losses(edits)).reshape(len(nodes), len(self._other))
        return np.asarray(changed - self._run.true)


def _difference_eval(batch: PromptBatch) -> EvalBatch:
    """The prompts of a task; instead of a loss the logit of the other answer less that of the right one."""

    def difference(logits: Tensor, row: Tensor) -> Tensor:
        at = torch.arange(len(row))
        return logits[at, 0, batch.other[row]] - logits[at, 0, batch.answer[row]]

    return EvalBatch(batch.tokens, batch.positions, difference)


def _common(first: Circuit, second: Circuit) -> Circuit:
    """The nodes that both keep."""
    return Circuit({name: mask & second.masks[name] for name, mask in first.masks.items()})
