"""How much of what a model computes has a name: the harm of ablating its nodes that labels in their place explain.

A sample of the nodes is drawn with a probability that grows with the harm that they should do, and weighted back. Each
is replaced by the labels that should explain it best, of all concepts; by the best labels that the current token alone
decides; and by the best of as many labels shifted to other text. What the first explain beyond the other two is
explained by meaning.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from benchmark import metrics
from benchmark.interventions.replacement import Node
from benchmark.validity.choice import CandidateNode, Choice, token_labels
from benchmark.validity.controls import Controls
from benchmark.validity.drawing import draw
from benchmark.validity.picking import Picker
from benchmark.validity.sample import Labels, shifted
from benchmark.validity.scene import Scene
from benchmark.validity.scoring import UNDEFINED, Changes, Score, percentiles

KINDS = ("label", "token", "shifted")
"""What replaces a node: labels of a concept, labels that the token alone decides, labels shifted to other text."""


@dataclass(frozen=True)
class ExplainedNode:
    """A node of the sample.

    Attributes:
        probability: That of being drawn.
        harm: Change of the loss with the node at its mean, nats per token.
        concepts: By what replaces it, the concept that should explain it best.
        lost: By what replaces it, change of the loss, nats per token.
    """

    node: str
    probability: float
    harm: float
    concepts: Mapping[str, str]
    lost: Mapping[str, float]


@dataclass(frozen=True)
class ExplainedHarm:
    """Of all nodes of a model, the share of their harm that labels explain.

    Attributes:
        beyond: Beyond the better of token-only and shifted labels, by the estimate on the choice split.
        shares: By what replaces the nodes.
        nodes: The nodes that were drawn.
        reason: Why the shares are undefined; empty if they are defined.
    """

    beyond: Score
    shares: Mapping[str, Score]
    nodes: Sequence[ExplainedNode]
    reason: str


@dataclass(frozen=True, eq=False)
class _Best:
    """The labels of one kind that should explain a node best.

    Attributes:
        cost: What they should cost, nats per token.
        known: The labels on the choice split.
    """

    concept: str
    cost: float
    known: Labels


def draw_nodes(choice: Choice, count: int, generator: np.random.Generator) -> dict[Node, float]:
    """Nodes of units, drawn in proportion to the harm that they should do, and the probability of each."""
    nodes = [Node(site.name, index) for site in choice.units() for index in range(site.size)]
    harms = np.concatenate([choice.harms[site.name] for site in choice.units()])
    drawn = draw(harms, count, generator)
    return {nodes[number]: float(drawn.probability[number]) for number in drawn.windows.tolist()}


def explained_harm(
    choice: Choice, picker: Picker, scene: Scene, drawn: Mapping[Node, float], generator: np.random.Generator
) -> ExplainedHarm:
    """The share of the harm of all nodes that labels explain, from nodes that `draw_nodes` has drawn."""
    if not (drawn and choice.concepts):
        return ExplainedHarm(UNDEFINED, dict.fromkeys(KINDS, UNDEFINED), [], "there is no node or no concept")
    controls, windows = Controls(picker.scene, scene), picker.settings.explained_windows
    best = {kind: _best(choice, list(drawn), labels) for kind, labels in _label_kinds(choice, generator).items()}
    found: list[ExplainedNode] = []
    changes: dict[str, list[Changes]] = {name: [] for name in ("mean", "null", *KINDS)}
    for number, (node, probability) in enumerate(drawn.items()):
        mine = {kind: best[kind][number] for kind in KINDS}
        fits = [picker.fit(CandidateNode(node, 1, 0.0, float(choice.harms[node.site][node.index])))]
        here = {kind: _here(kind, each.concept, choice, scene, generator) for kind, each in mine.items()}
        new = {kind: controls.by_labels(fits, mine[kind].known, here[kind]) for kind in KINDS}
        measured = scene.measure(fits, new, windows, mine["label"].concept)
        for name, lost in measured.changes.items():
            changes[name].append(lost)
        null = min(("token", "shifted"), key=lambda kind: mine[kind].cost)
        changes["null"].append(measured.changes[null])
        concepts = {kind: each.concept for kind, each in mine.items()}
        means = {kind: float(measured.changes[kind].mean()) for kind in KINDS}
        found.append(ExplainedNode(str(node), probability, float(measured.harm.mean()), concepts, means))
    sums = _Sums.of({name: np.array(each) for name, each in changes.items()}, list(drawn.values()), scene, generator)
    shares = {kind: sums.share("mean", kind) for kind in KINDS}
    return ExplainedHarm(sums.share("null", "label"), shares, found, sums.reason)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Changes of the loss summed over all nodes of a model, estimated from those that were drawn.

    Attributes:
        nodes: Of each node, by what replaces it, nats per token.
        weights: How many nodes each stands for.
        draws: The sums in bootstrap draws, over the windows and over which nodes were drawn.
        reason: Why the sum of the harm cannot be told from noise; empty if it can.
    """

    nodes: Mapping[str, Float[np.ndarray, " node"]]
    weights: Float[np.ndarray, " node"]
    draws: Mapping[str, Float[np.ndarray, " draw"]]
    reason: str

    @classmethod
    def of(
        cls,
        changes: Mapping[str, Float[np.ndarray, "node window"]],
        probability: Sequence[float],
        scene: Scene,
        generator: np.random.Generator,
    ) -> "_Sums":
        weights = 1 / np.array(probability)
        excess = np.maximum(1 - np.array(probability), 1e-9)
        resampled = {name: scene.judge.resampled(each) for name, each in changes.items()}
        # a factor of mean 1 and variance 1 - p for a node drawn with probability p: the variance of the sum over nodes
        factors = generator.gamma(1 / excess, excess, size=resampled["mean"].shape)
        nodes = {name: each.mean(1) for name, each in changes.items()}
        draws = {name: (each * factors) @ weights for name, each in resampled.items()}
        low, high = percentiles(draws["mean"])
        noise = f"the harm of all nodes, {nodes['mean'] @ weights:.2g}, has the interval {low:.2g} to {high:.2g}"
        return cls(nodes, weights, draws, "" if low > 0 else noise)

    def share(self, upper: str, lower: str) -> Score:
        """Difference of two sums, as a share of the harm."""
        if self.reason:
            return UNDEFINED
        drawn = (self.draws[upper] - self.draws[lower]) / self.draws["mean"]
        (lost, null, harm), weights = (self.nodes[name] for name in (lower, upper, "mean")), self.weights
        return Score(metrics.explained_harm(lost, null, harm, weights), *percentiles(drawn), float(lost @ weights))


