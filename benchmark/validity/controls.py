"""What is put in the place of nodes: labels of a concept, and everything that such labels are compared with."""

from collections.abc import Sequence

import numpy as np

from benchmark.interventions.window_run import Change, Part, Values
from benchmark.validity.choice import token_labels
from benchmark.validity.sample import Labels, shifted
from benchmark.validity.scene import Scene
from benchmark.validity.scoring import Fit, error_typed, given_labels, quantised


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
        return self.by_labels(fits, self._choice.sample.labels[concept], self._scene.sample.labels[concept])

    def shifted(self, fits: Sequence[Fit], concept: str, known: Labels, generator: np.random.Generator) -> Change:
        """The same with labels shifted to other text: `known` on the choice split, and others here."""
        return self.by_labels(fits, known, shifted(self._scene.sample, concept, generator))

    def token(self, fits: Sequence[Fit], concept: str) -> Change:
        """Every node at its mean given the best label that the current token alone decides."""
        choice, score = self._choice.sample, self._scene.sample
        return self.by_labels(fits, token_labels(choice, choice, concept), token_labels(choice, score, concept))

    def quantised(self, fits: Sequence[Fit], levels: int) -> Change:
        """Every node's own value, rounded to as many levels as the label has."""
        return {
            fit.node: quantised(self._choice.values[fit.node], self._scene.values[fit.node], levels) for fit in fits
        }

    def error_typed(self, fits: Sequence[Fit], concept: str) -> dict[str, Change]:
        """By type of error, every node with that type of error alone corrected by the labels."""
        corrected, labels = self.label(fits, concept), self._scene.sample.labels[concept]
        by_type: dict[str, dict[Part, Values]] = {}
        for fit in fits:
            found = error_typed(fit, self._scene.values[fit.node], labels, corrected[fit.node])
            for name, values in found.items():
                by_type.setdefault(name, {})[fit.node] = values
        return dict(by_type)

    def by_labels(self, fits: Sequence[Fit], known: Labels, labels: Labels) -> Change:
        """Every node at its mean given any labels, `known` on the choice split and `labels` here."""
        return {fit.node: given_labels(self._choice.values[fit.node], known, labels) for fit in fits}
