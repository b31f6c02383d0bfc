"""How much of the harm of ablating a model's nodes is explained by labels put in their place.

Nodes are sampled with a probability that increases with their estimated harm, and weighted back. Each is replaced by
the labels with the lowest estimated cost over all concepts; by the best labels that the current token alone decides;
and by the best of as many labels shifted to other text. What the first explain beyond the other two has a name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from benchmark import metrics
from benchmark.interventions.replacement import Node
from benchmark.metrics.shares import shares
from benchmark.statistics.intervals import UNKNOWN
from benchmark.validity.choice import CandidateNode, Choice, token_labels
from benchmark.validity.controls import Controls
from benchmark.validity.drawing import draw
from benchmark.validity.picking import Picker
from benchmark.validity.sample import Labels, Sample, shifted
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
        concepts: By what replaces it, the concept whose labels have the lowest estimated cost.
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
        beyond: What labels explain beyond a null: for each node its mean, token-only or shifted labels, whichever has
            the lowest estimated cost on the choice split.
        shares: By what replaces the nodes.
        nodes: The nodes that were drawn.
        windows: Number of windows over which the intervals are.
        reason: Why the shares are undefined; empty if they are defined.
    """

    beyond: Score
    shares: Mapping[str, Score]
    nodes: Sequence[ExplainedNode]
    windows: int
    reason: str


@dataclass(frozen=True, eq=False)
class _Best:
    """The labels of one kind with the lowest estimated cost in place of a node.

    Attributes:
        cost: Estimated change of the loss, nats per token.
        known: The labels on the choice split.
    """

    concept: str
    cost: float
    known: Labels


def draw_nodes(choice: Choice, count: int, generator: np.random.Generator) -> dict[Node, float]:
    """Nodes of units, drawn in proportion to their estimated harm, and the probability of each."""
    nodes = [Node(site.name, index) for site in choice.units() for index in range(site.size)]
    harms = np.concatenate([choice.harms[site.name] for site in choice.units()])
    drawn = draw(harms, count, generator)
    return {nodes[number]: float(drawn.probability[number]) for number in drawn.windows.tolist()}


def explained_harm(
    choice: Choice, picker: Picker, scene: Scene, drawn: Mapping[Node, float], generator: np.random.Generator
) -> ExplainedHarm:
    """The share of the harm of all nodes that labels explain, from nodes that `draw_nodes` has drawn."""
    if not (drawn and choice.concepts):
        return ExplainedHarm(UNDEFINED, dict.fromkeys(KINDS, UNDEFINED), [], 0, "there is no node or no concept")
    controls, windows = Controls(picker.scene, scene), picker.settings.explained_windows
    best = {kind: _best(choice, list(drawn), kind, generator) for kind in KINDS}
    found: list[ExplainedNode] = []
    changes: dict[str, list[Changes]] = {name: [] for name in ("mean", "null", *KINDS)}
    for number, (node, probability) in enumerate(drawn.items()):
        mine = {kind: best[kind][number] for kind in KINDS}
        harm = choice.harm(node)
        fits = [picker.fit(CandidateNode(node, 1, 0.0, harm))]
        new = {
            kind: controls.by_labels(
                fits, each.known, _labels(kind, each.concept, choice.sample, scene.sample, generator)
            )
            for kind, each in mine.items()
        }
        measured = scene.measure(fits, new, windows, mine["label"].concept)
        for name, lost in measured.changes.items():
            changes[name].append(lost)
        costs = {"mean": harm, "token": mine["token"].cost, "shifted": mine["shifted"].cost}
        null = min(costs, key=lambda kind: costs[kind])
        changes["null"].append(measured.changes[null])
        concepts = {kind: each.concept for kind, each in mine.items()}
        means = {kind: float(measured.changes[kind].mean()) for kind in KINDS}
        found.append(ExplainedNode(str(node), probability, float(measured.harm.mean()), concepts, means))
    sums = _Sums.of({name: np.array(each) for name, each in changes.items()}, list(drawn.values()), scene, generator)
    explained = {kind: sums.share("mean", kind) for kind in KINDS}
    return ExplainedHarm(sums.share("null", "label"), explained, found, len(scene.sample.tokens), sums.reason)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Changes of the loss summed over all nodes of a model, estimated from those that were drawn.

    Attributes:
        nodes: Of each node, by what replaces it, nats per token.
        weights: How many nodes each stands for.
        draws: The sums in bootstrap draws, over the windows and over which nodes were drawn.
        reason: Why the sum of the harm cannot be told from noise; empty if it can. Its interval only has to exclude 0:
            most of its width is how many nodes were drawn, which the shares do not depend on.
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
        low, high = percentiles(draws["mean"]) if len(scene.sample.tokens) > 1 else UNKNOWN
        noise = f"the harm of all nodes, {nodes['mean'] @ weights:.2g}, has the interval {low:.2g} to {high:.2g}"
        return cls(nodes, weights, draws, "" if low > 0 else noise)

    def share(self, upper: str, lower: str) -> Score:
        """Difference of two sums, as a share of the harm."""
        if self.reason:
            return UNDEFINED
        drawn = shares(self.draws[upper] - self.draws[lower], self.draws["mean"])
        (lost, null, harm), weights = (self.nodes[name] for name in (lower, upper, "mean")), self.weights
        return Score(metrics.explained_harm(lost, null, harm, weights), *percentiles(drawn), float(lost @ weights))


def _labels(kind: str, concept: str, choice: Sample, sample: Sample, generator: np.random.Generator) -> Labels:
    """Labels of one kind on a sample; token-only labels are fitted to the choice split."""
    if kind == "token":
        return token_labels(choice, sample, concept)
    return sample.labels[concept] if kind == "label" else shifted(sample, concept, generator)


def _best(choice: Choice, nodes: Sequence[Node], kind: str, generator: np.random.Generator) -> list[_Best]:
    """For each node the labels of one kind with the lowest estimated cost in its place."""
    sample = choice.sample
    labels = {concept: _labels(kind, concept, sample, sample, generator) for concept in choice.concepts}
    costs = choice.cost_estimates(nodes, (each.reshape(-1) for each in labels.values()))
    chosen = [choice.concepts[row] for row in costs.argmin(0)]
    return [_Best(name, float(cost), labels[name]) for name, cost in zip(chosen, costs.min(0), strict=True)]
