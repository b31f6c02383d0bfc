"""What is known of a model on the split where nodes are chosen: how well each detects each concept, and its effect.

Nodes that detect a concept are candidates for it, not those that matter most to the corpus as a whole, among which
there is hardly a detector of a rare concept. How much harm the ablation of a node does is estimated for all nodes from
one backward pass. Along the weights that read a node the loss of a trained model is stationary, so the first-order
effect of ablation is close to 0 on average, whatever the node does; but as the model predicts tokens about as well as
it claims to, the mean square of that effect is the Fisher information, half of which is the harm to second order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from benchmark.interventions.replacement import Node
from benchmark.interventions.window_run import Values, WindowRun
from benchmark.metrics import average_precision, f1_threshold
from benchmark.model.devices import to_numpy
from benchmark.model.graph import RESIDUAL_CHANNELS
from benchmark.model.interface import CircuitModel, Site
from benchmark.validity.precision import average_precisions
from benchmark.validity.sample import Labels, Sample
from benchmark.validity.scoring import Fit, Scale, given_labels


@dataclass(frozen=True)
class CandidateNode:
    """A node that may detect a concept.

    Attributes:
        sign: 1, or -1 if the node is low where the concept holds.
        precision: Average precision on the choice split.
        harm: Estimated harm of ablating it, nats per token, from one backward pass.
    """

    node: Node
    sign: int
    precision: float
    harm: float


class Choice:
    """A model on the choice split.

    Attributes:
        sites: All sites but errors, of which nobody claims that they have a meaning.
        holds: Where each concept holds, with all windows concatenated.
        detected: The concepts of which detectors are looked for.
    """

    def __init__(self, model: CircuitModel, sample: Sample, concepts: Sequence[str], detected: Sequence[str]) -> None:
        self.sample = sample
        self.concepts = list(concepts)
        self.detected = list(detected)
        self.sites = tuple(site for site in model.sites if site.kind != "error")
        self.holds = holding(sample, self.concepts)
        self.values, self._gradients = _on_windows(model, sample, self.sites)

    @cached_property
    def precisions(self) -> Mapping[str, Float[np.ndarray, "2 _concept _node"]]:
        """Average precision of all nodes for the detected concepts by site, as returned by `average_precisions`."""
        return {name: average_precisions(values, self.detected_hold) for name, values in self.values.items()}

    @property
    def detected_hold(self) -> Bool[np.ndarray, "concept token"]:
        """Where each of the detected concepts holds."""
        return self.holds[[self.concepts.index(name) for name in self.detected]]

    @cached_property
    def harms(self) -> Mapping[str, Float[np.ndarray, " _node"]]:
        """Estimated harm of ablating each node, nats per token, by site."""
        windows = len(self.sample.tokens)
        return {
            name: expected_harm(self._gradients[name], values.mean(0) - values, windows)
            for name, values in self.values.items()
        }

    def harm(self, node: Node) -> float:
        """Estimated harm of ablating a node, nats per token."""
        return float(self.harms[node.site][node.index])

    def units(self) -> list[Site]:
        """The sites of the unit graph, which has no residual channels."""
        return [site for site in self.sites if site.kind not in RESIDUAL_CHANNELS]

    def channels(self) -> list[Site]:
        """The sites of residual channels."""
        return [site for site in self.sites if site.kind in RESIDUAL_CHANNELS]

    def detector(self, concept: str, node: Node) -> CandidateNode:
        """A node as a detector of a concept, in its better orientation."""
        first, opposite = np.nan_to_num(self.precisions[node.site][:, self.detected.index(concept), node.index])
        return CandidateNode(node, 1 if first >= opposite else -1, float(max(first, opposite)), self.harm(node))

    def detectors(self, concept: str, sites: Sequence[Site], most: int) -> list[CandidateNode]:
        """The best detectors of a concept, up to `most` of every kind of site, the best first."""
        row, by_kind = self.detected.index(concept), dict[str, list[CandidateNode]]()
        for site in sites:
            precisions = np.nan_to_num(self.precisions[site.name][:, row]).max(0)
            best = np.argsort(-precisions, kind="stable")[:most]
            by_kind.setdefault(site.kind, []).extend(self.detector(concept, Node(site.name, int(i))) for i in best)
        found = [each for kind in by_kind.values() for each in sorted(kind, key=_by_precision)[:most]]
        return sorted(found, key=_by_precision)

    def score_estimate(self, candidate: CandidateNode, labels: Integer[np.ndarray, " token"]) -> float:
        """Estimated score of labels in place of a node, from one backward pass."""
        cost = float(self.cost_estimates([candidate.node], [labels])[0, 0])
        return 1 - cost / candidate.harm if candidate.harm > 0 else -np.inf

    def cost_estimates(
        self, nodes: Sequence[Node], labels: Iterable[Integer[np.ndarray, " token"]]
    ) -> Float[np.ndarray, "label node"]:
        """Estimated change of the loss with each of some labels in place of each node, nats per token, as `harms`."""
        values, gradients = (
            np.stack([each[node.site][:, node.index] for node in nodes], axis=1)
            for each in (self.values, self._gradients)
        )
        costs = []
        for each in labels:
            change = np.stack([given_labels(column, each, each) - column for column in values.T], axis=1)
            costs.append(expected_harm(gradients, change, len(self.sample.tokens)))
        return np.stack(costs)

    def of(self, node: Node) -> Values:
        """Values of a node on the choice split."""
        values: Values = self.values[node.site][:, node.index].reshape(tuple(self.sample.tokens.shape))
        return values

    def gradient(self, node: Node) -> Values:
        """Derivatives of the loss of each window of the choice split, summed over its tokens."""
        gradients: Values = self._gradients[node.site][:, node.index].reshape(tuple(self.sample.tokens.shape))
        return gradients

    def fit(self, node: Node, sign: int) -> Fit:
        """A node's scale and mean on the choice split."""
        values = self.of(node)
        return Fit(node, Scale.of(values, sign), float(values.mean()))


