"""Names every node as a person would, by its top examples, and finds out how often that person is fooled."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.concepts import CONCEPTS
from benchmark.interventions.replacement import Node, Stand
from benchmark.model.interface import CircuitModel, Site, forward, next_token_losses
from benchmark.validity.choice import Choice
from benchmark.validity.sample import Sample
from benchmark.validity.scoring import Fit, Judge, Score, level_means, quantised, replaced

Verdict = Literal["valid", "illusion", "graded", "undefined"]
"""What a name is worth: `illusion` if labels cannot stand in for the node while its own value, as coarse, can."""

NAMED = 0.95
"""Top-k precision from which a person would give the name."""

HALF = 0.5
"""Score below which a replacement has failed."""


@dataclass(frozen=True)
class NamedNode:
    """A node that top examples give a name.

    Attributes:
        node: Which one, as text.
        concept: The name: the concept of highest top-k precision.
        top_k_precision: Of that concept, on the choice split.
        label: Score of the concept's labels.
        quantised: Score of the node's own value at as many levels.
        verdict: What the name is worth.
        better: The concept that explains it better, if one does.
        better_score: Its score.
    """

    node: str
    concept: str
    top_k_precision: float
    label: Score
    quantised: Score
    verdict: Verdict
    better: str = ""
    better_score: float = float("nan")


def most_important(model: CircuitModel, sample: Sample, choice: Choice, count: int, windows: int = 8) -> list[Node]:
    """The nodes whose ablation should move the loss most, by a first-order estimate.

    Attribution patching (Nanda 2023): |sum over positions of (mean - value) times gradient|, mean over windows.
    Ablating every node of a model would cost more than everything else together.

    Args:
        model: Any circuit model.
        sample: The choice split.
        choice: The model on it.
        count: Number of nodes wanted.
        windows: Windows that gradients are taken on.
    """
    sites = {site.name: site for site in choice.units()}
    seen: dict[str, Tensor] = {}

    def watch(site: Site, values: Tensor) -> Tensor:
        if site.name not in sites:
            return values
        seen[site.name] = values if values.requires_grad else values.requires_grad_()
        return seen[site.name]

    with torch.enable_grad():
        logits = forward(model, sample.tokens[:windows], watch)
        loss = next_token_losses(logits, sample.targets[:windows]).mean()
        gradients = torch.autograd.grad(loss, list(seen.values()), allow_unused=True, materialize_grads=True)
    found = []
    for (name, values), gradient in zip(seen.items(), gradients, strict=True):
        mean = torch.from_numpy(choice.values[name].mean(0))
        effect = ((mean - values.detach()) * gradient).sum(1).abs().mean(0)
        found += [(float(each), Node(name, index)) for index, each in enumerate(effect)]
    return [node for _, node in sorted(found, key=lambda pair: -pair[0])[:count]]


def orientation(values: Float[np.ndarray, "row position"]) -> int:
    """The side of the median on which a node's longer tail lies: that is where a person looks."""
    low, middle, high = np.quantile(values, [0.001, 0.5, 0.999])
    return 1 if high - middle >= middle - low else -1


def name_of(choice: Choice, node: Node, sign: int, k: int) -> tuple[str, float]:
    """The concept that holds at most of a node's k top positions, and its share of them.

    Of equal shares the simpler concept has it, as a person would say "dogs" before "dogs on jetskis"; then the rarer.
    """
    top = np.argsort(-sign * choice.of(node).reshape(-1), kind="stable")[:k]
    shares = choice.holds[:, top].mean(axis=1)
    rates = choice.holds.mean(axis=1)
    best = min(range(len(shares)), key=lambda row: (-shares[row], is_conjunction(choice.concepts[row]), rates[row]))
    return choice.concepts[best], float(shares[best])


def is_conjunction(concept: str) -> bool:
    """Whether a concept is made of two others."""
    return concept in CONCEPTS and len(CONCEPTS[concept].parts) > 1


def named_nodes(
    choice: Choice,
    score: Sample,
    stand: Stand,
    judge: Judge,
    k: int,
) -> list[NamedNode]:
    """The nodes that matter and that top examples name, with what labels in their place do on the score split."""
    found = []
    for node in sorted(choice.matter) if choice.concepts else ():
        sign = orientation(choice.of(node))
        concept, share = name_of(choice, node, sign, k)
        if share >= NAMED:
            found.append(_judged(choice, score, stand, judge, choice.fit(node, sign), concept, share))
    return found


def _judged(
    choice: Choice, score: Sample, stand: Stand, judge: Judge, fit: Fit, concept: str, share: float
) -> NamedNode:
    """What a node's name is worth, and whether another concept explains it better."""
    known, values = choice.of(fit.node), stand.node(fit.node)
    other = choice_of_another(choice, fit, concept)
    levels = max(2, int(choice.sample.labels[concept].max()) + 1)
    replacements = {"quantised": quantised(known, values, levels)}
    for name in (concept, other):
        labels = choice.sample.labels[name]
        means = level_means(known, labels, int(max(labels.max(), score.labels[name].max())) + 1)
        replacements[name] = means[score.labels[name]]
    losses = replaced(stand, fit, replacements)
    scores = {name: judge.score(losses[name], losses["true"], losses["mean"]) for name in replacements}
    gain = judge.interval(losses[concept] - losses[other])
    better = other if gain.low > 0 and scores[other].value > scores[concept].value else ""
    return NamedNode(
        node=str(fit.node),
        concept=concept,
        top_k_precision=share,
        label=scores[concept],
        quantised=scores["quantised"],
        verdict=verdict(scores[concept], scores["quantised"]),
        better=better,
        better_score=scores[other].value if better else float("nan"),
    )


def choice_of_another(choice: Choice, fit: Fit, concept: str) -> str:
    """The concept other than its name that a node detects best, on the choice split."""
    side = 0 if fit.scale.sign > 0 else 1
    precisions = np.nan_to_num(choice.precisions[fit.node.site][side, :, fit.node.index])
    gains = precisions - choice.holds.mean(axis=1)
    gains[choice.concepts.index(concept)] = -np.inf
    return choice.concepts[int(gains.argmax())]


def verdict(label: Score, quantised: Score) -> Verdict:
    """`illusion`: labels fail though a value as coarse does not; `graded`: neither does, so the magnitude matters."""
    if np.isnan(label.value) or np.isnan(quantised.value):
        return "undefined"
    if label.high >= HALF:
        return "valid"
    return "illusion" if quantised.value >= HALF else "graded"
