"""Faithfulness of each method's circuits under each ablation, and whether the ablation changes the order of methods."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.leaderboard.ranking import Board, EntryKey, aggregated
from benchmark.metrics.registry import METRICS, SHIFTED
from benchmark.studies.compare import values

ABLATIONS = ("mean", "position_mean", "resample", "counterfactual", "stochastic", "zero", "adversarial")
"""The ablations, in the order of the table."""

Scores = Mapping[EntryKey, float]
"""A score of each method over its tasks and seeds; `nan` for a method without one."""


@dataclass(frozen=True)
class Under:
    """One score of all methods.

    Attributes:
        name: The ablation, `least of four`, or the shift of the prompts.
        scores: By method, over tasks and seeds, aggregated as the metric declares; methods without one are left out.
        tau: Kendall's rank correlation with the order under the ablation used in circuit discovery; `nan` below two
            methods.
    """

    name: str
    scores: Scores
    tau: float


def under_ablations(board: Board) -> list[Under]:
    """Faithfulness of circuits under each ablation, for the methods ranked in the unit graph."""
    places = _ranked(board)
    found = {name: {place: _faithfulness(board, place, name) for place in places} for name in ABLATIONS}
    found["least of four"] = {place: _over_circuits(board, place, "robust_faithfulness") for place in places}
    return _compared(found, found[board.rules.ablation])


def under_shifts(board: Board) -> list[Under]:
    """Agreement of circuits with their whole models under each shift of the prompts."""
    places = _ranked(board)
    found = {name: {place: _over_circuits(board, place, f"agreement_{name}") for place in places} for name in SHIFTED}
    return _compared(found, {place: _over_circuits(board, place, "faithfulness") for place in places})


def kendall(first: Scores, second: Scores) -> float:
    """Kendall's tau-b of two scores over the methods that have both; `nan` below two methods."""
    scores = pd.DataFrame([(first[place], second.get(place, math.nan)) for place in first], columns=["first", "second"])
    return float(scores["first"].corr(scores["second"], method="kendall", min_periods=2))


def _ranked(board: Board) -> list[EntryKey]:
    return [place for place in board.places if place.graph == "unit" and not board.why_unranked(place)]


def _compared(found: Mapping[str, Scores], baseline: Scores) -> list[Under]:
    known = {name: {place: each for place, each in of.items() if not math.isnan(each)} for name, of in found.items()}
    return [Under(name, known[name], kendall(baseline, scores)) for name, scores in found.items()]


def faithfulness_under(board: Board, place: EntryKey, ablation: str) -> dict[tuple[str, int | None], float]:
    """Faithfulness of the circuits of a method that count, by task and seed.

    Under the ablation used in discovery, it is that of the circuit itself.
    """
    if ablation == board.rules.ablation:
        rows = list(board.reached(place, "faithfulness").values())
    else:
        rows = [
            row
            for row in board.records
            if (row.metric, row.ablation, row.status) == ("faithfulness", ablation, "ok")
            and (row.method, row.variant, row.graph) == tuple(place)
            and row.ranking == board.rules.ranking
            and row.task not in board.listed
            and row.target_loss is not None
            and math.isclose(row.target_loss, board.rules.target_loss)
        ]
    return {(row.task, row.seed): row.value for row in rows if row.value is not None}


def _faithfulness(board: Board, place: EntryKey, ablation: str) -> float:
    return _aggregated("faithfulness", list(faithfulness_under(board, place, ablation).values()))


def _over_circuits(board: Board, place: EntryKey, metric: str) -> float:
    return _aggregated(metric, values(board, place, metric)["value"].tolist())


def _aggregated(metric: str, values: Sequence[float]) -> float:
    return aggregated(values, METRICS[metric].aggregate) if values else math.nan
