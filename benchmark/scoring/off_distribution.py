"""Does a circuit still answer as the whole model does when the prompts leave those that it was found on?

A circuit is a claim about a mechanism, and the mechanism does not end where the task's templates end; so the prompts
are changed step by step (`benchmark.tasks.shifts`), and what counts is agreement with the reference model,
which may well be wrong there, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True)
class ShiftAgreement:
    """How a circuit compares with the reference model at one level of a shift.

    Attributes:
        agreement: Share of prompts on which both prefer the same answer.
        whole: Share that the reference model answers correctly.
        circuit: Share that the circuit answers correctly.
        pairs: How many of the pairs of prompts are distinct.
    """

    level: int
    agreement: float
    whole: float
    circuit: float
    pairs: int


@dataclass(frozen=True)
class Curve:
    """A shift, level by level away from where circuits are found; `stopped` says why not all levels were tried."""

    shift: Shift
    levels: tuple[ShiftAgreement, ...]
    stopped: str


@torch.no_grad()
def off_distribution(case: DiscoveredCircuit) -> list[Measurement]:
    """Agreement with the reference model off the task's prompts; a circuit that counts leaves curves in its folder."""
    task, corpus = case.task, case.corpus
    if task is None or corpus is None:
        return []
    shifts = [shift for shift in SHIFTS.values() if shift.concerns(task.name)]
    if case.status[0] != "ok":
        return [case.missing(f"agreement_{shift.name}", *reversed(case.status)) for shift in shifts]
    curves = [_curve(case, shift, task, corpus) for shift in shifts]
    if case.folder is not None:
        write_points(_points(curves), case.folder)
    return [_measured(curve, case.ablation) for curve in curves]


def _curve(case: DiscoveredCircuit, shift: Shift, task: Task, corpus: Corpus) -> Curve:
    levels: list[ShiftAgreement] = []
    seed, context = case.setting.seed, corpus.config.context
    for level in shift.levels:
        try:
            batch = prompts(shift.of(task, level), corpus.tokenizer, "test", PAIRS, seed, context)
        except ValueError as error:  # too long for the context, or tokens that no longer fit the task
            return Curve(shift, tuple(levels), str(error))
        edit = ablate(case.circuit, case.setting.ablation_values(batch))
        whole = logit_difference(answer_logits(case.setting.reference, batch, unedited), batch)
        circuit = logit_difference(answer_logits(case.model, batch, edit), batch)
        right, circuit_right = (float((difference > 0).double().mean()) for difference in (whole, circuit))
        agreement = metrics.answer_agreement(whole, circuit)
        levels.append(ShiftAgreement(level, agreement, right, circuit_right, batch.clusters))
    return Curve(shift, tuple(levels), "")


def _measured(curve: Curve, ablation: str) -> Measurement:
    """Mean agreement over the levels of a shift beyond the first, or why there is none.

    All levels change the same pairs, so that there are no more clusters than at one of them.
    """
    name, shifted = f"agreement_{curve.shift.name}", curve.levels[1:]
    if not shifted:
        return Measurement(name, status="undefined", reason=curve.stopped, ablation=ablation)
    value = sum(each.agreement for each in shifted) / len(shifted)
    return Measurement(name, value, n=max(each.pairs for each in shifted), ablation=ablation)


def _points(curves: list[Curve]) -> Iterator[CurvePoint]:
    """The curves themselves: agreement, and how often each of the two is right."""
    for curve in curves:
        for each in curve.levels:
            for series in ("agreement", "whole", "circuit"):
                yield CurvePoint(
                    curve.shift.name, curve.shift.unit, each.level, series, getattr(each, series), each.pairs
                )
