"""A model on the windows of one split: its nodes' values, and how much the loss changes if something replaces them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from benchmark.interventions.window_run import Change, Part, Values, WindowRun
from benchmark.model.interface import CircuitModel
from benchmark.validity.drawing import Drawn, draw, effective_size
from benchmark.validity.sample import Sample
from benchmark.validity.scoring import Changes, Fit, Judge, Score

AFTER = 4
"""Positions after one at which a concept holds that still count as near it."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Changes of the loss under what replaces some nodes, by name; `mean` is their mean.

    Attributes:
        changes: Mean over the positions of each window, weighted so that the mean over windows is unbiased.
        near: The same over the positions at or shortly after which the concept holds alone, over all positions.
        windows: Number of windows that were run.
    """

    changes: Mapping[str, Changes]
    near: Mapping[str, Changes]
    windows: int

    @property
    def harm(self) -> Changes:
        """Changes with the nodes at their means."""
        return self.changes["mean"]

    @property
    def effective(self) -> float:
        """Effective number of windows behind the harm."""
        return effective_size(self.harm)

    def scores(self, judge: Judge) -> dict[str, Score]:
        """Scores by what replaces the nodes; that of the nodes as they are is 1."""
        nothing = np.zeros_like(self.harm)
        return {name: judge.score(each, self.harm) for name, each in {"true": nothing, **self.changes}.items()}


class Scene:
    """A model on the windows of one split.

    Attributes:
        sample: The windows, with labels.
        run: The model on them.
        judge: Intervals over the windows.
        values: Values of the parts that were read.
    """

    def __init__(self, model: CircuitModel, sample: Sample, generator: np.random.Generator) -> None:
        self.sample = sample
        self.run = WindowRun(model, sample.tokens, sample.targets)
        self.judge = Judge(len(sample.tokens), generator)
        self.values: dict[Part, Values] = {}
        self._generator = generator

    def read(self, parts: Sequence[Part]) -> None:
        """Read the values of some parts on all windows."""
        unread = [part for part in dict.fromkeys(parts) if part not in self.values]
        if unread:
            self.values |= self.run.values(unread)

    def drawn(self, fits: Sequence[Fit], label: Change, expected: float | int) -> Drawn:
        """Draw windows in which the parts are far from their means, or from what the labels make of them."""
        energy = np.zeros(len(self.sample.tokens))
        for fit in fits:
            values = self.values[fit.node]
            squares = (values - fit.mean) ** 2 + (values - label[fit.node]) ** 2
            energy += squares.sum(1) / max(float(values.var()), 1e-12)
        return draw(energy, expected, self._generator)

    def measure(
        self,
        fits: Sequence[Fit],
        changes: Mapping[str, Change],
        expected: float | int,
        concept: str,
        others: float | int = np.inf,
    ) -> Measured:
        """Change of the loss under each change, and with the parts at their means, on windows that are drawn.

        What is neither `label` nor the means is run on a part of the windows. If it is closer to the means than to the
        parts' own values, only its difference from the means is estimated on those, which varies less.

        Args:
            fits: The parts that are replaced.
            changes: New values on all windows, by name; `label` also determines which windows are drawn.
            expected: Expected number of windows.
            concept: Its positions are those near which losses are reported too.
            others: Expected number of windows on which all but `label` are run.
        """
        drawn = self.drawn(fits, changes["label"], expected)
        part = drawn.thinned(min(1.0, others / expected), self._generator)
        means: Change = {fit.node: np.full(self.sample.tokens.shape, fit.mean, dtype=np.float32) for fit in fits}
        first = self._lost(drawn, {"mean": means, "label": changes["label"]})
        second = self._lost(part, {name: change for name, change in changes.items() if name != "label"})
        near = self._near(concept)[drawn.windows]
        found = {name: drawn.weighted(lost.mean(1)) for name, lost in first.items()}
        again = first["mean"][np.isin(drawn.windows, part.windows)]
        for name, lost in second.items():
            if self._like_the_means(fits, changes[name]):
                found[name] = found["mean"] - part.weighted((again - lost).mean(1))
            else:
                found[name] = part.weighted(lost.mean(1))
        return Measured(
            found,
            {name: drawn.weighted((lost * near).mean(1)) for name, lost in first.items()},
            len(drawn.windows),
        )

    def _like_the_means(self, fits: Sequence[Fit], change: Change) -> bool:
        """Whether what replaces the parts is closer to their means than to their own values."""
        to_means = sum(float(((change[fit.node] - fit.mean) ** 2).sum()) for fit in fits)
        to_values = sum(float(((change[fit.node] - self.values[fit.node]) ** 2).sum()) for fit in fits)
        return to_means < to_values

    def _lost(self, drawn: Drawn, changes: Mapping[str, Change]) -> dict[str, Float[np.ndarray, "drawn position"]]:
        """Change of the loss of every token of the windows that were drawn, by change."""
        here = [{part: values[drawn.windows] for part, values in change.items()} for change in changes.values()]
        lost = self.run.losses(drawn.windows, here) - self.run.true[drawn.windows]
        return dict(zip(changes, lost, strict=True))

    def _near(self, concept: str) -> Bool[np.ndarray, "window position"]:
        """Whether a concept holds at a position or at most `AFTER` before it."""
        holds = self.sample.labels[concept] != 0
        found: Bool[np.ndarray, "window position"] = holds.copy()
        for step in range(1, AFTER + 1):
            found[:, step:] |= holds[:, :-step]
        return found
