"""Labels in place of a circuit's nodes: one at a time in the circuit and in the whole model, and all at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from tokenizers import Tokenizer

from benchmark.concepts import Concept
from benchmark.concepts.labels import WindowLabels, window_labels
from benchmark.interventions.ablation import AblationValuesOn, Means, ablate, keep_only
from benchmark.interventions.replacement import CachedRun, Node, task_eval
from benchmark.model.circuit import Circuit
from benchmark.model.interface import CircuitModel, Edit, unedited
from benchmark.tasks.prompts import PromptBatch
from benchmark.validity.circuit_on_corpus import OnCorpus
from benchmark.validity.precision import average_precisions
from benchmark.validity.scoring import Judge, Score, at_mean, given_labels

LABELLED = 0.5
"""Minimum average precision for a kept node to count as labelled by its best concept."""

TRIES = 8
"""Number of kept nodes, in order of average precision, that are tested for whether they matter to the task."""

PADDING = -1
"""What stands for the padding of short prompts: the id of no token."""


@dataclass(frozen=True)
class TaskConcept:
    """A concept on the prompts of its task.

    Attributes:
        node: The kept node that detects it best among those that matter; `None` if none matters.
        circuit: Score of the labels in place of that node in the circuit, on the task loss of test prompts.
        whole: The same in the whole model.
        reason: Why the score in the circuit is undefined; empty if it is defined.
        whole_reason: The same for the score in the whole model.
    """

    concept: str
    node: Node | None = None
    average_precision: float = np.nan
    circuit: Score | None = None
    whole: Score | None = None
    reason: str = ""
    whole_reason: str = ""


@dataclass(frozen=True)
class Coverage:
    """How many of the best labelled nodes are replaced at once, and the score relative to all at their means."""

    nodes: int
    score: Score


@dataclass(frozen=True)
class CircuitValidity:
    """The effect of labels in a circuit.

    Attributes:
        concepts: The concepts that belong to the task.
        kept: Number of nodes that the circuit keeps, not counting errors.
        labels: The concept of each kept node that has one whose average precision is at least `LABELLED`, the node with
            the highest first.
        curve: Replacements of a quarter, half, three quarters and all of the labelled nodes at once.
        corpus: The same labels on the corpus; `None` if they were not tried there.
    """

    concepts: Sequence[TaskConcept]
    kept: int
    labels: Sequence[tuple[Node, str]]
    curve: Sequence[Coverage]
    corpus: OnCorpus | None = None


def circuit_validity(
    model: CircuitModel,
    circuit: Circuit,
    means: Means,
    prompts: tuple[PromptBatch, PromptBatch],
    tokenizer: Tokenizer,
    concepts: Sequence[Concept],
    belonging: Sequence[str],
    generator: np.random.Generator,
    ablation_values: AblationValuesOn | None = None,
) -> CircuitValidity:
    """The effect on the task loss of labels in place of a circuit's nodes.

    Nodes are chosen and levels fitted on the first prompts (train), and scored on the second (test). Kept nodes may be
    labelled by any of the concepts; `belonging` names the concepts of the task. Nodes outside the circuit are
    mean-ablated unless `ablation_values` is given.
    """
    texts = [torch.where(batch.real, batch.tokens, PADDING).numpy() for batch in prompts]
    labels = [window_labels(concepts, tokenizer, ids, PADDING) for ids in texts]
    edits = [
        keep_only(circuit, means) if ablation_values is None else ablate(circuit, ablation_values(batch))
        for batch in prompts
    ]
    kept = [Node(site, index) for site, indices in circuit.kept().items() for index in indices]
    kept = [node for node in kept if not node.site.endswith("error")]
    inside = _LabelledPrompts(model, edits, prompts, labels, generator, kept)
    whole = _LabelledPrompts(model, [unedited, unedited], prompts, labels, generator, kept)
    rows = [_row(name, inside, whole) for name in belonging]
    return CircuitValidity(rows, len(kept), *_coverage(inside))


class _LabelledPrompts:
    """A model, or a circuit in it, on the prompts on which nodes are chosen and on those on which they are scored.

    Attributes:
        values: Values of each node on the prompts of the choice.
        precisions: By concept, how well each node detects it in its better orientation; `nan` for a constant concept.
    """

    def __init__(
        self,
        model: CircuitModel,
        edits: Sequence[Edit],
        prompts: tuple[PromptBatch, PromptBatch],
        labels: Sequence[Mapping[str, WindowLabels]],
        generator: np.random.Generator,
        nodes: Sequence[Node],
    ) -> None:
        self._choice, self._score = (
            CachedRun(model, task_eval(batch), edit, len(batch)) for batch, edit in zip(prompts, edits, strict=True)
        )
        self._judges = [Judge(len(batch) // 2, generator) for batch in prompts]
        self._labels = labels
        self._real = prompts[0].real.numpy()
        found = self._choice.values(sorted({node.site for node in nodes}))
        self.values = {node: found[node.site][..., node.index].numpy() for node in nodes}
        holds = np.stack([of_concept[self._real] != 0 for of_concept in labels[0].values()])
        best = np.zeros((len(holds), 0))
        if nodes:
            columns = np.stack([values[self._real] for values in self.values.values()], axis=1)
            best = average_precisions(columns, holds).max(0)
        best[holds.all(axis=1)] = np.nan
        self.precisions = {
            concept: dict(zip(self.values, row, strict=True))
            for concept, row in zip(labels[0], best.tolist(), strict=True)
        }

    def matters(self, node: Node) -> bool:
        """Whether ablating a node raises the task loss by more than noise on the prompts of the choice."""
        change = {node: self._at_mean(node, self._choice)}
        return not self._judges[0].harm(self._choice.losses([change])[0] - self._choice.true)

    def judged(self, changes: Mapping[Node, str]) -> tuple[Score, str]:
        """The score of labels in place of some nodes at once, and why it is undefined, if it is."""
        labelled = {node: self._labelled(node, concept) for node, concept in changes.items()}
        losses = self._score.losses([labelled, {node: self._at_mean(node, self._score) for node in changes}])
        label, mean = (each - self._score.true for each in losses)
        return self._judges[1].score(label, mean), self._judges[1].harm(mean)

    def _at_mean(self, node: Node, run: CachedRun) -> Float[np.ndarray, "row position"]:
        return at_mean(float(self.values[node][self._real].mean()), run.batch.tokens.shape)

    def _labelled(self, node: Node, concept: str) -> Float[np.ndarray, "row position"]:
        """The conditional mean of a node given the label, on the prompts of the score."""
        known, labels = (part[concept] for part in self._labels)
        return given_labels(self.values[node][self._real], known[self._real], labels)


def _row(concept: str, inside: _LabelledPrompts, whole: _LabelledPrompts) -> TaskConcept:
    """The kept node that detects a concept best among those that matter, and the scores of the labels in its place."""
    ranked = [(precision, node) for node, precision in inside.precisions[concept].items() if np.isfinite(precision)]
    ranked = sorted(ranked, key=lambda pair: -pair[0])[:TRIES]
    if not ranked:
        return TaskConcept(concept, reason="it does not vary over the prompts, or no node is kept")
    chosen = next(((precision, node) for precision, node in ranked if inside.matters(node)), None)
    if chosen is None:
        return TaskConcept(concept, reason=f"none of the {len(ranked)} kept nodes that detect it best matters")
    precision, node = chosen
    (circuit, reason), (score, whole_reason) = inside.judged({node: concept}), whole.judged({node: concept})
    return TaskConcept(concept, node, precision, circuit, score, reason, whole_reason)


def _coverage(inside: _LabelledPrompts) -> tuple[list[tuple[Node, str]], list[Coverage]]:
    """The labelled kept nodes with their concepts, and the circuit with more and more of them replaced at once."""
    best = []
    for node in inside.values:
        precisions = {name: row[node] for name, row in inside.precisions.items()}
        name = max(precisions, key=lambda concept: np.nan_to_num(precisions[concept], nan=-1.0))
        if precisions[name] >= LABELLED:
            best.append((precisions[name], node, name))
    best.sort(key=lambda triple: -triple[0])
    sizes = sorted({round(len(best) * share) for share in (0.25, 0.5, 0.75, 1.0)} - {0})
    curve = [Coverage(size, inside.judged({node: name for _, node, name in best[:size]})[0]) for size in sizes]
    return [(node, name) for _, node, name in best], curve
