"""Does a circuit still answer as the whole model does when the prompts leave those that it was found on?

A circuit is a claim about a mechanism, and the mechanism does not end where the task's templates end; so the prompts
are changed step by step (`benchmark.tasks.shifts`), and what counts is agreement with the model that is explained,
which may well be wrong there, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from benchmark import metrics
from benchmark.interventions.ablation import ablate
from benchmark.model.circuit import Circuit
from benchmark.model.interface import unedited
from benchmark.records.curves import CurvePoint, write_points
from benchmark.records.table import Measurement
from benchmark.scoring.case import DiscoveredCircuit, Setting
from benchmark.tasks import Task
from benchmark.tasks.answers import answer_logits, logit_difference
from benchmark.tasks.prompts import PromptBatch, prompts
from benchmark.tasks.shifts import SHIFTS, Shift

PAIRS = 16
"""Prompt pairs at each level of a shift."""


@dataclass(frozen=True)
class Agreement:
    """How a circuit stands to the model that it explains, at one level of a shift.

    Attributes:
        level: Of the shift.
        agreement: Share of prompts on which both prefer the same answer.
        whole: Share that the model that is explained answers rightly.
        circuit: Share that the circuit answers rightly.
        pairs: How many of the pairs of prompts are distinct.
    """

    level: int
    agreement: float
    whole: float
    circuit: float
    pairs: int


@dataclass(frozen=True)
class Curve:
    """A shift, level by level.

    Attributes:
        shift: The shift.
        levels: Where circuits are found, then farther and farther away.
        stopped: Why there are no more; empty if all were tried.
    """

    shift: Shift
    levels: tuple[Agreement, ...]
    stopped: str


def off_distribution(case: DiscoveredCircuit) -> list[Measurement]:
    """Agreement with the reference model off the task's prompts; a circuit that counts leaves curves in its folder."""
    task, corpus = case.task, case.corpus
    if task is None or corpus is None:
        return []
    if case.status[0] != "ok":
        names = [f"agreement_{shift.name}" for shift in SHIFTS.values() if shift.concerns(task.name)]
        return [case.missing(name, *reversed(case.status)) for name in names]
    curves = shift_curves(case.setting, case.circuit, task, corpus.tokenizer, corpus.config.context)
    if case.folder is not None:
        write_points(agreement_points(curves), case.folder)
    return list(agreement_measurements(curves, case.ablation))


@torch.no_grad()
def shift_curves(setting: Setting, circuit: Circuit, task: Task, tokenizer: Tokenizer, context: int) -> list[Curve]:
    """The curve of each shift that concerns a task.

    Args:
        setting: What the circuit was found in.
        circuit: The circuit.
        task: Its task.
        tokenizer: That of the corpus.
        context: The longest prompt that the models take, tokens.
    """
    return [
        _curve(setting, circuit, task, each, tokenizer, context) for each in SHIFTS.values() if each.concerns(task.name)
    ]


def _curve(setting: Setting, circuit: Circuit, task: Task, shift: Shift, tokenizer: Tokenizer, context: int) -> Curve:
    levels: list[Agreement] = []
    for level in shift.levels:
        try:
            batch = prompts(shift.of(task, level), tokenizer, "test", PAIRS, setting.seed, context)
        except ValueError as error:  # too long for the context, or tokens that no longer fit the task
            return Curve(shift, tuple(levels), str(error))
        levels.append(_agreement(setting, circuit, level, batch))
    return Curve(shift, tuple(levels), "")


def _agreement(setting: Setting, circuit: Circuit, level: int, batch: PromptBatch) -> Agreement:
    edit = ablate(circuit, setting.held_on(batch))
    whole = logit_difference(answer_logits(setting.explained, batch, unedited), batch)
    found = logit_difference(answer_logits(setting.model, batch, edit), batch)
    return Agreement(
        level=level,
        agreement=metrics.answer_agreement(whole, found),
        whole=float((whole > 0).double().mean()),
        circuit=float((found > 0).double().mean()),
        pairs=batch.clusters,
    )


def agreement_measurements(curves: list[Curve], ablation: str) -> Iterator[Measurement]:
    """Mean agreement over the levels of each shift beyond the first, or why there is none.

    All levels change the same pairs, so that there are no more clusters than at one of them.
    """
    for curve in curves:
        name, shifted = f"agreement_{curve.shift.name}", curve.levels[1:]
        if shifted:
            value = sum(each.agreement for each in shifted) / len(shifted)
            yield Measurement(name, value, n=max(each.pairs for each in shifted), ablation=ablation)
        else:
            yield Measurement(name, status="undefined", reason=curve.stopped, ablation=ablation)


def agreement_points(curves: list[Curve]) -> Iterator[CurvePoint]:
    """The curves themselves: agreement, and how often each of the two is right."""
    for curve in curves:
        for each in curve.levels:
            for series in ("agreement", "whole", "circuit"):
                yield CurvePoint(
                    curve.shift.name, curve.shift.unit, each.level, series, getattr(each, series), each.pairs
                )
