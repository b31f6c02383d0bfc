"""Labels in place of a circuit's nodes on the corpus: one at a time and all at once, in the circuit and the model.

A node that stands for a concept on the prompts of a task may stand for much else in other text.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmark.concepts import Concept
from benchmark.interventions.replacement import Node
from benchmark.interventions.window_run import Change, Values, WindowRun
from benchmark.model.devices import to_numpy
from benchmark.model.interface import CircuitModel, Edit, record, unedited
from benchmark.validity.sample import Sample, refusal
from benchmark.validity.scoring import Judge, Score, at_mean, given_labels

WHERE = ("circuit", "whole")
"""In what the nodes are replaced."""


@dataclass(frozen=True)
class CorpusScore:
    """The score of labels in place of some nodes, on the corpus's next-token loss.

    Attributes:
        nodes: Number of nodes that were replaced at once.
        harm: Change of the loss with all of them at their means, nats per token.
        reason: Why the score is undefined; empty if it is defined.
    """

    nodes: int
    score: Score
    harm: float
    reason: str


@dataclass(frozen=True)
class OnCorpus:
    """The effect on the corpus of labels in place of a circuit's nodes, in the circuit and in the whole model.

    Attributes:
        concepts: One node for each concept of the task that has one, by concept and by where.
        joint: All labelled nodes at once, by where; empty if there is none.
        windows: Number of windows of the corpus.
        refused: Why some concepts cannot be tried on these windows.
    """

    concepts: Mapping[str, Mapping[str, CorpusScore]]
    joint: Mapping[str, CorpusScore]
    windows: int
    refused: Mapping[str, str]


def labels_on_corpus(
    model: CircuitModel,
    edit: Edit,
    choice: Sample,
    score: Sample,
    by_concept: Mapping[str, Node],
    labelled: Mapping[Node, str],
    concepts: Sequence[Concept],
    generator: np.random.Generator,
) -> OnCorpus:
    """Replace nodes of a circuit by labels on the corpus; every window is run.

    Args:
        model: The model.
        edit: The edit that ablates all nodes outside the circuit.
        choice: Windows on which a node's mean given the label is fitted; with labels of all concepts below.
        score: Windows on which the loss is measured.
        by_concept: For some concepts the node that is replaced alone.
        labelled: All nodes that are replaced at once, each with its concept.
        concepts: The concepts of both. One that holds nowhere or everywhere on either sample is refused.
        generator: Source of the bootstrap draws.
    """
    refused = {each.name: why for each in concepts if (why := refusal(each, [choice, score]))}
    by_concept = {name: node for name, node in by_concept.items() if name not in refused}
    labelled = {node: name for node, name in labelled.items() if name not in refused}
    alone = {name: {node: name} for name, node in by_concept.items()}
    found = {
        where: _scores(
            _values(model, choice, base, [*labelled, *by_concept.values()]),
            WindowRun(model, score.tokens, score.targets, base),
            (choice, score),
            {**alone, "": dict(labelled)} if labelled else alone,
            generator,
        )
        for where, base in zip(WHERE, (edit, unedited), strict=True)
    }
    each_alone = {name: {where: found[where][name] for where in WHERE} for name in by_concept}
    joint = {where: found[where][""] for where in WHERE} if labelled else {}
    return OnCorpus(each_alone, joint, len(score.tokens), refused)


@torch.no_grad()
def _values(model: CircuitModel, sample: Sample, base: Edit, nodes: Iterable[Node]) -> dict[Node, Values]:
    """Values of some nodes under an edit."""
    found = record(model, sample.tokens, base)
    return {node: to_numpy(found[node.site][..., node.index]) for node in nodes}


def _scores(
    values: Mapping[Node, Values],
    run: WindowRun,
    samples: tuple[Sample, Sample],
    changes: Mapping[str, Mapping[Node, str]],
    generator: np.random.Generator,
) -> dict[str, CorpusScore]:
    """The score of each set of nodes, with each node at its mean given the label of its concept."""
    choice, score = samples
    judge, windows = Judge(len(score.tokens), generator), np.arange(len(score.tokens))
    found = {}
    for name, change in changes.items():
        labels: Change = {
            node: given_labels(values[node], choice.labels[concept], score.labels[concept])
            for node, concept in change.items()
        }
        means: Change = {node: at_mean(float(values[node].mean()), score.tokens.shape) for node in change}
        label, mean = (each.mean(1) for each in run.losses(windows, [labels, means]) - run.true)
        found[name] = CorpusScore(len(change), judge.score(label, mean), float(mean.mean()), judge.harm(mean))
    return found