def expected_harm(
    gradients: Float[np.ndarray, "token node"], change: Float[np.ndarray, "token node"], windows: int
) -> Float[np.ndarray, " node"]:
    """Estimated change of the loss if each node changes alone, nats per token.

    Half the mean square of the first-order change of the loss of a window, summed over its tokens, per token.

    Args:
        gradients: Derivatives of the summed loss of each window, all windows concatenated.
        change: New values minus true ones.
        windows: Number of windows.
    """
    first = (gradients * change).reshape(windows, -1, change.shape[1]).sum(1)
    harm: Float[np.ndarray, " node"] = (first.astype(np.float64) ** 2).mean(0) / (2 * (len(change) // windows))
    return harm


def _by_precision(candidate: CandidateNode) -> tuple[float, Node]:
    return -candidate.precision, candidate.node


def _on_windows(
    model: CircuitModel, sample: Sample, sites: Sequence[Site]
) -> tuple[dict[str, Float[np.ndarray, "_token _node"]], dict[str, Float[np.ndarray, "_token _node"]]]:
    """Values of all nodes, and the derivatives of their window's loss summed over its tokens, nats."""
    values, gradients = ({site.name: torch.empty(sample.tokens.numel(), site.size) for site in sites} for _ in range(2))
    done = 0
    for part in WindowRun(model, sample.tokens, sample.targets).with_gradients({site.name for site in sites}):
        for name, found in part.items():
            for whole, rows in zip((values[name], gradients[name]), found, strict=True):
                whole[done : done + rows.shape[0] * rows.shape[1]] = rows.flatten(0, 1)
        done += rows.shape[0] * rows.shape[1]
    return _in_numpy(values), _in_numpy(gradients)


def _in_numpy(found: Mapping[str, Tensor]) -> dict[str, Float[np.ndarray, "_token _node"]]:
    return {name: to_numpy(values) for name, values in found.items()}


def holding(sample: Sample, concepts: Sequence[str]) -> Bool[np.ndarray, "concept token"]:
    """Whether each concept holds at each token, with all windows concatenated."""
    found = np.array([sample.flat(name) != 0 for name in concepts], dtype=np.bool_)
    return found.reshape(len(concepts), sample.tokens.numel())


def token_labels(choice: Sample, sample: Sample, concept: str) -> Labels:
    """The best label of a concept that the current token alone decides, on any sample.

    Tokens at which the concept held often enough on the choice split have label 1; how often is enough maximises the F1
    score there. Of a concept with more than two levels it is the most frequent level at each token.
    """
    levels = 1 + int(choice.labels[concept].max())
    if levels > 2:
        return _token_levels(choice, sample, concept, levels)
    threshold = f1_threshold(token_rates(choice, choice, concept).reshape(-1), choice.flat(concept))
    found: Labels = (token_rates(choice, sample, concept) > threshold).astype(np.int8)
    return found


def _token_levels(choice: Sample, sample: Sample, concept: str, levels: int) -> Labels:
    """The most frequent level at each token; that of all tokens for those that did not occur on the choice split."""
    tokens, known = choice.tokens.flatten().numpy(), choice.flat(concept)
    size = 1 + max(int(tokens.max()), int(sample.tokens.max()))
    counts = np.bincount(tokens * levels + known, minlength=size * levels).reshape(size, levels)
    usual = int(np.bincount(known, minlength=levels).argmax())
    best = np.where(counts.any(axis=1), counts.argmax(axis=1), usual).astype(np.int8)
    found: Labels = best[sample.tokens.numpy()]
    return found


def token_rates(choice: Sample, sample: Sample, concept: str) -> Float[np.ndarray, "window position"]:
    """How often a concept held on the choice split at each token of a sample.

    For tokens that did not occur there it is the overall rate.
    """
    tokens, holds = choice.tokens.flatten().numpy(), choice.flat(concept) != 0
    size = 1 + max(int(tokens.max()), int(sample.tokens.max()))
    seen, true = np.bincount(tokens, minlength=size), np.bincount(tokens, weights=holds, minlength=size)
    rates: Float[np.ndarray, " vocabulary"] = np.where(seen > 0, true / np.maximum(seen, 1), holds.mean())
    found: Float[np.ndarray, "window position"] = rates[sample.tokens.numpy()]
    return found


def token_precision(choice: Sample, score: Sample, concept: str) -> float:
    """Average precision on the score split of the best predictor from the current token alone."""
    return average_precision(token_rates(choice, score, concept).reshape(-1), score.flat(concept))
