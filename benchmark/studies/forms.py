"""The forms that count: those in which the reference models do a task, in the mean over training seeds.

A circuit explains how a model does a task, so a wording that the models have not learned would only measure noise. The
list is made once for a preset, before any circuit is discovered, and is the same for every method and seed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from benchmark.corpus import SPLITS, Corpus, Split
from benchmark.model.interface import CircuitModel, unedited
from benchmark.running.cells import Cell
from benchmark.running.config import RunConfig, with_needed
from benchmark.running.models import load_native
from benchmark.running.plan import Planner
from benchmark.running.store import Store
from benchmark.seeds import seed_of
from benchmark.tasks import Task
from benchmark.tasks.answers import answer_logits, prompt_losses
from benchmark.tasks.encoding import MAX_TOKENS
from benchmark.tasks.prompts import prompts

PAIRS_PER_FORM = 32
"""Prompt pairs on which each form is judged."""


@dataclass(frozen=True)
class FormLoss:
    """How well the references do a task in one form.

    Attributes:
        task: The task.
        form: The form.
        split: The split that the form belongs to.
        losses: Task loss of each reference, nats, in the mean over seeds.
    """

    task: str
    form: str
    split: Split
    losses: Mapping[str, float]

    def counts(self, target: float) -> bool:
        """Whether every reference reaches the target."""
        return all(loss <= target for loss in self.losses.values())


def model_cells(run: RunConfig) -> list[Cell]:
    """The cells of the corpus and of the models of a run, each after those that it needs."""
    planner = Planner(run)
    names = list(dict.fromkeys(far for near in run.methods for far in with_needed(near)))
    return [planner.corpus, *(planner.train(name, seed) for name in names for seed in run.seeds)]


def form_losses(run: RunConfig, store: Store, told: Callable[[str], None]) -> Iterator[FormLoss]:
    """How well the methods of a run do every form of its tasks, all of them and not only those that count.

    Args:
        run: The settings; its methods are the references.
        store: Contains the artifacts of `model_cells`.
        told: Called with the name of each task before its prompts are run.
    """
    planner = Planner(run)
    corpus = Corpus.load(store.artifact(planner.corpus.key))
    models = {
        method: [
            load_native(method, {name: store.artifact(planner.train(name, seed).key) for name in with_needed(method)})
            for seed in run.seeds
        ]
        for method in run.methods
    }
    for name in run.tasks:
        told(name)
        task = run.task(name)
        for split in SPLITS if task.all_forms else ():
            yield from _of_split(task, split, corpus, models)


def counted_forms(losses: Sequence[FormLoss], target: float) -> dict[str, list[str]]:
    """The forms that count, by task.

    A task of which every form counts is absent, and so is one of which no form of some split does: its circuits would
    have to be learned, cut or reported on wordings that the references do not do, so it is posed in all of its forms
    and is not a reference task.

    Args:
        losses: How well the references do each form.
        target: The loss that both have to reach, nats.
    """
    counted: dict[str, list[str]] = {}
    for task in dict.fromkeys(each.task for each in losses):
        forms = [each for each in losses if each.task == task]
        chosen = [each for each in forms if each.counts(target)]
        if len(chosen) < len(forms) and {each.split for each in chosen} == {each.split for each in forms}:
            counted[task] = [each.form for each in chosen]
    return counted


@torch.no_grad()
def _of_split(
    task: Task, split: Split, corpus: Corpus, models: Mapping[str, Sequence[CircuitModel]]
) -> Iterator[FormLoss]:
    pairs, seed = PAIRS_PER_FORM * len(task.forms_of(split)), seed_of("forms", task.name, split)
    pairs, longest = min(pairs, task.listed(split) or pairs), min(MAX_TOKENS, corpus.config.context)
    batch = prompts(task, corpus.tokenizer, split, pairs, seed, longest, corpus.beginning)
    losses = {
        method: torch.stack([prompt_losses(answer_logits(model, batch, unedited), batch) for model in each]).mean(0)
        for method, each in models.items()
    }
    for form in task.forms_of(split):
        here = batch.form == batch.forms.index(form.name)
        means = {method: float(loss[here].mean()) for method, loss in losses.items()}
        yield FormLoss(task.name, form.name, split, means)
