"""Picks, on the choice split, what is replaced for each concept, and how many windows that needs to be measured on.

Whether a node matters is found out in a pilot: it is ablated in a few windows of the choice split. The pilot also says
how many windows of the score split are needed to know the harm well enough; that number is fixed before any of them is
run, as an estimate that went on until it looks precise would be biased.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmark.interventions.window_run import Direction
from benchmark.model.interface import CircuitModel
from benchmark.validity.choice import CandidateNode, Choice
from benchmark.validity.controls import Controls
from benchmark.validity.directions import directions
from benchmark.validity.sample import Labels, shifted
from benchmark.validity.scene import Measured, Scene
from benchmark.validity.scoring import Fit, Scale
from benchmark.validity.settings import ValidityConfig

JOINT = (1, 2, 4, 8)
"""Numbers of nodes that are replaced at once."""

SLACK = 4.0
"""Factor by which the estimate of a node's harm may be too low for the node to be left out without a pilot."""

AIM = 1 / 6
"""Half-width of the interval of the harm, as a share of the harm, that the number of windows is meant for.

It is half of what a score needs."""

HALF_WIDTH = 1.96
"""Half-width of a 95 % interval, in standard errors."""

REFERENCE = 0.1
"""Share of the most windows on which anything that does not rank is replaced."""

Standing = Literal["matters", "unclear", "idle"]


@dataclass(frozen=True, eq=False)
class Pick:
    """What is replaced for a concept.

    Attributes:
        fits: The nodes that are replaced together, or a direction; none if there is nothing to replace.
        candidates: The same nodes as detectors of the concept.
        windows: Expected number of windows of the score split on which it is replaced.
        searched: Number of candidates that it was chosen from.
        unused: Whether no candidate does more than the least harm.
        reason: Why there is nothing to replace.
    """

    fits: tuple[Fit, ...] = ()
    candidates: tuple[CandidateNode, ...] = ()
    windows: float | int = 0
    searched: int = 1
    unused: bool = False
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Pilot:
    """What was replaced in a few windows of the choice split.

    Attributes:
        pick: What was replaced, and on how many windows its harm would be known well enough.
        standing: Whether it matters.
    """

    pick: Pick
    measured: Measured
    standing: Standing


