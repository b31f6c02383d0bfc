"""How faithful each method's circuits are under each ablation, and whether that changes who is ahead."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from benchmark.leaderboard.ranking import Board, EntryKey, aggregated
from benchmark.metrics.registry import METRICS, SHIFTED
from benchmark.studies.compare import values

UNDER = ("mean", "position_mean", "resample", "counterfactual", "stochastic", "zero", "adversarial")
"""The ablations, in the order of the table."""


@dataclass(frozen=True)
class Under:
    """One score of all methods.

    Attributes:
        name: The ablation, `least of four`, or the shift.
        scores: By place, over tasks and seeds, as the metric is aggregated; places without one are left out.
        tau: Kendall's rank correlation with the order under the finder's own ablation; `nan` below two methods.
    """

    name: str
    scores: Mapping[EntryKey, float]
    tau: float


def under_ablations(board: Board) -> list[Under]:
    """Faithfulness of circuits under each ablation, ranked places of the unit graph alone.

    Args:
        board: The rows of a preset.
    """
    places = ranked(board)
    found = {name: {place: _faithfulness(board, place, name) for place in places} for name in UNDER}
    found["least of four"] = {place: _over_circuits(board, place, "robust_faithfulness") for place in places}
    return [Under(name, _known(scores), kendall(found[board.rules.ablation], scores)) for name, scores in found.items()]


def under_shifts(board: Board) -> list[Under]:
    """Agreement of circuits with their whole models under each shift of the prompts."""
    places = ranked(board)
    baseline = {place: _over_circuits(board, place, "faithfulness") for place in places}
    found = {name: {place: _over_circuits(board, place, f"agreement_{name}") for place in places} for name in SHIFTED}
    return [Under(name, _known(scores), kendall(baseline, scores)) for name, scores in found.items()]


def ranked(board: Board) -> list[EntryKey]:
    """The places that are ranked, by name."""
    return [place for place in board.places if place.graph == "unit" and not board.why_unranked(place)]


def kendall(first: Mapping[EntryKey, float], second: Mapping[EntryKey, float]) -> float:
    """Kendall's tau-b of two scores over the places that have both; `nan` where there are fewer than two."""
    scores = pd.DataFrame([(first[place], second.get(place, math.nan)) for place in first], columns=["first", "second"])
    return float(scores["first"].corr(scores["second"], method="kendall", min_periods=2))


def _faithfulness(board: Board, place: EntryKey, ablation: str) -> float:
    """Over the circuits of a place that count; under the finder's own ablation that of the circuit itself."""
    if ablation == board.rules.ablation:
        return _over_circuits(board, place, "faithfulness")
    rows = [
        row.value
        for row in board.records
        if (row.metric, row.ablation, row.status) == ("faithfulness", ablation, "ok")
        and (row.method, row.variant, row.graph) == tuple(place)
        and row.ranking == board.rules.ranking
        and row.task not in board.listed
        and row.target_loss is not None
        and math.isclose(row.target_loss, board.rules.target_loss)
    ]
    return _aggregated("faithfulness", rows)


def _over_circuits(board: Board, place: EntryKey, metric: str) -> float:
    return _aggregated(metric, values(board, place, metric)["value"])


def _aggregated(metric: str, values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return aggregated(known, METRICS[metric].aggregate) if known else math.nan


def _known(scores: Mapping[EntryKey, float]) -> dict[EntryKey, float]:
    return {place: score for place, score in scores.items() if not math.isnan(score)}
