"""Scores of circuits and of labels as tables, one row per measured value."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import torch

from benchmark.discovery.arguments import check_kind
from benchmark.metrics.registry import METRICS
from benchmark.notebook.circuits import TaskCircuit
from benchmark.records.table import Measurement
from benchmark.scoring.score_circuit import score_circuit
from benchmark.validity.assess import Assessment
from benchmark.validity.rows import measurements

if TYPE_CHECKING:
    import pandas as pd


def score(found: TaskCircuit) -> "pd.DataFrame":
    """All scores of a circuit on test prompts, one row per measured value; the same every time.

    Scores that need the concepts of the task, or changed prompts, are left out if the circuit was found without a
    corpus or for prompts instead of a task. A circuit that does not solve its task has a status and a reason instead.

    Args:
        found: What `find_circuit` returned.

    Returns:
        Columns `metric`, `concept`, `ablation`, `value`, `low`, `high` (95 %), `interval`, `n`, `unit`, `better`
        (`higher`, `lower` or `none`), `status`, `reason`.

    Raises:
        ValueError: The circuit was found under ablation values of one's own, or without windows of a corpus.
    """
    check_kind("found", found, TaskCircuit, "what benchmark.find_circuit returns")
    case = found.case
    if found.custom:
        raise ValueError(
            "found was searched for under ablation_values of your own, under which it cannot be scored; register them "
            "as an ablation, and give find_circuit its name as ablation"
        )
    if not case.setting.windows.numel():
        raise ValueError("found has no windows of text, which edges need; give find_circuit run, corpus or windows")
    again = torch.Generator().manual_seed(case.generator.initial_seed())
    return as_frame(score_circuit(replace(case, generator=again)))


def assessment_table(found: Assessment) -> "pd.DataFrame":
    """All measurements of an assessment, with the columns of `score`."""
    check_kind("found", found, Assessment, "what benchmark.label_replacement returns")
    return as_frame(list(measurements(found)))


def as_frame(rows: Sequence[Measurement]) -> "pd.DataFrame":
    """Measurements as a table, with the unit and the direction of each metric."""
    import pandas as pd

    columns = (
        "metric",
        "concept",
        "ablation",
        "value",
        "low",
        "high",
        "interval",
        "n",
        "unit",
        "better",
        "status",
        "reason",
    )
    known = [{"unit": METRICS[row.metric].unit, "better": METRICS[row.metric].direction} for row in rows]
    table = [{**asdict(row), **more} for row, more in zip(rows, known, strict=True)]
    frame = pd.DataFrame(table, columns=list(columns))
    numbers = ["value", "low", "high", "n"]
    frame[numbers] = frame[numbers].astype(float)
    return frame
