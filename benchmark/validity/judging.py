"""Judges the names that nodes get by their top-activating examples: how often do they mislead?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float

from benchmark.interventions.window_run import Change
from benchmark.validity.choice import CandidateNode, Choice
from benchmark.validity.controls import Controls
from benchmark.validity.examples import Examples, band_purities
from benchmark.validity.middle import MiddleMeaning, Rescaled, middle_meanings
from benchmark.validity.name_verdicts import NameVerdict, name_verdict
from benchmark.validity.naming import Name
from benchmark.validity.picking import Picker
from benchmark.validity.precision import average_precisions
from benchmark.validity.sample import Labels
from benchmark.validity.scene import Measured, Scene
from benchmark.validity.scoring import UNDEFINED, Fit, Score


@dataclass(frozen=True)
class NamedNode:
    """A node that has a name, and what the name is worth.

    Attributes:
        concept: The name.
        top_k_precision: Top-k precision of that concept on the choice split.
        label: Score of the concept's labels.
        quantised: Score of the node's own value quantised to as many levels.
        better: A concept that explains the node better, if any, with the score of its labels; "A and B" for the
            conjunction of two concepts.
        purity: By band of activation, the share of its positions at which the name holds; `nan` for an empty band.
        middle: Other concepts at its middle activations, where the name does not hold.
        examples: Marked lines by band.
    """

    node: str
    concept: str
    top_k_precision: float
    label: Score
    quantised: Score
    verdict: NameVerdict
    better: str = ""
    better_score: float = float("nan")
    purity: Mapping[str, float] = field(default_factory=dict)
    middle: Sequence[MiddleMeaning] = ()
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)


def judge_names(
    choice: Choice, picker: Picker, scene: Scene, names: Sequence[Name], examples: Examples
) -> list[NamedNode]:
    """What the names of some nodes are worth, on the score split."""
    return [_observed(choice, scene, name, _judged(choice, picker, scene, name), examples) for name in names]


def _observed(choice: Choice, scene: Scene, name: Name, judged: NamedNode, examples: Examples) -> NamedNode:
    """A judged node with what its activations alone say."""
    fit, labels = choice.fit(name.node, name.sign), scene.sample.labels[name.concept]
    here, known = (fit.scale(values) for values in (scene.values[name.node], choice.of(name.node)))
    return replace(
        judged,
        purity=band_purities(here.reshape(-1), labels.reshape(-1)),
        middle=middle_meanings(
            Rescaled(choice.sample, known.reshape(-1)),
            Rescaled(scene.sample, here.reshape(-1)),
            name.concept,
            choice.concepts,
        ),
        examples=examples.of(here, labels != 0),
    )


def _judged(choice: Choice, picker: Picker, scene: Scene, name: Name) -> NamedNode:
    """What a node's name is worth, and whether another concept, or a conjunction with it, explains the node better."""
    pilot = picker.pilot(CandidateNode(name.node, name.sign, name.precision, choice.harm(name.node)), name.concept)
    if pilot.standing == "idle":
        return NamedNode(str(name.node), name.concept, name.precision, UNDEFINED, UNDEFINED, "undefined")
    fits, controls = pilot.pick.fits, Controls(picker.scene, scene)
    levels = max(2, int(choice.sample.labels[name.concept].max()) + 1)
    changes: dict[str, Change] = {
        "label": controls.label(fits, name.concept),
        "quantised": controls.quantised(fits, levels),
    }
    explanation = _explanation(choice, scene, fits[0], name)
    if explanation is not None:
        other, known, labels = explanation
        changes["other"] = controls.by_labels(fits, known, labels)
    settings, windows = picker.settings, min(pilot.pick.windows, picker.settings.judged_windows)
    measured = scene.measure(fits, changes, windows, name.concept, settings.control_windows)
    scores = measured.scores(scene.judge)
    better, label = explanation is not None and _is_better(scene, measured, scores), scores["label"]
    return NamedNode(
        node=str(name.node),
        concept=name.concept,
        top_k_precision=name.precision,
        label=label,
        quantised=scores["quantised"],
        verdict=name_verdict(label.value, label.low, label.high, scores["quantised"].value),
        better=other if better else "",
        better_score=scores["other"].value if better else float("nan"),
    )


def _is_better(scene: Scene, measured: Measured, scores: Mapping[str, Score]) -> bool:
    """Whether the labels of the other concept replace the node better than those of its name, beyond noise."""
    gain = scene.judge.interval(measured.changes["label"] - measured.changes["other"])
    return gain.low > 0 and scores["other"].value > scores["label"].value


def _explanation(choice: Choice, scene: Scene, fit: Fit, name: Name) -> tuple[str, Labels, Labels] | None:
    """The other concept that a node detects best, or the name's conjunction with one; and its labels on both splits.

    `None` if there is no other concept.
    """
    names, row = choice.concepts, choice.concepts.index(name.concept)
    both = choice.holds & choice.holds[row]
    candidates = np.concatenate([choice.holds, both])
    gains = _gains(fit.scale(choice.of(name.node)).reshape(-1), candidates)
    gains[row] = gains[len(names) + row] = -np.inf
    best = int(gains.argmax())
    if not np.isfinite(gains[best]):
        return None
    other = names[best % len(names)]
    shape = choice.sample.tokens.shape
    if best < len(names):
        return other, choice.sample.labels[other], scene.sample.labels[other]
    here = ((scene.sample.labels[other] != 0) & (scene.sample.labels[name.concept] != 0)).astype(np.int8)
    return f"{name.concept} and {other}", both[best - len(names)].reshape(shape).astype(np.int8), here


def _gains(
    rescaled: Float[np.ndarray, " token"], holds: Bool[np.ndarray, "concept token"]
) -> Float[np.ndarray, " concept"]:
    """Average precision of one node for each concept, beyond the concept's rate."""
    precision = np.nan_to_num(average_precisions(rescaled[:, None].astype(np.float32), holds)[0, :, 0])
    gains: Float[np.ndarray, " concept"] = precision - holds.mean(axis=1)
    return gains


def illusion_bounds(verdicts: Sequence[NameVerdict]) -> tuple[float, float, float]:
    """Share of illusions among the names that are decided, and its bounds with the undecided counted either way."""
    illusions, undecided = verdicts.count("illusion"), verdicts.count("undecided")
    judged = len([each for each in verdicts if each != "undefined"])
    if not judged:
        return np.nan, np.nan, np.nan
    decided = judged - undecided
    value = illusions / decided if decided else np.nan
    return value, illusions / judged, (illusions + undecided) / judged
