"""All concepts of one model: choose a node on one split, score it on another, name the nodes that matter."""

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
from benchmark.validity.scoring import (
    LOW,
    MIDDLE,
    ZERO,
    Fit,
    Judge,
    Score,
    error_typed,
    quantised,
    replaced,
)

BANDS: Mapping[str, tuple[float, float]] = {
    "high": (MIDDLE, np.inf),
    "middle": (LOW, MIDDLE),
    "low": (ZERO, LOW),
    "zero": (-np.inf, ZERO),
}
"""Lower and upper ends of the bands of a rescaled activation."""


@dataclass(frozen=True)
class AssessmentSettings:
    """What an assessment may spend.

    Attributes:
        concepts: Names of the concepts that are scored; nodes are named by any.
        ablated_nodes: Nodes of highest estimated effect that are ablated to find out whether they matter.
        top_k: Top positions that a name is read off.
    """

    concepts: Sequence[str]
    ablated_nodes: int = 40
    top_k: int = 100


@dataclass(frozen=True)
class BestOfKind:
    """The best node of one kind of site for a concept.

    Attributes:
        node: Which one, as text.
        average_precision: On the score split.
        matters: The node of that kind with the highest average precision among those that matter, if any does.
        label: Score of the labels in its place; `None` where none matters.
    """

    node: str
    average_precision: float
    matters: str
    label: Score | None


@dataclass(frozen=True)
class Observed:
    """What a node's activations say of a concept by themselves, on the score split.

    Attributes:
        threshold: The F1-optimal one of the choice split, on the rescaled activation.
        p_concept_given_active: At a third of the 99.9th percentile, as `p_active_given_concept`.
        p_concept_at_threshold: At the F1-optimal threshold, as `p_active_at_threshold`.
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
    """What was found out about one concept in one model.

    Attributes:
        rate: How often it holds on the score split.
        token_precision: Average precision of the best predictor from the current token alone.
        node: The chosen node, as text: the highest average precision among those that matter.
        sign: -1 if the node is low where the concept holds.
        average_precision: Of the chosen node, on the score split.
        highest_node: The node of the highest average precision whether it matters or not.
        highest_precision: Its average precision on the score split.
        observed: What its activations say by themselves.
        controls: Scores by what stands in the node's place.
        corrected_low: Lower limit of the labels' score, corrected for the number of concepts.
        kinds: The best node of each kind of site.
        examples: Marked lines of each band.
        reason: Why the score is undefined; empty if it is not.
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
    """A score, mean over the concepts that have one, with its interval over clusters."""

    value: float
    low: float
    high: float
    concepts: int


@dataclass(frozen=True)
class Assessment:
    """What was found out about one model."""

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
    """Everything about a model's nodes and the concepts.

    Args:
        model: Any circuit model.
        choice: The split on which nodes are chosen; its documents are not those of `score`.
        score: The split on which they are scored.
        concepts: All that nodes may be named by; one that a sample cannot measure is reported with the reason.
        settings: What may be spent.
        decode: The text of token ids.
        generator: Source of all draws.
        progress: Told how many concepts are done.
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
    """Examines one concept after the other, and keeps the draws of their scores for the pooled ones."""

    choice: Choice
    score: Sample
    run: CachedRun
    judge: Judge
    settings: AssessmentSettings
    decode: Decode
    generator: np.random.Generator
    draws: dict[str, list[Float[np.ndarray, " draw"]]] = field(default_factory=dict)

    def examine(self, concept: Concept, searched: int, refused: str) -> ConceptValidity:
        """Choose a node for a concept and look at it in every way."""
        name, labels = concept.name, self.score.labels[concept.name]
        rate = float((labels != 0).mean())
        if refused:
            return ConceptValidity(name, rate, np.nan, reason=refused)
        units = self.choice.units()
        highest, chosen = self.choice.best(name, units), self.choice.best_that_matters(name, units)
        picked = highest if chosen is None else chosen
        fit = self.choice.fit(picked.node, picked.sign)
        values = self.run.node(fit.node)
        rescaled = fit.scale(values)
        losses = self._losses(concept, fit, values, defined=chosen is not None)
        true, mean = losses["true"], losses["mean"]
        reason = f"ablating any of {self.settings.ablated_nodes} nodes cannot be told from noise"
        if chosen is not None:
            reason = self.judge.harm(mean - true)
        token = token_precision(self.choice.sample, self.score, name)
        controls = {control: self.judge.score(loss, true, mean) for control, loss in losses.items()}
        if not reason and not token > TOKEN_DECIDES:
            for control, loss in losses.items():
                draws = np.append(controls[control].value, self.judge.draws(loss, true, mean))
                self.draws.setdefault(control, []).append(draws)
        tokens = self.score.tokens.numpy()
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
        """Each control's score, mean over the concepts whose score is defined and which the token does not decide."""
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

    def _losses(
        self, concept: Concept, fit: Fit, values: Float[np.ndarray, "row position"], *, defined: bool
    ) -> dict[str, Losses]:
        """Losses with what may stand in the node's place; where the score is undefined, with labels alone."""
        labels, means = self.score.labels[concept.name], self.choice.label_means(fit.node, concept.name, self.score)
        replacements = {"label": means[labels]}
        if defined:
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
            matters = self.choice.best_that_matters(concept.name, sites)
            label = None
            if matters is not None:
                fit = self.choice.fit(matters.node, matters.sign)
                means = self.choice.label_means(fit.node, concept.name, self.score)
                losses = replaced(self.run, fit, {"label": means[self.score.labels[concept.name]]})
                label = self.judge.score(losses["label"], losses["true"], losses["mean"])
            found[kind] = BestOfKind(
                node=str(best.node),
                average_precision=self._precision(concept.name, best),
                matters="" if matters is None else str(matters.node),
                label=label,
            )
        return found

    def _observed(self, concept: str, fit: Fit, rescaled: Float[np.ndarray, "row position"]) -> Observed:
        """What the activations say by themselves."""
        flat, label = rescaled.reshape(-1), self.score.flat(concept)
        known = fit.scale(self.choice.of(fit.node)).reshape(-1)
        threshold = f1_threshold(known, self.choice.sample.flat(concept))
        at_threshold = (math.nan, math.nan)
        if math.isfinite(threshold):
            at_threshold = (
                p_concept_given_active(flat, label, threshold),
                p_active_given_concept(flat, label, threshold),
            )
        return Observed(
            threshold=threshold,
            p_concept_given_active=p_concept_given_active(flat, label, LOW),
            p_active_given_concept=p_active_given_concept(flat, label, LOW),
            p_concept_at_threshold=at_threshold[0],
            p_active_at_threshold=at_threshold[1],
            top_k_precision=metrics.top_k_precision(flat, label, self.settings.top_k),
            purity={name: band_purity(flat, label, *ends) for name, ends in BANDS.items()},
            band_share={name: float(((flat > low) & (flat <= high)).mean()) for name, (low, high) in BANDS.items()},
        )
