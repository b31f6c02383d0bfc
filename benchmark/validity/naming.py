"""Names every node as a person would, by its top-activating examples, and measures how often such names mislead."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from benchmark.concepts import CONCEPTS
from benchmark.discovery.attribution import values_and_gradients
from benchmark.interventions.replacement import CachedRun, Node
from benchmark.model.interface import CircuitModel, Edit, forward, next_token_losses
from benchmark.validity.choice import Choice
from benchmark.validity.sample import Sample
from benchmark.validity.scoring import Fit, Judge, Score, quantised, replaced

NameJudgement = Literal["valid", "illusion", "graded", "undefined"]
"""What a name is worth: `illusion` if labels cannot replace the node although its own quantised value can."""

NAMED = 0.95
"""Minimum top-k precision for a person to give the name."""

HALF = 0.5
"""Score below which a replacement has failed."""


@dataclass(frozen=True)
class NamedNode:
    """A node that gets a name from its top-activating examples.

    Attributes:
        concept: The name: the concept with the highest top-k precision.
        top_k_precision: Top-k precision of that concept on the choice split.
        label: Score of the concept's labels.
        quantised: Score of the node's own value quantised to as many levels.
        better: A concept that explains the node better, if any, with the score of its labels.
    """

    node: str
    concept: str
    top_k_precision: float
    label: Score
    quantised: Score
    verdict: NameJudgement
    better: str = ""
    better_score: float = float("nan")


def most_important(model: CircuitModel, sample: Sample, choice: Choice, count: int, windows: int = 8) -> list[Node]:
    """The nodes whose ablation should change the loss most, by a first-order estimate.

    Attribution patching (Nanda 2023): |sum over positions of (mean - value) times gradient|, averaged over the first
    windows. Ablating every node of a model would cost more than everything else together.
    """

    def loss(watch: Edit) -> Tensor:
        logits = forward(model, sample.tokens[:windows], watch)
        return next_token_losses(logits, sample.targets[:windows]).mean()

    found = []
    for name, (values, gradient) in values_and_gradients(choice.units(), loss).items():
        mean = torch.from_numpy(choice.values[name].mean(0))
        effect = ((mean - values) * gradient).sum(1).abs().mean(0)
        found += [(float(each), Node(name, index)) for index, each in enumerate(effect)]
    return [node for _, node in sorted(found, key=lambda pair: -pair[0])[:count]]


def named_nodes(choice: Choice, score: Sample, run: CachedRun, judge: Judge, k: int) -> list[NamedNode]:
    """The nodes that matter and that get a name, with the scores of labels in their place on the score split.

    The name is the concept with the largest share of a node's top k positions. If several tie, it is the simplest, as
    people would say "dogs" before "dogs on jetskis", and then the rarest.
    """
    found = []
    rates = choice.holds.mean(axis=1)
    conjunctions = [name in CONCEPTS and len(CONCEPTS[name].parts) > 1 for name in choice.concepts]
    for node in sorted(choice.matter) if choice.concepts else ():
        low, middle, high = np.quantile(choice.of(node), [0.001, 0.5, 0.999])
        sign = 1 if high - middle >= middle - low else -1  # people look at the longer tail
        top = np.argsort(-sign * choice.of(node).reshape(-1), kind="stable")[:k]
        shares = choice.holds[:, top].mean(axis=1)
        best = min(range(len(shares)), key=lambda row: (-shares[row], conjunctions[row], rates[row]))
        if shares[best] >= NAMED:
            fit, share = choice.fit(node, sign), float(shares[best])
            found.append(_judged(choice, score, run, judge, fit, choice.concepts[best], share))
    return found


def _judged(
    choice: Choice, score: Sample, run: CachedRun, judge: Judge, fit: Fit, concept: str, share: float
) -> NamedNode:
    """What a node's name is worth, and whether the other concept that it detects best explains it better."""
    precisions = np.nan_to_num(choice.precisions[fit.node.site][0 if fit.scale.sign > 0 else 1, :, fit.node.index])
    gains = precisions - choice.holds.mean(axis=1)
    gains[choice.concepts.index(concept)] = -np.inf
    other = choice.concepts[int(gains.argmax())]
    levels = max(2, int(choice.sample.labels[concept].max()) + 1)
    replacements = {"quantised": quantised(choice.of(fit.node), run.node(fit.node), levels)} | {
        name: choice.label_means(fit.node, name, score)[score.labels[name]] for name in (concept, other)
    }
    losses = replaced(run, fit, replacements)
    scores = {name: judge.score(losses[name], losses["true"], losses["mean"]) for name in replacements}
    gain = judge.interval(losses[concept] - losses[other])
    better = other if gain.low > 0 and scores[other].value > scores[concept].value else ""
    return NamedNode(
        node=str(fit.node),
        concept=concept,
        top_k_precision=share,
        label=scores[concept],
        quantised=scores["quantised"],
        verdict=_judgement(scores[concept], scores["quantised"]),
        better=better,
        better_score=scores[other].value if better else float("nan"),
    )


def _judgement(label: Score, quantised: Score) -> NameJudgement:
    """`illusion` if labels fail but the quantised value does not; `graded` if both fail, so the magnitude matters."""
    if np.isnan(label.value) or np.isnan(quantised.value):
        return "undefined"
    if label.high >= HALF:
        return "valid"
    return "illusion" if quantised.value >= HALF else "graded"
