"""Chooses a node for each concept on one split, to be scored on another: the best detector among nodes that matter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from benchmark.interventions.replacement import CachedRun, Node
from benchmark.metrics import average_precision
from benchmark.model.graph import RESIDUAL_CHANNELS
from benchmark.model.interface import CircuitModel, Site
from benchmark.validity.precision import average_precisions
from benchmark.validity.sample import Sample
from benchmark.validity.scoring import Fit, Judge, Scale, level_means

KNOWN_TO = 0.25
"""Largest half-width of the interval of a node's harm, as a share of the harm, for the node to count as mattering;
stricter than for a score (a third), so that few scores are undefined on other text."""


@dataclass(frozen=True)
class CandidateNode:
    """A node, its orientation, and its average precision for a concept on the choice split."""

    node: Node
    sign: int
    precision: float


class Choice:
    """A model on the choice split: how well each node detects each concept, and which nodes matter."""

    def __init__(
        self, model: CircuitModel, sample: Sample, run: CachedRun, judge: Judge, concepts: Sequence[str]
    ) -> None:
        self.sample = sample
        self.concepts = list(concepts)
        # nobody claims that errors have a meaning
        self.sites = tuple(site for site in model.sites if site.kind != "error")
        self.holds = holding(sample, self.concepts)
        self.matter: set[Node] = set()
        self._run = run
        self._judge = judge

    @cached_property
    def values(self) -> Mapping[str, Float[np.ndarray, "_token _node"]]:
        """Values of all nodes by site, with all windows concatenated."""
        found = self._run.values([site.name for site in self.sites])
        return {name: values.flatten(0, 1).numpy() for name, values in found.items()}

    @cached_property
    def precisions(self) -> Mapping[str, Float[np.ndarray, "2 _concept _node"]]:
        """Average precision of all nodes for all concepts by site, as returned by `average_precisions`."""
        return {name: average_precisions(values, self.holds) for name, values in self.values.items()}

    def units(self) -> list[Site]:
        """The sites of the unit graph, which has no residual channels."""
        return [site for site in self.sites if site.kind not in RESIDUAL_CHANNELS]

    def detector(self, concept: str, node: Node) -> CandidateNode:
        """A node as a detector of a concept, in its better orientation."""
        first, opposite = np.nan_to_num(self.precisions[node.site][:, self.concepts.index(concept), node.index])
        return CandidateNode(node, 1 if first >= opposite else -1, float(max(first, opposite)))

    def best(self, concept: str, sites: Sequence[Site]) -> CandidateNode:
        """The node of the sites with the highest average precision, whether it matters or not."""
        row = self.concepts.index(concept)
        found = []
        for site in sites:
            precisions = np.nan_to_num(self.precisions[site.name][:, row]).max(0)
            found.append(self.detector(concept, Node(site.name, int(precisions.argmax()))))
        return max(found, key=lambda candidate: candidate.precision)

    def best_that_matters(self, concept: str, sites: Sequence[Site]) -> CandidateNode | None:
        """The node of the sites with the highest average precision among those that matter, if any."""
        names = {site.name for site in sites}
        found = [self.detector(concept, node) for node in sorted(self.matter) if node.site in names]
        return max(found, key=lambda candidate: candidate.precision, default=None)

    def ablate(self, nodes: Sequence[Node]) -> None:
        """Find out which of the nodes matter, since otherwise redundant nodes would be chosen.

        Ablation must do so much more harm than noise that a score is defined, even on other text (`Judge.harm`).
        """
        means = [{node: np.full_like(self.of(node), self.of(node).mean())} for node in nodes]
        for node, losses in zip(nodes, self._run.losses(means), strict=True):
            if not self._judge.harm(losses - self._run.true, KNOWN_TO):
                self.matter.add(node)

    def of(self, node: Node) -> Float[np.ndarray, "row position"]:
        """Values of a node on the choice split."""
        values: Float[np.ndarray, "row position"] = self.values[node.site][:, node.index]
        return values.reshape(tuple(self.sample.tokens.shape))

    def label_means(self, node: Node, concept: str, score: Sample) -> Float[np.ndarray, " level"]:
        """Mean of a node on the choice split for each label of a concept that occurs in either split."""
        labels = self.sample.labels[concept]
        return level_means(self.of(node), labels, 1 + int(max(labels.max(), score.labels[concept].max())))

    def fit(self, node: Node, sign: int) -> Fit:
        """A node's scale and mean on the choice split."""
        values = self.of(node)
        return Fit(node, Scale.of(values, sign), float(values.mean()))


def holding(sample: Sample, concepts: Sequence[str]) -> Bool[np.ndarray, "concept token"]:
    """Whether each concept holds at each token, with all windows concatenated."""
    found = np.array([sample.flat(name) != 0 for name in concepts], dtype=np.bool_)
    return found.reshape(len(concepts), sample.tokens.numel())


def token_precision(choice: Sample, score: Sample, concept: str) -> float:
    """Average precision on the score split of the best predictor from the current token alone.

    It predicts the rate at which the concept held at that token on the choice split, or the overall rate for tokens
    that did not occur there.
    """
    tokens, holds = choice.tokens.flatten().numpy(), choice.flat(concept) != 0
    size = int(max(tokens.max(), int(score.tokens.max()))) + 1
    seen, true = np.bincount(tokens, minlength=size), np.bincount(tokens, weights=holds, minlength=size)
    rate = np.where(seen > 0, true / np.maximum(seen, 1), holds.mean())
    return average_precision(rate[score.tokens.flatten().numpy()], score.flat(concept))
