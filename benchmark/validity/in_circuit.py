"""Labels in the place of a circuit's nodes: one at a time in the circuit and in the whole model, and all at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from tokenizers import Tokenizer

from benchmark.concepts import Concept
from benchmark.concepts.labels import WindowLabels, window_labels
from benchmark.interventions.ablation import HeldOn, Means, ablate, keep_only
from benchmark.interventions.replacement import CachedRun, Losses, Node, task_eval
from benchmark.model.circuit import Circuit
from benchmark.model.interface import CircuitModel, Edit, unedited
from benchmark.tasks.prompts import PromptBatch
from benchmark.validity.precision import average_precisions
from benchmark.validity.scoring import Judge, Score, level_means

LABELLED = 0.5
"""Average precision from which a kept node counts as labelled by its best concept."""

TRIES = 8
"""Kept nodes of highest average precision that are asked whether they matter to the task."""

PADDING = 0
"""The token that fills up short prompts."""


@dataclass(frozen=True)
class TaskConcept:
    """A concept on the prompts of a task that it belongs to.

    Attributes:
        concept: Its name.
        node: The kept node that detects it best among those that matter, as text; empty if none does.
        average_precision: Of that node, on train prompts.
        circuit: Score of its labels in that node's place, inside the circuit, on the task loss of test prompts.
        whole: The same in the whole model.
        reason: Why the score inside the circuit is undefined; empty if it is not.
        whole_reason: Why that in the whole model is.
    """

    concept: str
    node: str = ""
    average_precision: float = np.nan
    circuit: Score | None = None
    whole: Score | None = None
    reason: str = ""
    whole_reason: str = ""


@dataclass(frozen=True)
class Coverage:
    """The circuit with some of its labelled nodes replaced at once.

    Attributes:
        nodes: How many, those of highest average precision first.
        score: Of the labels, against all these nodes at their means.
    """

    nodes: int
    score: Score


@dataclass(frozen=True)
class CircuitValidity:
    """What labels do in a circuit.

    Attributes:
        concepts: The concepts that belong to the task.
        kept: Number of nodes that the circuit keeps, errors apart.
        labelled: How many of them have a concept of average precision `LABELLED` or more.
        curve: All labelled nodes at once, and fewer.
    """

    concepts: Sequence[TaskConcept]
    kept: int
    labelled: int
    curve: Sequence[Coverage]


def circuit_validity(
    model: CircuitModel,
    circuit: Circuit,
    means: Means,
    prompts: tuple[PromptBatch, PromptBatch],
    tokenizer: Tokenizer,
    concepts: Sequence[Concept],
    belonging: Sequence[str],
    generator: np.random.Generator,
    held_on: HeldOn | None = None,
) -> CircuitValidity:
    """What labels do in the place of a circuit's nodes, on the task loss.

    Args:
        model: The model that the circuit is of.
        circuit: Its kept nodes.
        means: What a node outside the circuit holds unless `held_on` says otherwise.
        prompts: Train prompts, on which nodes are chosen and levels fitted; test prompts, on which they are scored.
        tokenizer: Of the corpus.
        concepts: All that a kept node may be labelled by.
        belonging: Names of the concepts that belong to the task.
        generator: Source of the draws.
        held_on: What nodes outside the circuit hold on given prompts.
    """
    labels = [window_labels(concepts, tokenizer, batch.tokens.numpy(), PADDING) for batch in prompts]

    def ablated(batch: PromptBatch) -> Edit:
        return keep_only(circuit, means) if held_on is None else ablate(circuit, held_on(batch))

    inside = _Place(model, ablated, prompts, labels, generator)
    whole = _Place(model, lambda batch: unedited, prompts, labels, generator)
    candidates = [Node(site, index) for site, kept in circuit.kept().items() for index in kept]
    candidates = [node for node in candidates if not node.site.endswith("error")]
    inside.look_at(candidates)
    whole.look_at(candidates)
    rows = [_row(name, inside, whole, candidates) for name in belonging]
    return CircuitValidity(rows, len(candidates), *_coverage(inside, candidates))


class _Place:
    """A model, or a circuit of it, on the prompts on which nodes are chosen and on those on which they are scored."""

    def __init__(
        self,
        model: CircuitModel,
        edit_on: Callable[[PromptBatch], Edit],
        prompts: tuple[PromptBatch, PromptBatch],
        labels: Sequence[Mapping[str, WindowLabels]],
        generator: np.random.Generator,
    ) -> None:
        self.choice, self.score = (CachedRun(model, task_eval(batch), edit_on(batch), len(batch)) for batch in prompts)
        self.judges = [Judge(len(batch) // 2, generator) for batch in prompts]
        self.labels = labels
        self.real = _real(prompts[0])
        self.known: dict[Node, Float[np.ndarray, "row position"]] = {}
        self.precisions: dict[tuple[Node, str], float] = {}

    def look_at(self, nodes: Sequence[Node]) -> None:
        """Keep what some nodes hold on the prompts of the choice."""
        found = self.choice.values(sorted({node.site for node in nodes}))
        self.known = {node: found[node.site][..., node.index].numpy() for node in nodes}
        holds = np.stack([labels[self.real] != 0 for labels in self.labels[0].values()])
        values = np.stack([known[self.real] for known in self.known.values()], axis=1) if nodes else np.zeros((0, 0))
        best = average_precisions(values, holds).max(0) if nodes else np.zeros((len(holds), 0))
        best[holds.all(axis=1)] = np.nan
        self.precisions = {
            (node, concept): float(best[row, column])
            for row, concept in enumerate(self.labels[0])
            for column, node in enumerate(self.known)
        }

    def precision(self, node: Node, concept: str) -> float:
        """How well a node detects a concept, whichever way round; `nan` if the concept does not vary."""
        return self.precisions[node, concept]

    def mean(self, node: Node, part: int) -> Float[np.ndarray, "row position"]:
        """A node at its mean over the prompts of the choice."""
        shape = (self.choice, self.score)[part].batch.tokens.shape
        return np.full(shape, self.known[node][self.real].mean(), dtype=np.float32)

    def labelled(self, node: Node, concept: str) -> Float[np.ndarray, "row position"]:
        """A node at its mean given the label, on the prompts of the score."""
        labels = self.labels[0][concept]
        levels = 1 + int(max(labels.max(), self.labels[1][concept].max()))
        means = level_means(self.known[node][self.real], labels[self.real], levels)
        result: Float[np.ndarray, "row position"] = means[self.labels[1][concept]].astype(np.float32)
        return result

    def matters(self, node: Node) -> bool:
        """Whether ablating a node raises the task loss beyond noise on the prompts of the choice."""
        harm = self.choice.losses([{node: self.mean(node, 0)}])[0] - self.choice.true
        return not self.judges[0].harm(harm)

    def judged(self, changes: Mapping[Node, str]) -> tuple[Score, str]:
        """The score of labels in the place of some nodes at once, and why it is undefined, if it is."""
        label, mean = self.score.losses(
            [
                {node: self.labelled(node, concept) for node, concept in changes.items()},
                {node: self.mean(node, 1) for node in changes},
            ]
        )
        losses: tuple[Losses, Losses, Losses] = label, self.score.true, mean
        return self.judges[1].score(*losses), self.judges[1].harm(mean - self.score.true)


def _real(batch: PromptBatch) -> Bool[np.ndarray, "row position"]:
    """Which positions are no padding."""
    real: Bool[np.ndarray, "row position"] = np.arange(batch.tokens.shape[1]) <= batch.last.numpy()[:, None]
    return real


def _row(concept: str, inside: _Place, whole: _Place, candidates: Sequence[Node]) -> TaskConcept:
    """The kept node that detects a concept best among those that matter, and its labels' scores."""
    ranked = [(inside.precision(node, concept), node) for node in candidates]
    ranked = sorted((pair for pair in ranked if np.isfinite(pair[0])), key=lambda pair: -pair[0])[:TRIES]
    if not ranked:
        return TaskConcept(concept, reason="it does not vary over the prompts, or no node is kept")
    chosen = next(((precision, node) for precision, node in ranked if inside.matters(node)), None)
    if chosen is None:
        return TaskConcept(concept, reason=f"none of the {len(ranked)} kept nodes that detect it best matters")
    precision, node = chosen
    (circuit, reason), (score, whole_reason) = inside.judged({node: concept}), whole.judged({node: concept})
    return TaskConcept(concept, str(node), precision, circuit, score, reason, whole_reason)


def _coverage(inside: _Place, candidates: Sequence[Node]) -> tuple[int, list[Coverage]]:
    """How many kept nodes are labelled, and the circuit with ever more of them replaced at once."""
    best = []
    for node in candidates:
        precisions = {name: inside.precision(node, name) for name in inside.labels[0]}
        name = max(precisions, key=lambda concept: np.nan_to_num(precisions[concept], nan=-1.0))
        if precisions[name] >= LABELLED:
            best.append((precisions[name], node, name))
    best.sort(key=lambda triple: -triple[0])
    sizes = sorted({round(len(best) * share) for share in (0.25, 0.5, 0.75, 1.0)} - {0})
    curve = [Coverage(size, inside.judged({node: name for _, node, name in best[:size]})[0]) for size in sizes]
    return len(best), curve
