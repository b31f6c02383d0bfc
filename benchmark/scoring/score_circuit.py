"""The list of scores, and the functions that compute them for a discovered circuit: all, or few for a search alone."""

import math
from collections.abc import Callable, Iterable
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
from benchmark.scoring.redundant_nodes import redundant_nodes, removable_pairs, silent_nodes
from benchmark.scoring.robustness import robustness
from benchmark.scoring.second_circuit import second_circuit
from benchmark.scoring.sizes import found_sizes, sizes, verified_edges

Score = Callable[[DiscoveredCircuit], list[Measurement]]
"""Measures a circuit. All draws come from the circuit's generator, so the order of scores matters."""


def outside_metrics(case: DiscoveredCircuit) -> list[Measurement]:
    """The metrics of other distributions; none of them affects the random draws of later scores."""
    return [_outside(metric, case) for metric in METRICS.values() if metric.score is not None]


def _outside(metric: Metric, case: DiscoveredCircuit) -> Measurement:
    """The value of a metric, or why there is none; an exception fails only the metric's own row."""
    drawn, called = case.generator.get_state(), METRICS.called(metric.name)
    try:
        value = resolve(str(metric.score))(case)
    except Exception as error:  # whatever somebody's metric raises
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return case.missing(metric.name, f"{called} raised {why}", "failed")
    finally:
        case.generator.set_state(drawn)
    if not isinstance(value, Real) or isinstance(value, bool):
        given = f"{' '.join(repr(value).split()):.80}"
        return case.missing(metric.name, f"{called} returned {given}, not a number", "failed")
    number = float(value)
    if math.isfinite(number) and not metric.low <= number <= metric.high:
        limits = f"{metric.low:g} to {metric.high:g}"
        return case.missing(metric.name, f"{called} returned {number:g}, outside {limits}", "failed")
    return case.measured(metric.name, number)


SCORES: tuple[Score, ...] = (
    sizes,
    verified_edges,
    faithfulness,
    calibration,
    robustness,
    redundant_nodes,
    removable_pairs,
    silent_nodes,
    causal_scrubbing,
    intervention_prediction,
    path_length,
    second_circuit,
    label_replacement,
    off_distribution,
    outside_metrics,
)
"""The scores of a circuit that solves its task; for other circuits, their rows say why it does not."""

LOSSES: tuple[Score, ...] = (losses, areas)
"""Scores that have a value whatever the circuit's status."""


@torch.no_grad()
def score_circuit(case: DiscoveredCircuit) -> list[Measurement]:
    """All measurements of a discovered circuit on test prompts."""
    return [*_if_solved(case, SCORES), *(row for score in LOSSES for row in score(case))]


@torch.no_grad()
def score_search(case: DiscoveredCircuit) -> list[Measurement]:
    """What searches are compared by: the size as it was found, and how faithful the circuit is on test prompts."""
    return [*found_sizes(case), *_if_solved(case, (faithfulness, robustness)), *losses(case)]


def _if_solved(case: DiscoveredCircuit, scores: Iterable[Score]) -> list[Measurement]:
    """Scores of a circuit that solves its task; if it does not, every row states the reason instead."""
    status, reason = case.status
    rows = [row for score in scores for row in score(case)]
    return rows if status == "ok" else [row.without_value(status, reason) for row in rows]
