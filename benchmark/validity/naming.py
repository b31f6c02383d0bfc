"""Names every node as a person would, by its top examples, and finds out how often that person is fooled."""

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
"""What a name is worth: `illusion` if labels cannot stand in for the node while its own value, as coarse, can."""

NAMED = 0.95
"""Top-k precision from which a person would give the name."""

HALF = 0.5
"""Score below which a replacement has failed."""


@dataclass(frozen=True)
class NamedNode:
    """A node that top examples give a name.

    Attributes:
        concept: The name: the concept of highest top-k precision.
        top_k_precision: Of that concept, on the choice split.
        label: Score of the concept's labels.
        quantised: Score of the node's own value at as many levels.
        verdict: What the name is worth.
        better: The concept that explains it better, if one does, with its score.
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
    """The nodes whose ablation should move the loss most, by a first-order estimate.

    Attribution patching (Nanda 2023): |sum over positions of (mean - value) times gradient|, mean over the first
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
    """The nodes that matter and that top examples name, with what labels in their place do on the score split."""
    found = []
    for node in sorted(choice.matter) if choice.concepts else ():
        low, middle, high = np.quantile(choice.of(node), [0.001, 0.5, 0.999])
        sign = 1 if high - middle >= middle - low else -1  # a person looks where the longer tail lies
        concept, share = _name_of(choice, node, sign, k)
        if share >= NAMED:
            found.append(_judged(choice, score, run, judge, choice.fit(node, sign), concept, share))
    return found


def _name_of(choice: Choice, node: Node, sign: int, k: int) -> tuple[str, float]:
    """The concept that holds at most of a node's k top positions, and its share of them.

    Of equal shares the simpler concept has it, as a person would say "dogs" before "dogs on jetskis"; then the rarer.
    """
    top = np.argsort(-sign * choice.of(node).reshape(-1), kind="stable")[:k]
    shares = choice.holds[:, top].mean(axis=1)
    rates = choice.holds.mean(axis=1)
    conjunctions = [name in CONCEPTS and len(CONCEPTS[name].parts) > 1 for name in choice.concepts]
    best = min(range(len(shares)), key=lambda row: (-shares[row], conjunctions[row], rates[row]))
    return choice.concepts[best], float(shares[best])


def _judged(
    choice: Choice, score: Sample, run: CachedRun, judge: Judge, fit: Fit, concept: str, share: float
) -> NamedNode:
    """What a node's name is worth, and whether another concept explains it better."""
    known, values = choice.of(fit.node), run.node(fit.node)
    other = _another_concept(choice, fit, concept)
    levels = max(2, int(choice.sample.labels[concept].max()) + 1)
    replacements = {"quantised": quantised(known, values, levels)} | {
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


def _another_concept(choice: Choice, fit: Fit, concept: str) -> str:
    """The concept other than its name that a node detects best, on the choice split."""
    side = 0 if fit.scale.sign > 0 else 1
    precisions = np.nan_to_num(choice.precisions[fit.node.site][side, :, fit.node.index])
    gains = precisions - choice.holds.mean(axis=1)
    gains[choice.concepts.index(concept)] = -np.inf
    return choice.concepts[int(gains.argmax())]


def _judgement(label: Score, quantised: Score) -> NameJudgement:
    """`illusion`: labels fail though a value as coarse does not; `graded`: neither does, so the magnitude matters."""
    if np.isnan(label.value) or np.isnan(quantised.value):
        return "undefined"
    if label.high >= HALF:
        return "valid"
    return "illusion" if quantised.value >= HALF else "graded"
