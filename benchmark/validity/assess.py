"""Assesses all concepts in a model: chooses a node on one split, scores it on another, names the nodes that matter."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float

from benchmark import metrics
from benchmark.concepts import TOKEN_DECIDES, Concept
from benchmark.interventions.replacement import CachedRun, Losses, next_token_eval
from benchmark.metrics import band_purity, f1_threshold, p_active_given_concept, p_concept_given_active
from benchmark.model.interface import CircuitModel, Kind
from benchmark.validity.basis import Basis, bases
from benchmark.validity.choice import CandidateNode, Choice, token_precision
from benchmark.validity.examples import Decode, banded_examples, marked_line
from benchmark.validity.naming import NamedNode, most_important, named_nodes
from benchmark.validity.sample import Sample, refusal, shifted
from benchmark.validity.scoring import LOW, MIDDLE, ZERO, Fit, Judge, Score, error_typed, quantised, replaced

BANDS: Mapping[str, tuple[float, float]] = {
    "high": (MIDDLE, np.inf),
    "middle": (LOW, MIDDLE),
    "low": (ZERO, LOW),
    "zero": (-np.inf, ZERO),
}
"""Lower and upper limits of the bands of a rescaled activation."""


@dataclass(frozen=True)
class AssessmentSettings:
    """Which concepts are scored, how many nodes are ablated to see which matter, how many top positions give a name."""

    concepts: Sequence[str]
    ablated_nodes: int = 40
    top_k: int = 100


@dataclass(frozen=True)
class BestOfKind:
    """The best node of one kind of site for a concept, and its average precision on the score split.

    Attributes:
        matters: The best node among those that matter, if any.
        label: Score of the labels in place of that node.
    """

    node: str
    average_precision: float
    matters: str
    label: Score | None


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
        node: The chosen node, as text: the one with the highest average precision among those that matter.
        sign: -1 if the node is low where the concept holds.
        average_precision: Average precision of the chosen node on the score split.
        highest_node: The node with the highest average precision, whether it matters or not.
        highest_precision: Its average precision on the score split.
        controls: Scores by what replaces the node.
        corrected_low: Lower limit of the labels' score, corrected for the number of concepts.
        examples: Marked lines of each band.
        reason: Why the score is undefined; empty if it is defined.
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
    controls: Mapping[str, Score] | None = None
    corrected_low: float = np.nan
    kinds: Mapping[str, BestOfKind] | None = None
    examples: Mapping[str, list[str]] | None = None
    reason: str = ""


@dataclass(frozen=True)
class Pooled:
    """A score averaged over the concepts for which it is defined, with its interval over clusters."""

    value: float
    low: float
    high: float
    concepts: int


@dataclass(frozen=True)
class Assessment:
    """The assessment of one model."""

    concepts: Sequence[ConceptValidity]
    named: Sequence[NamedNode]
    bases: Mapping[Kind, Basis]
    pooled: Mapping[str, Pooled]


@torch.no_grad()
def assess(
    model: CircuitModel,
    choice: Sample,
    score: Sample,
    concepts: Sequence[Concept],
    settings: AssessmentSettings,
    decode: Decode,
    generator: np.random.Generator,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> Assessment:
    """Assess the nodes of a model against the concepts.

    Nodes are chosen on the `choice` split and scored on the `score` split, which share no documents. They may be named
    by any of the concepts; a concept that cannot be measured is reported with the reason. `progress` is called with the
    number of steps done, their total and a note.
    """
    refused = {concept.name: refusal(concept, [choice, score]) for concept in concepts}
    usable = [concept.name for concept in concepts if not refused[concept.name]]
    runs = [CachedRun(model, next_token_eval(sample.tokens, sample.targets)) for sample in (choice, score)]
    chooser = Choice(model, choice, runs[0], Judge(len(choice.tokens), generator), usable)
    judge = Judge(len(score.tokens), generator)
    progress(0, len(settings.concepts) + 2, "ablating nodes")
    chooser.ablate(most_important(model, choice, chooser, settings.ablated_nodes))
    examiner = _Examiner(chooser, score, runs[1], judge, settings, decode, generator)
    rows, total = [], len(settings.concepts) + 2
    scored = [concept for concept in concepts if concept.name in settings.concepts]
    for done, concept in enumerate(scored):
        progress(done, total, concept.name)
        rows.append(examiner.examine(concept, len(scored), refused[concept.name]))
    progress(total - 2, total, "naming nodes")
    named = named_nodes(chooser, score, runs[1], judge, settings.top_k)
    progress(total - 1, total, "rotating bases")
    return Assessment(rows, named, bases(chooser.sites, chooser.values, chooser.holds, generator), examiner.pooled())


@dataclass(eq=False)
class _Examiner:
    """Examines one concept at a time, and keeps the bootstrap draws of their scores to pool them."""

    choice: Choice
    score: Sample
    run: CachedRun
    judge: Judge
    settings: AssessmentSettings
    decode: Decode
    generator: np.random.Generator
    draws: dict[str, list[Float[np.ndarray, " draw"]]] = field(default_factory=dict)

    def examine(self, concept: Concept, searched: int, refused: str) -> ConceptValidity:
        """Choose a node for a concept and measure everything about it."""
        name, labels, tokens = concept.name, self.score.labels[concept.name], self.score.tokens.numpy()
        rate = float((labels != 0).mean())
        if refused:
            return ConceptValidity(name, rate, np.nan, reason=refused)
        units = self.choice.units()
        highest, chosen = self.choice.best(name, units), self.choice.best_that_matters(name, units)
        picked = highest if chosen is None else chosen
        fit = self.choice.fit(picked.node, picked.sign)
        rescaled = fit.scale(self.run.node(fit.node))
        losses = self._losses(concept, fit, controls=chosen is not None)
        true, mean = losses["true"], losses["mean"]
        if chosen is None:
            reason = f"ablating any of {self.settings.ablated_nodes} nodes cannot be told from noise"
        else:
            reason = self.judge.harm(mean - true)
        token = token_precision(self.choice.sample, self.score, name)
        controls = {control: self.judge.score(loss, true, mean) for control, loss in losses.items()}
        if not reason and not token > TOKEN_DECIDES:
            for control, loss in losses.items():
                draws = np.append(controls[control].value, self.judge.draws(loss, true, mean))
                self.draws.setdefault(control, []).append(draws)
        return ConceptValidity(
            concept=name,
            rate=rate,
            token_precision=token,
            node=str(fit.node),
            sign=fit.scale.sign,
            highest_node=str(highest.node),
            highest_precision=self._precision(name, highest),
            average_precision=self._precision(name, picked),
            controls=controls,
            corrected_low=self.judge.corrected_low(losses["label"], true, mean, searched),
            kinds=self._kinds(concept),
            observed=self._observed(name, fit, rescaled),
            examples=banded_examples(
                rescaled,
                labels != 0,
                BANDS,
                lambda window, position: marked_line(tokens[window], position, self.decode),
                self.generator,
            ),
            reason=reason,
        )

    def pooled(self) -> dict[str, Pooled]:
        """Mean score of each control over concepts with a defined score that the current token does not decide."""
        found = {}
        for name, rows in self.draws.items():
            draws = np.nanmean(np.stack([row[1:] for row in rows]), axis=0)
            low, high = np.nanquantile(draws, [0.025, 0.975])
            value = float(np.mean([row[0] for row in rows]))
            found[name] = Pooled(value, float(low), float(high), len(rows))
        return found

    def _precision(self, concept: str, candidate: CandidateNode) -> float:
        """Average precision on the score split."""
        values = candidate.sign * self.run.node(candidate.node)
        return metrics.average_precision(values.reshape(-1), self.score.flat(concept))

    def _losses(self, concept: Concept, fit: Fit, *, controls: bool = False) -> dict[str, Losses]:
        """Losses with labels in place of the node, and with the controls if wanted."""
        labels, means = self.score.labels[concept.name], self.choice.label_means(fit.node, concept.name, self.score)
        replacements = {"label": means[labels]}
        if controls:
            values = self.run.node(fit.node)
            replacements |= {
                "shifted": means[shifted(self.score, concept.name, self.generator)],
                "quantised": quantised(self.choice.of(fit.node), values, concept.levels),
                **error_typed(fit, values, labels, means),
            }
            sibling = concept.sibling
            if sibling is not None and sibling in self.choice.concepts:
                of_sibling = self.choice.label_means(fit.node, sibling, self.score)
                replacements["sibling"] = of_sibling[self.score.labels[sibling]]
        return replaced(self.run, fit, replacements)

    def _kinds(self, concept: Concept) -> dict[str, BestOfKind]:
        """The best node of each kind of site."""
        found: dict[str, BestOfKind] = {}
        for kind in dict.fromkeys(site.kind for site in self.choice.sites):
            sites = [site for site in self.choice.sites if site.kind == kind]
            best = self.choice.best(concept.name, sites)
            matters, label = self.choice.best_that_matters(concept.name, sites), None
            if matters is not None:
                losses = self._losses(concept, self.choice.fit(matters.node, matters.sign))
                label = self.judge.score(losses["label"], losses["true"], losses["mean"])
            name = "" if matters is None else str(matters.node)
            found[kind] = BestOfKind(str(best.node), self._precision(concept.name, best), name, label)
        return found

    def _observed(self, concept: str, fit: Fit, rescaled: Float[np.ndarray, "row position"]) -> Observed:
        """What the node's activations alone say about the concept."""
        flat, label = rescaled.reshape(-1), self.score.flat(concept)
        known = fit.scale(self.choice.of(fit.node)).reshape(-1)
        threshold = f1_threshold(known, self.choice.sample.flat(concept))
        defined = math.isfinite(threshold)
        return Observed(
            threshold=threshold,
            p_concept_given_active=p_concept_given_active(flat, label, LOW),
            p_active_given_concept=p_active_given_concept(flat, label, LOW),
            p_concept_at_threshold=p_concept_given_active(flat, label, threshold) if defined else math.nan,
            p_active_at_threshold=p_active_given_concept(flat, label, threshold) if defined else math.nan,
            top_k_precision=metrics.top_k_precision(flat, label, self.settings.top_k),
            purity={name: band_purity(flat, label, *ends) for name, ends in BANDS.items()},
            band_share={name: float(((flat > low) & (flat <= high)).mean()) for name, (low, high) in BANDS.items()},
        )
