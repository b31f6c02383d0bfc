"""The scores of a discovered circuit, one after the other."""

import math
from collections.abc import Callable
from numbers import Real

import torch

from benchmark.metrics.registry import METRICS, Metric
from benchmark.plugins.registry import resolve
from benchmark.records.table import Measurement
from benchmark.scoring.case import DiscoveredCircuit
from benchmark.scoring.causal_scrubbing import causal_scrubbing
from benchmark.scoring.faithfulness import areas, calibration, faithfulness, losses
from benchmark.scoring.intervention_prediction import intervention_prediction
from benchmark.scoring.label_replacement import label_replacement
from benchmark.scoring.off_distribution import off_distribution
from benchmark.scoring.path_length import path_length
from benchmark.scoring.redundant_nodes import redundant_nodes
from benchmark.scoring.robustness import robustness
from benchmark.scoring.second_circuit import second_circuit
from benchmark.scoring.sizes import sizes, verified_edges

Score = Callable[[DiscoveredCircuit], list[Measurement]]
"""Measures something of a circuit. All draws come from the circuit's generator, so the order of scores matters."""


def outside_metrics(case: DiscoveredCircuit) -> list[Measurement]:
    """What the metrics of other distributions say; none changes what is drawn for the scores after it."""
    return [_outside(metric, case) for metric in METRICS.values() if metric.score is not None]


def _outside(metric: Metric, case: DiscoveredCircuit) -> Measurement:
    """The value of a metric, or why there is none; whatever it raises fails its own row alone."""
    drawn = case.generator.get_state()
    try:
        value = resolve(str(metric.score))(case)
    except Exception as error:  # whatever somebody's metric raises
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return case.missing(metric.name, f"{METRICS.called(metric.name)} raised {why}", "failed")
    finally:
        case.generator.set_state(drawn)
    if not isinstance(value, Real) or isinstance(value, bool):
        given = f"{METRICS.called(metric.name)} returned {' '.join(repr(value).split()):.80}"
        return case.missing(metric.name, f"{given}, not a number", "failed")
    number = float(value)
    if math.isfinite(number) and not metric.low <= number <= metric.high:
        given = f"{METRICS.called(metric.name)} returned {number:g}"
        return case.missing(metric.name, f"{given}, outside {metric.low:g} to {metric.high:g}", "failed")
    return case.measured(metric.name, number)


SCORES: tuple[Score, ...] = (
    sizes,
    verified_edges,
    faithfulness,
    calibration,
    robustness,
    redundant_nodes,
    causal_scrubbing,
    intervention_prediction,
    path_length,
    second_circuit,
    label_replacement,
    off_distribution,
    outside_metrics,
)
"""What is measured of a circuit that does its task; of another circuit these say why it does not."""

LOSSES: tuple[Score, ...] = (losses, areas)
"""What has a value whatever the circuit's status."""


@torch.no_grad()
def score_circuit(case: DiscoveredCircuit) -> list[Measurement]:
    """All measurements of a discovered circuit, on test prompts."""
    status, reason = case.status
    rows = [row for score in SCORES for row in score(case)]
    if status != "ok":
        rows = [row.without_value(status, reason) for row in rows]
    return rows + [row for score in LOSSES for row in score(case)]
