"""Turns an assessment into measurements for the records, and into JSON for `bench show`."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

from benchmark.concepts import TOKEN_DECIDES
from benchmark.metrics.registry import CHOICES, CONTROLS, POOLED
from benchmark.metrics.shares import share
from benchmark.records.table import VALIDITY, Measurement
from benchmark.statistics.intervals import none_for_nan
from benchmark.validity.assess import Assessment, ConceptValidity
from benchmark.validity.circuit_on_corpus import WHERE, CorpusScore
from benchmark.validity.explained import ExplainedHarm
from benchmark.validity.in_circuit import CircuitValidity
from benchmark.validity.judging import illusion_bounds
from benchmark.validity.scoring import Score


def measurements(found: Assessment) -> Iterator[Measurement]:
    """All measurements of an assessment."""
    yield from concept_measurements(found.concepts)
    for how, (name, _) in POOLED.items():
        for control, pooled in found.pooled.get(how, {}).items():
            metric = f"pooled_{name}{control}_score"
            yield Measurement(metric, pooled.value, pooled.low, pooled.high, interval="prompts", n=pooled.windows)
        if how in found.pooled:
            yield Measurement(f"pooled_{name}concepts", float(found.pooled[how]["label"].concepts))
    yield from _explained(found.explained)
    yield from _rates(found)
    for kind, basis in found.bases.items():
        yield Measurement.or_why(f"basis_privilege_{kind}", basis.privilege)
        yield Measurement.or_why(f"basis_precision_gain_{kind}", basis.native - basis.rotated)


def concept_measurements(rows: Iterable[ConceptValidity]) -> Iterator[Measurement]:
    """What is measured of single concepts."""
    for row in rows:
        yield from _scores(row)
        yield from _observations(row)


def _scores(row: ConceptValidity) -> Iterator[Measurement]:
    """Scores of everything that was replaced for a concept, and the harm of ablating the node that ranks."""
    for metric, (control, *_) in CONTROLS.items():
        if row.reason:
            yield Measurement(metric, concept=row.concept, status="undefined", reason=row.reason)
        elif control in (row.controls or {}):
            chosen = row.choices["by_precision"]
            windows = chosen.windows if control == "label" else chosen.control_windows
            yield _score(metric, row.concept, chosen.controls[control], windows)
    for metric, (how, *_) in CHOICES.items():
        other = row.choices.get(how)
        if other is not None and other.reason:
            yield Measurement(metric, concept=row.concept, status="undefined", reason=other.reason)
        elif other is not None:
            yield _score(metric, row.concept, other.controls["label"], other.windows)
    ranked = row.choices.get("by_precision")
    if ranked is not None:
        limits = (ranked.harm_low, ranked.harm_high)
        yield Measurement("ablation_harm", ranked.harm, *limits, "prompts", ranked.windows, concept=row.concept)
        if not row.reason:
            yield _score("near_label_score", row.concept, ranked.near, ranked.windows)


def _score(metric: str, concept: str, score: Score, windows: int) -> Measurement:
    reason = "" if math.isfinite(score.value) else "the harm of ablation cannot be told from noise"
    return Measurement(metric, score.value, score.low, score.high, "prompts", windows, reason=reason, concept=concept)


def _explained(found: ExplainedHarm) -> Iterator[Measurement]:
    """How much of the harm of all nodes labels explain."""
    by_kind = {f"explained_harm_{kind}": score for kind, score in found.shares.items()}
    for metric, score in {"explained_harm": found.beyond, **by_kind}.items():
        yield Measurement(metric, score.value, score.low, score.high, "prompts", found.windows, reason=found.reason)
    yield Measurement("explained_nodes", float(len(found.nodes)))


def _observations(row: ConceptValidity) -> Iterator[Measurement]:
    """What a node's activations alone say about a concept."""
    observed = row.observed
    if observed is None:
        return
    yield Measurement.or_why("average_precision", row.average_precision, concept=row.concept)
    yield Measurement.or_why("highest_average_precision", row.highest_precision, concept=row.concept)
    yield Measurement.or_why("token_average_precision", row.token_precision, concept=row.concept)
    yield Measurement.or_why("p_concept_given_active", observed.p_concept_given_active, "nowhere active", row.concept)
    yield Measurement.or_why("p_active_given_concept", observed.p_active_given_concept, concept=row.concept)
    yield Measurement.or_why("top_k_precision", observed.top_k_precision, concept=row.concept)
    yield Measurement.or_why("middle_band_purity", observed.purity["middle"], "the middle band is empty", row.concept)
    for kind, (_, precision) in (row.kinds or {}).items():
        yield Measurement.or_why(f"average_precision_{kind}", precision, concept=row.concept)