class Picker:
    """Picks nodes and directions on the choice split.

    Attributes:
        scene: The choice split.
        settings: How much is spent.
    """

    def __init__(
        self,
        model: CircuitModel,
        choice: Choice,
        settings: ValidityConfig,
        generator: np.random.Generator,
        scored: int,
    ) -> None:
        """`scored` is the number of windows of the score split."""
        self.scene = Scene(model, choice.sample, generator)
        self._choice = choice
        self.settings = settings
        self._more_text = scored / len(choice.sample.tokens)
        self._generator = generator
        self._pilots: dict[tuple[str, CandidateNode], Pilot] = {}
        self._depth = {site.name: site.layer for site in model.sites}
        self._after = {
            layer: 1 + max(site.stage for site in model.sites if site.layer <= layer) for layer in self._depth.values()
        }
        self._streams = self.scene.run.streams(sorted(set(self._after.values()))) if self.scene.run.has_stream else {}

    def picks(self, concept: str) -> dict[str, Pick]:
        """What is replaced for a concept, by how it was chosen."""
        most, units = self.settings.candidates, self._choice.units()
        detectors = [each for each in self._choice.detectors(concept, units, most) if self.may_matter(each.harm)]
        channels = self._choice.detectors(concept, self._choice.channels(), most)
        for each in self._well_replaced(concept, detectors):
            self.pilot(each, concept)
        chosen = self._best_that_matters(concept, detectors)
        found = {"by_precision": chosen, "by_score": self._best_scored(concept, detectors)}
        if channels:
            likely = [each for each in channels if self.may_matter(each.harm)]
            channel = self._best_that_matters(concept, likely)
            found["by_channel"] = replace(channel, windows=min(channel.windows, self._reference_windows))
        joint = detectors[: max(JOINT)]
        for size in (size for size in JOINT if size <= len(joint)):
            fits = tuple(map(self.fit, joint[:size]))
            found[f"jointly_{size}"] = Pick(fits, tuple(joint[:size]), self._reference_windows)
        found = {how: replace(pick, searched=max(1, len(detectors))) for how, pick in found.items()}
        return {**found, **self._directions(concept, chosen)}

    def pilot(self, candidate: CandidateNode, concept: str) -> Pilot:
        """What labels in the place of a node, and its ablation, do in a few windows of the choice split."""
        if (concept, candidate) not in self._pilots:
            fit = self.fit(candidate)
            label = {"label": Controls(self.scene, self.scene).label([fit], concept)}
            measured = self.scene.measure([fit], label, self.settings.pilot_windows, concept)
            standing, windows = self._standing(measured)
            self._pilots[concept, candidate] = Pilot(Pick((fit,), (candidate,), windows), measured, standing)
        return self._pilots[concept, candidate]

    def null_labels(self, concept: str, pick: Pick) -> Labels:
        """Labels of a concept shifted to other text, on the choice split.

        For nodes they are the best, by the estimate, of as many shifted labels as nodes were candidates.
        """
        drawn = [shifted(self._choice.sample, concept, self._generator) for _ in range(pick.searched)]
        if not pick.candidates:
            return drawn[0]
        return max(drawn, key=lambda labels: self._choice.score_estimate(pick.candidates[0], labels.reshape(-1)))

    def may_matter(self, harm: float) -> bool:
        """Whether a node with this estimated harm may do more than the least harm."""
        return harm * SLACK >= self.settings.least_harm

    def fit(self, candidate: CandidateNode) -> Fit:
        """The scale and mean of a node, whose values are then known on the choice split."""
        if candidate.node not in self.scene.values:
            self.scene.values[candidate.node] = self._choice.of(candidate.node)
            self.scene.gradients[candidate.node] = self._choice.gradient(candidate.node)
        return self._choice.fit(candidate.node, candidate.sign)

    def _standing(self, measured: Measured) -> tuple[Standing, float | int]:
        """Whether a node matters, and on how many windows its harm would be known well enough."""
        settings, harm = self.settings, float(measured.harm.mean())
        low, high = self.scene.judge.interval(measured.harm)
        if not high >= settings.least_harm:
            return "idle", settings.pilot_windows
        if not (low > 0 and harm >= settings.least_harm):
            return "unclear", settings.most_windows
        return "matters", float(np.clip(self._needed(measured), settings.pilot_windows, settings.most_windows))

    def _needed(self, measured: Measured) -> float:
        """Number of windows with which the harm would be known well enough.

        The variance of the harm is that of the text, which falls with the size of the split alone, and that of drawing
        windows. If the text's is too large already, the drawing may add a quarter to it. The pilot's harm is shrunk by
        its own noise, as nodes pass whose harm it exaggerates.
        """
        low, high = self.scene.judge.interval(measured.harm)
        harm, variance = float(measured.harm.mean()), ((high - low) / 2 / HALF_WIDTH) ** 2
        wanted = (AIM * (harm - variance / harm) / HALF_WIDTH) ** 2
        drawing = measured.draw_error**2
        text = max(variance - drawing, 0.0) / self._more_text
        return self.settings.pilot_windows * drawing / max(wanted - text, text / 4, 1e-12)

    def _best_that_matters(self, concept: str, candidates: Sequence[CandidateNode]) -> Pick:
        """The best detector that matters; if there is none, the best of which it is unclear whether it does.

        The best detectors are ablated first, then those that should do most harm of the others.
        """
        most = self.settings.piloted
        others = sorted(candidates[most:], key=lambda each: -each.harm)[:most]
        pilots = []
        for candidate in [*candidates[:most], *sorted(others, key=lambda each: -each.precision)]:
            pilots.append(self.pilot(candidate, concept))
            if pilots[-1].standing == "matters":
                return pilots[-1].pick
        tried = self._tried(concept, candidates)
        for standing in ("matters", "unclear"):
            found = [each.pick for each in tried if each.standing == standing]
            if found:
                return max(found, key=lambda pick: pick.candidates[0].precision)
        return Pick(
            unused=True, reason=f"no node that detects it does more harm than {self.settings.least_harm:g} nats"
        )

    def _well_replaced(self, concept: str, candidates: Sequence[CandidateNode]) -> list[CandidateNode]:
        """The candidates with the highest estimated scores of labels in their place."""
        labels = self._choice.sample.flat(concept)
        return sorted(candidates, key=lambda each: -self._choice.score_estimate(each, labels))[: self.settings.piloted]

    def _tried(self, concept: str, candidates: Sequence[CandidateNode]) -> list[Pilot]:
        """The pilots that were run of some candidates."""
        return [each for (name, one), each in self._pilots.items() if name == concept and one in candidates]

    def _best_scored(self, concept: str, candidates: Sequence[CandidateNode]) -> Pick:
        """Of the candidates that were ablated and matter, the one that labels replace best in the pilot."""
        matter = [each for each in self._tried(concept, candidates) if each.standing == "matters"]
        if not matter:
            return Pick(reason="none of the candidates that were ablated matters")

        def score(pilot: Pilot) -> float:
            return self.scene.judge.ratio(pilot.measured.changes["label"], pilot.measured.harm).value

        return max(matter, key=score).pick

    @property
    def _reference_windows(self) -> float:
        """Windows for what does not rank; directions and several nodes do so much harm that few suffice."""
        return REFERENCE * self.settings.most_windows

    def _directions(self, concept: str, chosen: Pick) -> dict[str, Pick]:
        """Directions of the stream after the block of the chosen node; after the last block if there is none."""
        if not self._streams:
            return {}
        layers = [self._depth[each.node.site] for each in chosen.candidates] or list(self._depth.values())
        stage = self._after[max(layers)]
        stream = self._streams[stage].flatten(0, 1)
        found = directions(stream, self._choice.sample.flat(concept) != 0, stage, self._generator)
        return {
            name: Pick((self._direction_fit(each),), windows=self._reference_windows) for name, each in found.items()
        }

    def _direction_fit(self, direction: Direction) -> Fit:
        values = (self._streams[direction.stage] @ direction.read).numpy()
        self.scene.values[direction] = values
        return Fit(direction, Scale.of(values, 1), float(values.mean()))