def _label_kinds(choice: Choice, generator: np.random.Generator) -> dict[str, Callable[[str], Labels]]:
    """Labels of a concept on the choice split, by kind."""
    sample = choice.sample
    return {
        "label": lambda concept: sample.labels[concept],
        "token": lambda concept: token_labels(sample, sample, concept),
        "shifted": lambda concept: shifted(sample, concept, generator),
    }


def _here(kind: str, concept: str, choice: Choice, scene: Scene, generator: np.random.Generator) -> Labels:
    """Labels of a concept on the score split, by kind."""
    if kind == "token":
        return token_labels(choice.sample, scene.sample, concept)
    return scene.sample.labels[concept] if kind == "label" else shifted(scene.sample, concept, generator)


def _best(choice: Choice, nodes: Sequence[Node], labels_of: Callable[[str], Labels]) -> list[_Best]:
    """For each node the labels that should cost least in its place."""
    labels = {concept: labels_of(concept) for concept in choice.concepts}
    costs: Float[np.ndarray, "concept node"] = np.stack(
        [choice.cost_estimates(nodes, each.reshape(-1)) for each in labels.values()]
    )
    chosen = [choice.concepts[row] for row in costs.argmin(0)]
    return [_Best(name, float(cost), labels[name]) for name, cost in zip(chosen, costs.min(0), strict=True)]
