"""Label replacement: the labels of a task's concepts in place of the circuit's nodes."""

from dataclasses import replace

import numpy as np

from benchmark.concepts import CONCEPTS
from benchmark.corpus import Corpus
from benchmark.interventions.ablation import keep_only
from benchmark.records.table import Measurement
from benchmark.scoring.case import DiscoveredCircuit
from benchmark.seeds import seed_of
from benchmark.validity.circuit_on_corpus import OnCorpus, labels_on_corpus
from benchmark.validity.in_circuit import CircuitValidity, TaskConcept, circuit_validity
from benchmark.validity.rows import circuit_measurements, write_validity
from benchmark.validity.sample import draw_sample

CORPUS_TOKENS = 6_144
"""Tokens of the corpus on which levels are fitted, and as many on which labels are tried."""


def label_replacement(case: DiscoveredCircuit) -> list[Measurement]:
    """Scores of labels in place of the circuit's nodes; only in the unit graph, where nodes are units.

    Nodes are chosen and their levels fitted on train prompts, and scored on test prompts; under mean ablation on the
    corpus as well.
    """
    setting, task, corpus = case.setting, case.task, case.corpus
    if task is None or corpus is None or not _concepts(case):
        return []
    found = circuit_validity(
        case.model,
        case.circuit,
        case.means,
        (setting.prompts.train, case.batch),
        corpus.tokenizer,
        list(CONCEPTS.values()),
        task.concepts,
        np.random.default_rng(seed_of("labels", task.name, setting.seed)),
        setting.ablation_values,
    )
    if setting.ablation == "mean":
        found = replace(found, corpus=_on_corpus(case, corpus, found))
    if case.folder is not None:
        write_validity(found, case.folder)
    return _rows(case, found)


def unscored_labels(case: DiscoveredCircuit, reason: str) -> list[Measurement]:
    """The rows of `label_replacement`, without values for a given reason."""
    if not _concepts(case):
        return []
    unscored = [TaskConcept(name, reason=reason) for name in _concepts(case)]
    corpus = OnCorpus({}, {}, 0, {}) if case.setting.ablation == "mean" else None
    return _rows(case, CircuitValidity(unscored, 0, [], [], corpus))


def _concepts(case: DiscoveredCircuit) -> tuple[str, ...]:
    """The concepts of the task, if its circuit can be labelled."""
    task = case.task
    return () if task is None or case.corpus is None or case.setting.graph != "unit" else tuple(task.concepts)


def _rows(case: DiscoveredCircuit, found: CircuitValidity) -> list[Measurement]:
    return [replace(row, ablation=case.ablation) for row in circuit_measurements(found, case.batch.clusters)]


def _on_corpus(case: DiscoveredCircuit, corpus: Corpus, found: CircuitValidity) -> OnCorpus:
    """The same labels on windows of the corpus, with levels fitted to other documents."""
    by_concept = {row.concept: row.node for row in found.concepts if row.node is not None}
    concepts = [CONCEPTS[name] for name in dict.fromkeys([*by_concept, *(name for _, name in found.labels)])]
    choice, score = (draw_sample(corpus, split, CORPUS_TOKENS, concepts) for split in ("validation", "test"))
    return labels_on_corpus(
        case.model,
        keep_only(case.circuit, case.means),
        choice,
        score,
        by_concept,
        dict(found.labels),
        concepts,
        np.random.default_rng(seed_of("labels on the corpus", case.setting.seed)),
    )
