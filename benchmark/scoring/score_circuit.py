"""The list of scores, and the functions that compute them for a discovered circuit: all, or few for a search alone."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Real

import torch

from benchmark.metrics.registry import METRICS, Metric
from benchmark.plugins.registry import resolve
from benchmark.records.table import Measurement
from benchmark.scoring.case import DiscoveredCircuit
from benchmark.scoring.causal_scrubbing import causal_scrubbing
from benchmark.scoring.faithfulness import AGREEMENTS, areas, calibration, faithfulness, losses
from benchmark.scoring.intervention_prediction import METRICS as PREDICTIONS
from benchmark.scoring.intervention_prediction import intervention_prediction
from benchmark.scoring.label_replacement import label_replacement, unscored_labels
from benchmark.scoring.off_distribution import off_distribution, unscored_shifts
from benchmark.scoring.path_length import INTERCHANGES, path_length
from benchmark.scoring.redundant_nodes import redundant_nodes, removable_pairs, silent_nodes
from benchmark.scoring.robustness import robustness, unscored_robustness
from benchmark.scoring.second_circuit import second_circuit, unscored_second_circuit
from benchmark.scoring.sizes import found_sizes, sizes, unscored_certificate, verified_edges

Measured = Callable[[DiscoveredCircuit], list[Measurement]]
"""Measures a circuit. All draws come from the circuit's generator, so the order of scores matters."""


@dataclass(frozen=True)
class Score:
    """A score of circuits that solve their task, and the rows that say why other circuits have none.

    Attributes:
        measured: Computes the score's rows.
        metrics: The metrics of these rows, if there is one row for each, under the circuit's own ablation.
        unscored: Gives the same rows without values, and a reason, where `metrics` does not determine them; runs no
            model.
    """

    measured: Measured
    metrics: tuple[str, ...] = ()
    unscored: Callable[[DiscoveredCircuit, str], list[Measurement]] = lambda case, reason: []

    def rows(self, case: DiscoveredCircuit) -> list[Measurement]:
        """The measurements, or the same rows with the status of a circuit that does not solve its task."""
        status, reason = case.status
        if status == "ok":
            return self.measured(case)
        rows = [*(case.missing(metric, reason) for metric in self.metrics), *self.unscored(case, reason)]
        return [row.without_value(status, reason) for row in rows]


def outside_metrics(case: DiscoveredCircuit) -> list[Measurement]:
    """The metrics of other distributions; none of them affects the random draws of later scores."""
    return [_outside(metric, case) for metric in METRICS.values() if metric.score is not None]


def unscored_outside_metrics(case: DiscoveredCircuit, reason: str) -> list[Measurement]:
    """Their rows, without values for a given reason."""
    return [case.missing(metric.name, reason) for metric in METRICS.values() if metric.score is not None]


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


FAITHFULNESS = Score(faithfulness, AGREEMENTS)

ROBUSTNESS = Score(robustness, unscored=unscored_robustness)

SCORES: tuple[Score, ...] = (
    Score(sizes, ("nodes", "edges", "touched_edges", "description_bits", "opaque_weights"), unscored_certificate),
    Score(verified_edges, ("verified_edges",)),
    FAITHFULNESS,
    Score(calibration, ("calibrated_loss",)),
    ROBUSTNESS,
    Score(redundant_nodes, ("idle_share", "random_necessity")),
    Score(removable_pairs, ("removable_pairs",)),
    Score(silent_nodes, ("silent_share",)),
    Score(causal_scrubbing, ("interchange_loss", "binarised_loss")),
    Score(intervention_prediction, PREDICTIONS),
    Score(path_length, ("path_length", "longest_path", *INTERCHANGES)),
    Score(second_circuit, unscored=unscored_second_circuit),
    Score(label_replacement, unscored=unscored_labels),
    Score(off_distribution, unscored=unscored_shifts),
    Score(outside_metrics, unscored=unscored_outside_metrics),
)
"""The scores of a circuit that solves its task. They are not computed for other circuits, which often are large."""

LOSSES: tuple[Measured, ...] = (losses, areas)
"""Scores that have a value whatever the circuit's status."""


@torch.no_grad()
def score_circuit(case: DiscoveredCircuit) -> list[Measurement]:
    """All measurements of a discovered circuit on test prompts."""
    return [*_scored(case, SCORES), *(row for score in LOSSES for row in score(case))]


@torch.no_grad()
def score_search(case: DiscoveredCircuit) -> list[Measurement]:
    """What searches are compared by: the size as it was found, and how faithful the circuit is on test prompts."""
    return [*found_sizes(case), *_scored(case, (FAITHFULNESS, ROBUSTNESS)), *losses(case)]


def _scored(case: DiscoveredCircuit, scores: Iterable[Score]) -> list[Measurement]:
    return [row for score in scores for row in score.rows(case)]
