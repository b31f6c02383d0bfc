"""Does a circuit still agree with the reference model when the prompts move away from those that it was found on?

A circuit is a claim about a mechanism, and the mechanism does not end where the task's templates end. The prompts are
therefore changed step by step (`benchmark.tasks.shifts`), and the score is agreement with the reference model, which
may itself be wrong there.
"""

import torch

from benchmark import metrics
from benchmark.corpus import Corpus
from benchmark.interventions.ablation import ablate
from benchmark.model.interface import unedited
from benchmark.records.curves import CurvePoint, write_points
from benchmark.records.table import Measurement
from benchmark.scoring.case import DiscoveredCircuit
from benchmark.tasks import Task
from benchmark.tasks.answers import answer_logits, logit_difference
from benchmark.tasks.prompts import prompts
from benchmark.tasks.shifts import SHIFTS, Shift

PAIRS = 16
"""Prompt pairs at each level of a shift."""


@torch.no_grad()
def off_distribution(case: DiscoveredCircuit) -> list[Measurement]:
    """Mean agreement with the reference model over the levels of each shift beyond the first.

    The curves over all levels are saved in the folder of the circuit's cell.
    """
    task, corpus = case.task, case.corpus
    if task is None or corpus is None:
        return []
    rows, points = [], []
    for shift in _shifts(task):
        curve, stopped = _curve(case, shift, task, corpus)
        points += curve
        metric, shifted = f"agreement_{shift.name}", [point for point in curve if point.series == "agreement"][1:]
        if shifted:
            value = sum(point.value for point in shifted) / len(shifted)
            n = max(point.n for point in shifted)  # all levels change the same pairs
            rows.append(Measurement(metric, value, n=n, ablation=case.ablation))
        else:
            rows.append(case.missing(metric, stopped))
    if case.folder is not None:
        write_points(points, case.folder)
    return rows


def unscored_shifts(case: DiscoveredCircuit, reason: str) -> list[Measurement]:
    """The rows of `off_distribution`, without values for a given reason."""
    if case.task is None or case.corpus is None:
        return []
    return [case.missing(f"agreement_{shift.name}", reason) for shift in _shifts(case.task)]


def _shifts(task: Task) -> list[Shift]:
    """The shifts that concern a task."""
    return [shift for shift in SHIFTS.values() if shift.concerns(task.name)]


def _curve(case: DiscoveredCircuit, shift: Shift, task: Task, corpus: Corpus) -> tuple[list[CurvePoint], str]:
    """How often both agree and how often each is right at every level, and why the curve stops early, if it does."""
    points: list[CurvePoint] = []
    for level in shift.levels:
        try:
            shifted, longest = shift.of(task, level), corpus.config.context
            batch = prompts(
                shifted, corpus.tokenizer, "test", PAIRS, case.setting.seed, longest, beginning=corpus.beginning
            )
        except ValueError as error:  # too long for the context, or tokens that no longer fit the task
            return points, str(error)
        edit = ablate(case.circuit, case.setting.ablation_values(batch))
        whole = logit_difference(answer_logits(case.setting.reference, batch, unedited), batch)
        circuit = logit_difference(answer_logits(case.model, batch, edit), batch)
        right, circuit_right = (float((difference > 0).double().mean()) for difference in (whole, circuit))
        series = {"agreement": metrics.answer_agreement(whole, circuit), "whole": right, "circuit": circuit_right}
        points += [
            CurvePoint(shift.name, shift.unit, level, name, each, batch.clusters) for name, each in series.items()
        ]
    return points, ""
