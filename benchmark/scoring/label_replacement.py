"""Label replacement: the labels of a task's concepts in place of the circuit's nodes."""

from dataclasses import replace

import numpy as np

from benchmark.concepts import CONCEPTS
from benchmark.records.table import Measurement
from benchmark.scoring.case import DiscoveredCircuit
from benchmark.seeds import seed_of
from benchmark.validity.in_circuit import circuit_validity
from benchmark.validity.rows import circuit_measurements, write_validity


def label_replacement(case: DiscoveredCircuit) -> list[Measurement]:
    """Scores of labels in place of the circuit's nodes; only in the unit graph, where nodes are units.

    Nodes are chosen and their levels fitted on train prompts, and scored on test prompts.
    """
    setting, task, corpus = case.setting, case.task, case.corpus
    if task is None or corpus is None or setting.graph != "unit" or not task.concepts:
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
    if case.folder is not None:
        write_validity(found, case.folder)
    return [replace(row, ablation=case.ablation) for row in circuit_measurements(found, case.batch.clusters)]
