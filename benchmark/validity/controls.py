"""What is put in the place of nodes: labels of a concept, and everything that such labels are compared with."""

from collections.abc import Sequence

import numpy as np

from benchmark.interventions.window_run import Change, Part, Values
from benchmark.validity.choice import token_labels
from benchmark.validity.sample import Labels, shifted
from benchmark.validity.scene import Scene
from benchmark.validity.scoring import Fit, error_typed, level_means, quantised


def labelled(fit: Fit, known: Scene, known_labels: Labels, labels: Labels) -> Values:
    """A node's mean on the choice split for each label, at the labels of another sample."""
    levels = 1 + int(max(known_labels.max(), labels.max()))
    means = level_means(known.values[fit.node], known_labels, levels)
    replaced: Values = means[labels].astype(np.float32)
    return replaced


class Controls:
    """Values in place of nodes on one split, with levels fitted on the choice split.

    Args:
        choice: The choice split, with the nodes' values.
        scene: The split on which the nodes are replaced.
    """

    def __init__(self, choice: Scene, scene: Scene) -> None:
        self._choice = choice
        self._scene = scene

    def label(self, fits: Sequence[Fit], concept: str) -> Change:
        """Every node at its mean given the label."""
        return self._by_labels(fits, self._choice.sample.labels[concept], self._scene.sample.labels[concept])

    def shifted(self, fits: Sequence[Fit], concept: str, known: Labels, generator: np.random.Generator) -> Change:
        """The same with labels shifted to other text: `known` on the choice split, and others here."""
        return self._by_labels(fits, known, shifted(self._scene.sample, concept, generator))

    def token(self, fits: Sequence[Fit], concept: str) -> Change:
        """Every node at its mean given the best label that the current token alone decides."""
        choice, score = self._choice.sample, self._scene.sample
        return self._by_labels(fits, token_labels(choice, choice, concept), token_labels(choice, score, concept))

    def quantised(self, fits: Sequence[Fit], levels: int) -> Change:
        """Every node's own value, rounded to as many levels as the label has."""
        return {
            fit.node: quantised(self._choice.values[fit.node], self._scene.values[fit.node], levels) for fit in fits
        }

    def _by_labels(self, fits: Sequence[Fit], known: Labels, labels: Labels) -> Change:
        return {fit.node: labelled(fit, self._choice, known, labels) for fit in fits}

    def error_typed(self, fits: Sequence[Fit], concept: str) -> dict[str, Change]:
        """By type of error, every node with that type of error alone corrected by the labels."""
        known, labels = self._choice.sample.labels[concept], self._scene.sample.labels[concept]
        levels = 1 + int(max(known.max(), labels.max()))
        by_type: dict[str, dict[Part, Values]] = {}
        for fit in fits:
            means = level_means(self._choice.values[fit.node], known, levels)
            for name, values in error_typed(fit, self._scene.values[fit.node], labels, means).items():
                by_type.setdefault(name, {})[fit.node] = values.astype(np.float32)
        return dict(by_type)
