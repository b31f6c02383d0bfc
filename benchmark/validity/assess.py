"""Assesses all concepts in a model: chooses nodes on one split, scores them on another, names and explains nodes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmark import metrics
from benchmark.concepts import TOKEN_DECIDES, Concept
from benchmark.html_table import html_table
from benchmark.interventions.window_run import Values
from benchmark.metrics import f1_threshold, p_active_given_concept, p_concept_given_active
from benchmark.metrics.registry import POOLED
from benchmark.model.interface import CircuitModel, Kind
from benchmark.validity.basis import Basis, bases
from benchmark.validity.choice import CandidateNode, Choice, token_precision
from benchmark.validity.controls import Controls
from benchmark.validity.examples import BANDS, Decode, Examples, band_purities
from benchmark.validity.explained import ExplainedHarm, draw_nodes, explained_harm
from benchmark.validity.judging import NamedNode, judge_names
from benchmark.validity.naming import named_nodes
from benchmark.validity.picking import Pick, Picker
from benchmark.validity.sample import Sample, refusal
from benchmark.validity.scene import Measured, Scene
from benchmark.validity.scoring import LOW, Changes, Fit, Score
from benchmark.validity.settings import ValidityConfig

SHOWN_CONCEPTS = 4
"""Most concepts that are named where an assessment is shown in one line."""


@dataclass(frozen=True)
class Replacement:
    """Some nodes that were replaced together, or a direction, and what that did to the loss on the score split.

    Attributes:
        nodes: What was replaced, as text.
        harm: Change of the loss with all of them at their means, nats per token, with its 95 % interval.
        windows: Number of windows that were run.
        control_windows: Number of those on which everything but the labels was run.
        effective: Effective number of windows behind the part of the harm that is estimated on drawn windows.
        controls: Scores by what replaces them.
        near: Score of the labels on the tokens at which the concept holds and shortly after.
        reason: Why the scores are undefined; empty if they are defined.
    """

    nodes: tuple[str, ...]
    harm: float
    harm_low: float
    harm_high: float
    windows: int
    control_windows: int
    effective: float
    controls: Mapping[str, Score]
    near: Score
    reason: str


@dataclass(frozen=True)
class Observed:
    """What a node's activations alone say about a concept, on the score split.

    Attributes:
        threshold: The F1-optimal threshold of the choice split, on the rescaled activation.
        p_concept_given_active: At a third of the 99.9th percentile, like `p_active_given_concept`.
        p_concept_at_threshold: At the F1-optimal threshold, like `p_active_at_threshold`.
        purity: Share of each band at which the concept holds; `nan` for an empty band.
        band_share: Share of positions in each band.
    """

    threshold: float
    p_concept_given_active: float
    p_active_given_concept: float
    p_concept_at_threshold: float
    p_active_at_threshold: float
    top_k_precision: float
    purity: Mapping[str, float]
    band_share: Mapping[str, float]


@dataclass(frozen=True)
class ConceptValidity:
    """The assessment of one concept in one model.

    Attributes:
        rate: Share of positions of the score split at which the concept holds.
        token_precision: Average precision of the best predictor from the current token alone.
        node: The best detector that matters, as text; the best detector if none does.
        sign: -1 if the node is low where the concept holds.
        average_precision: Average precision of that node on the score split.
        highest_node: The node with the highest average precision, whether it matters or not.
        highest_precision: Its average precision on the score split.
        kinds: Average precision on the score split of the best node of each kind of site.
        choices: What was replaced, by how it was chosen: `by_precision`, which ranks; `by_score`; `jointly_N`;
            `by_channel`, the best residual channel; `direction`, `leace`, `probe` and `random` of the stream.
        corrected_low: Lower limit of the labels' score by precision, corrected for the number of concepts.
        examples: Marked lines of each band.
        unused: Whether no node that detects the concept does more than the least harm.
        reason: Why there is no score by precision; empty if there is one.
    """

    concept: str
    rate: float
    token_precision: float
    node: str = ""
    sign: int = 1
    average_precision: float = np.nan
    highest_node: str = ""
    highest_precision: float = np.nan
    observed: Observed | None = None
    kinds: Mapping[str, tuple[str, float]] | None = None
    choices: Mapping[str, Replacement] = field(default_factory=dict)
    corrected_low: float = np.nan
    examples: Mapping[str, list[str]] | None = None
    unused: bool = False
    reason: str = ""

    @property
    def controls(self) -> Mapping[str, Score] | None:
        """Scores by what replaces the best detector that matters."""
        chosen = self.choices.get("by_precision")
        return None if chosen is None else chosen.controls

    @property
    def scored(self) -> str:
        """The label replacement score with its 95 % interval, or why there is none."""
        if self.reason or self.controls is None:
            return f"undefined: {self.reason}"
        score = self.controls["label"]
        return f"{_shown(score.value)} [{_shown(score.low)}, {_shown(score.high)}]"


def _shown(number: float) -> str:
    return f"{number:.2f}" if math.isfinite(number) else "undefined"


@dataclass(frozen=True)
class Pooled:
    """Sum of what the labels lose over the sum of the harm, over the concepts for which the score is defined.

    Attributes:
        concepts: Number of these concepts.
        windows: Number of windows over which the interval is.
    """

    value: float
    low: float
    high: float
    concepts: int
    windows: int


@dataclass(frozen=True, repr=False)
class Assessment:
    """The assessment of one model.

    Attributes:
        concepts: Of each concept that is scored.
        named: Nodes that were judged, of those that have a name and may matter.
        have_names: Number of nodes that have a name.
        bases: Of each kind of site.
        pooled: By choice, and by what replaces the nodes.
        explained: The share of the harm of all nodes that labels explain.
    """

    concepts: Sequence[ConceptValidity]
    named: Sequence[NamedNode]
    have_names: int
    bases: Mapping[Kind, Basis]
    pooled: Mapping[str, Mapping[str, Pooled]]
    explained: ExplainedHarm

    def __repr__(self) -> str:
        scores = ", ".join(f"{row.concept} {row.scored}" for row in self.concepts[:SHOWN_CONCEPTS])
        more = f" and {len(self.concepts) - SHOWN_CONCEPTS} more" if len(self.concepts) > SHOWN_CONCEPTS else ""
        return f"Assessment({scores}{more}; {self.have_names} nodes have a name)"

    def _repr_html_(self) -> str:
        """The best detector of each concept and what its labels score, as a table for notebooks."""
        header = ("concept", "holds at", "best detector that matters", "average precision", "label replacement score")
        rows = [
            (row.concept, f"{row.rate:.1%}", row.node, _shown(row.average_precision), row.scored)
            for row in self.concepts
        ]
        return html_table(header, rows, f"{self.have_names} nodes have a name, of which {len(self.named)} were judged")


def assess(
    model: CircuitModel,
    choice: Sample,
    score: Sample,
    concepts: Sequence[Concept],
    scored: Sequence[str],
    settings: ValidityConfig,
    decode: Decode,
    generator: np.random.Generator,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> Assessment:
    """Assess the nodes of a model against the concepts.

    Nodes are chosen on the `choice` split and scored on the `score` split, which share no documents. They may be named
    by any of the concepts, of which `scored` names those that are scored; a concept that cannot be measured is reported
    with the reason. `progress` is called with the
    number of steps done, their total and a note.
    """
    refused = {concept.name: refusal(concept, [choice, score]) for concept in concepts}
    usable = [concept.name for concept in concepts if not refused[concept.name]]
    wanted = [concept for concept in concepts if concept.name in scored]
    total = 2 * len(wanted) + 4
    progress(0, total, "estimating effects")
    known = Choice(model, choice, usable, [concept.name for concept in wanted if not refused[concept.name]])
    picker = Picker(model, known, settings, generator, len(score.tokens))
    picks = {}
    for done, concept in enumerate(each for each in wanted if not refused[each.name]):
        progress(1 + done, total, f"choosing for {concept.name}")
        picks[concept.name] = picker.picks(concept.name)
    names = named_nodes(known, settings.top_k)
    likely = [name for name in names if picker.may_matter(known.harm(name.node))]
    drawn = generator.choice(len(likely), size=min(len(likely), settings.judged_nodes), replace=False)
    chosen = [likely[number] for number in sorted(drawn.tolist())]
    scene = Scene(model, score, generator)
    fits = [fit for of_concept in picks.values() for pick in of_concept.values() for fit in pick.fits]
    highest = {name: known.detectors(name, known.sites, 1) for name in picks}
    detectors = [each for of_concept in highest.values() for each in of_concept]
    explained = draw_nodes(known, settings.explained_nodes, generator)
    scene.read([*(fit.node for fit in fits), *(each.node for each in [*detectors, *chosen]), *explained])
    examples = Examples(score.tokens.numpy(), decode, generator)
    examiner = _Examiner(known, picker, scene, highest, settings, examples, generator)
    rows = []
    for done, concept in enumerate(wanted):
        progress(len(wanted) + done, total, concept.name)
        rows.append(examiner.examine(concept, picks.get(concept.name, {}), len(wanted), refused[concept.name]))
    progress(total - 3, total, "judging names")
    named = judge_names(known, picker, scene, chosen, examples)
    progress(total - 2, total, "explaining harm")
    share = explained_harm(known, picker, scene, explained, generator)
    progress(total - 1, total, "rotating bases")
    found = bases(known.sites, known.values, known.detected_hold, generator)
    return Assessment(rows, named, len(names), found, examiner.pooled(), share)


@dataclass(eq=False)
class _Examiner:
    """Examines one concept at a time, and keeps what replacing nodes did to the loss to pool it.

    Attributes:
        highest: The best detector of each kind of site, by concept, the best first.
        lost: By choice and by what replaces the nodes, changes of the loss of each concept with a defined score that
            the current token does not decide; under `mean` the harm.
    """

    choice: Choice
    picker: Picker
    scene: Scene
    highest: Mapping[str, Sequence[CandidateNode]]
    settings: ValidityConfig
    examples: Examples
    generator: np.random.Generator
    lost: dict[str, dict[str, list[Changes]]] = field(default_factory=dict)

    def examine(self, concept: Concept, picks: Mapping[str, Pick], searched: int, refused: str) -> ConceptValidity:
        """Measure everything about a concept in the nodes that were picked for it."""
        name, labels = concept.name, self.scene.sample.labels[concept.name]
        rate = float((labels != 0).mean())
        if refused:
            return ConceptValidity(name, rate, np.nan, reason=refused)
        token = token_precision(self.choice.sample, self.scene.sample, name)
        measured = self._all_measured(concept, picks)
        chosen, kinds = picks["by_precision"], self.highest[name]
        units = {site.name for site in self.choice.units()}
        highest = next(each for each in kinds if each.node.site in units)
        picked = chosen.candidates[0] if chosen.candidates else highest
        choices = {how: self._replacement(picks[how], found) for how, found in measured.items()}
        if not token > TOKEN_DECIDES:
            self._keep({how: measured[how] for how in POOLED if how in measured and not choices[how].reason})
        by_precision = measured.get("by_precision")
        fit = self.choice.fit(picked.node, picked.sign)
        return ConceptValidity(
            concept=name,
            rate=rate,
            token_precision=token,
            node=str(picked.node),
            sign=picked.sign,
            highest_node=str(highest.node),
            highest_precision=self._precision(name, highest),
            average_precision=self._precision(name, picked),
            kinds={self._kind(each): (str(each.node), self._precision(name, each)) for each in kinds},
            choices=choices,
            corrected_low=math.nan if by_precision is None else self._corrected_low(by_precision, searched),
            observed=self._observed(name, fit, self.choice.of(picked.node)),
            examples=self.examples.of(fit.scale(self.scene.values[fit.node]), labels != 0),
            unused=chosen.unused,
            reason=chosen.reason if by_precision is None else choices["by_precision"].reason,
        )

    def pooled(self) -> dict[str, dict[str, Pooled]]:
        """Pooled scores by choice, and by what replaces the nodes."""
        found: dict[str, dict[str, Pooled]] = {}
        for how, lost in self.lost.items():
            harm = np.sum(lost["mean"], axis=0)
            for control in ("label", "shifted"):
                score = self.scene.judge.ratio(np.sum(lost[control], axis=0), harm)
                concepts, windows = len(lost[control]), len(harm)
                found.setdefault(how, {})[control] = Pooled(score.value, score.low, score.high, concepts, windows)
        return found

    def _all_measured(self, concept: Concept, picks: Mapping[str, Pick]) -> dict[str, Measured]:
        """What each replacement does on the score split; nodes that are picked in two ways are measured once."""
        found: dict[str, Measured] = {}
        by_nodes: dict[tuple[CandidateNode, ...] | str, Measured] = {}
        for how, pick in picks.items():
            if pick.fits:
                nodes = pick.candidates or how
                if nodes not in by_nodes:
                    by_nodes[nodes] = self._measured(concept, how, pick)
                found[how] = by_nodes[nodes]
        return found

    def _measured(self, concept: Concept, how: str, pick: Pick) -> Measured:
        """What replacing the picked nodes does on the score split."""
        controls, fits, name = Controls(self.picker.scene, self.scene), pick.fits, concept.name
        changes = {"label": controls.label(fits, name)}
        if how in POOLED:
            null = self.picker.null_labels(name, pick)
            changes["shifted"] = controls.shifted(fits, name, null, self.generator)
        if how in ("by_precision", "by_score"):
            changes["quantised"] = controls.quantised(fits, concept.levels)
            changes["token"] = controls.token(fits, name)
        if how == "by_precision":
            changes |= controls.error_typed(fits, name)
            if concept.sibling in self.choice.concepts:
                changes["sibling"] = controls.label(fits, concept.sibling)
        return self.scene.measure(fits, changes, pick.windows, name, self.settings.control_windows)

    def _replacement(self, pick: Pick, measured: Measured) -> Replacement:
        judge = self.scene.judge
        low, high = judge.interval(measured.harm)
        return Replacement(
            nodes=tuple(str(fit.node) for fit in pick.fits),
            harm=float(measured.harm.mean()),
            harm_low=low,
            harm_high=high,
            windows=measured.windows,
            control_windows=measured.control_windows,
            effective=measured.effective,
            controls=measured.scores(judge),
            near=judge.score(measured.near["label"], measured.near["mean"]),
            reason=judge.harm(measured.harm),
        )

    def _keep(self, measured: Mapping[str, Measured]) -> None:
        for how, found in measured.items():
            for control in ("mean", "label", "shifted"):
                self.lost.setdefault(how, {}).setdefault(control, []).append(found.changes[control])

    def _corrected_low(self, measured: Measured, searched: int) -> float:
        return self.scene.judge.corrected_low(measured.changes["label"], measured.harm, searched)

    def _precision(self, concept: str, candidate: CandidateNode) -> float:
        """Average precision on the score split."""
        values = candidate.sign * self.scene.values[candidate.node]
        return metrics.average_precision(values.reshape(-1), self.scene.sample.flat(concept))

    def _kind(self, candidate: CandidateNode) -> Kind:
        return next(site.kind for site in self.choice.sites if site.name == candidate.node.site)

    def _observed(self, concept: str, fit: Fit, known: Values) -> Observed:
        """What the node's activations alone say about the concept; `known` are those on the choice split."""
        flat, label = fit.scale(self.scene.values[fit.node]).reshape(-1), self.scene.sample.flat(concept)
        threshold = f1_threshold(fit.scale(known).reshape(-1), self.choice.sample.flat(concept))
        defined = math.isfinite(threshold)
        return Observed(
            threshold=threshold,
            p_concept_given_active=p_concept_given_active(flat, label, LOW),
            p_active_given_concept=p_active_given_concept(flat, label, LOW),
            p_concept_at_threshold=p_concept_given_active(flat, label, threshold) if defined else math.nan,
            p_active_at_threshold=p_active_given_concept(flat, label, threshold) if defined else math.nan,
            top_k_precision=metrics.top_k_precision(flat, label, self.settings.top_k),
            purity=band_purities(flat, label),
            band_share={name: float(((flat > low) & (flat <= high)).mean()) for name, (low, high) in BANDS.items()},
        )
