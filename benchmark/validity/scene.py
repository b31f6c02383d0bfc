"""A model on the windows of one split: its nodes' values, and how much the loss changes if something replaces them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from benchmark.interventions.window_run import Change, Part, Values, WindowRun
from benchmark.model.interface import CircuitModel
from benchmark.validity.drawing import Drawn, draw, effective_size
from benchmark.validity.sample import Sample
from benchmark.validity.scoring import Changes, Fit, Judge, Score, at_mean

AFTER = 4
"""Positions after one at which a concept holds that still count as near it."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Changes of the loss under what replaces some nodes, by name; `mean` is their mean.

    Attributes:
        changes: Mean over the positions of each window, weighted so that the mean over windows is unbiased.
        near: The same, counting only positions where the concept holds or has just held, still divided by all.
        residual: What the windows that were drawn contribute to the harm, beyond its first-order effect.
        windows: Number of windows that were run.
        control_windows: Number of those on which everything but `label` and `mean` was run.
        draw_error: Standard error of the harm from the choice of windows alone, nats per token.
    """

    changes: Mapping[str, Changes]
    near: Mapping[str, Changes]
    residual: Changes
    windows: int
    control_windows: int
    draw_error: float

    @property
    def harm(self) -> Changes:
        """Changes with the nodes at their means."""
        return self.changes["mean"]

    @property
    def effective(self) -> float:
        """Effective number of windows behind the part of the harm that is estimated on drawn windows."""
        return effective_size(self.residual)

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
        gradients: Derivatives of each window's summed loss with respect to them.
    """

    def __init__(self, model: CircuitModel, sample: Sample, generator: np.random.Generator) -> None:
        self.sample = sample
        self.run = WindowRun(model, sample.tokens, sample.targets)
        self.judge = Judge(len(sample.tokens), generator)
        self.values: dict[Part, Values] = {}
        self.gradients: dict[Part, Values] = {}
        self._generator = generator

    def read(self, parts: Sequence[Part]) -> None:
        """Read the values of some parts on all windows, and the derivatives of the loss with respect to them."""
        unread = [part for part in dict.fromkeys(parts) if part not in self.values]
        for part, reading in self.run.read(unread).items() if unread else ():
            self.values[part], self.gradients[part] = reading.values, reading.gradients

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

        Only how far a change is from its first-order effect is estimated on the windows that are drawn. The first-order
        effect itself is known on all of them, and is most of what differs between windows (a control variate).
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
        part = drawn.thinned(min(1.0, others / min(expected, len(self.sample.tokens))), self._generator)
        means: Change = {fit.node: at_mean(fit.mean, self.sample.tokens.shape) for fit in fits}
        first = self._lost(drawn, {"mean": means, "label": changes["label"]})
        second = self._lost(part, {name: change for name, change in changes.items() if name != "label"})
        near = self._near(concept)[drawn.windows]
        estimates = {name: self._first_order(change) for name, change in {**changes, "mean": means}.items()}
        beyond = {name: lost.mean(1) - estimates[name][drawn.windows] for name, lost in first.items()}
        found = {name: drawn.weighted(each) for name, each in beyond.items()}
        again = beyond["mean"][np.isin(drawn.windows, part.windows)]
        for name, lost in second.items():
            other = lost.mean(1) - estimates[name][part.windows]
            if self._like_the_means(fits, changes[name]):
                found[name] = found["mean"] - part.weighted(again - other)
            else:
                found[name] = part.weighted(other)
        return Measured(
            {name: estimates[name] + each for name, each in found.items()},
            {name: drawn.weighted((lost * near).mean(1)) for name, lost in first.items()},
            residual=drawn.weighted(beyond["mean"]),
            windows=len(drawn.windows),
            control_windows=len(part.windows),
            draw_error=drawn.error(beyond["mean"]),
        )

    def _first_order(self, change: Change) -> Changes:
        """First-order effect of a change on the loss of every window, nats per token."""
        total = np.zeros(len(self.sample.tokens))
        for part, values in change.items():
            total += (self.gradients[part] * (values - self.values[part])).sum(1) / values.shape[1]
        return total

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