def circuit_measurements(found: CircuitValidity, pairs: int) -> Iterator[Measurement]:
    """All measurements of labels in a circuit; pairs of test prompts are the clusters behind each score."""
    for row in found.concepts:
        for metric, score, why in (
            ("circuit_label_replacement_score", row.circuit, row.reason),
            ("task_label_replacement_score", row.whole, row.whole_reason or row.reason),
        ):
            if why or score is None:
                yield Measurement(metric, concept=row.concept, status="undefined", reason=why)
            else:
                yield _score(metric, row.concept, score, pairs)
    yield Measurement.or_why("labelled_share", share(len(found.labels), found.kept), "no node is kept")
    yield from _on_corpus(found)
    if found.curve and math.isfinite(found.curve[-1].score.value):
        yield _score("joint_label_replacement_score", "", found.curve[-1].score, pairs)
    else:
        noise = "all labelled nodes at their means do no harm that can be told from noise"
        why = noise if found.curve else "no label fits"
        yield Measurement("joint_label_replacement_score", status="undefined", reason=why)


def _on_corpus(found: CircuitValidity) -> Iterator[Measurement]:
    """Scores of the same labels on the corpus, in the circuit and in the whole model."""
    corpus = found.corpus
    if corpus is None:
        return
    for row in found.concepts:
        why = corpus.refused.get(row.concept, row.reason)
        yield from _on_corpus_or_why("", row.concept, corpus.concepts.get(row.concept, {}), why, corpus.windows)
    yield from _on_corpus_or_why("joint_", "", corpus.joint, "no label fits", corpus.windows)


def _on_corpus_or_why(
    joint: str, concept: str, scores: Mapping[str, CorpusScore], why: str, windows: int
) -> Iterator[Measurement]:
    for where in WHERE:
        metric, score = f"corpus_{where}_{joint}label_score", scores.get(where)
        reason = why if score is None else score.reason
        if reason or score is None:
            yield Measurement(metric, concept=concept, status="undefined", reason=reason)
        else:
            yield _score(metric, concept, score.score, windows)


def _rates(found: Assessment) -> Iterator[Measurement]:
    """How often scores are undefined, and how often names given by top-activating examples mislead."""
    counted = [row for row in found.concepts if not row.token_precision > TOKEN_DECIDES and row.observed is not None]
    unused = sum(row.unused for row in counted)
    undefined = sum(bool(row.reason) and not row.unused for row in counted)
    yield Measurement.or_why("undefined_rate", share(undefined, len(counted)), "no concept was measured")
    yield Measurement.or_why("unused_rate", share(unused, len(counted)), "no concept was measured")
    verdicts = [node.verdict for node in found.named]
    judged = [each for each in verdicts if each != "undefined"]
    yield Measurement("named_nodes", float(len(judged)))
    yield Measurement("nodes_with_a_name", float(found.have_names))
    why = "no node that matters has a name with a defined score"
    value, low, high = illusion_bounds(verdicts)
    reason = why if not judged else "every name is undecided"
    yield Measurement.or_why("illusion_rate", value, reason)
    yield Measurement.or_why("least_illusion_rate", low, why)
    yield Measurement.or_why("most_illusion_rate", high, why)
    gains = [node.middle[0].gain for node in found.named if node.middle]
    several = fmean(gains) if gains else math.nan
    yield Measurement.or_why("middle_meaning", several, "no named node has a middle band outside its name")
    for each in ("graded", "undecided"):
        yield Measurement.or_why(f"{each}_rate", share(judged.count(each), len(judged)), why=why)


def write_validity(found: Assessment | CircuitValidity, folder: Path) -> None:
    """Write everything to a folder as JSON; values that are not finite become null."""
    text = json.dumps(none_for_nan(asdict(found)), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / VALIDITY).write_text(text + "\n", encoding="utf-8")
