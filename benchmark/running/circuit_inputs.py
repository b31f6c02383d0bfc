"""What a circuit's cell works with: the prompts of its task, and the means of its model's nodes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor

from benchmark.corpus import Corpus, Split
from benchmark.discovery.settings import CircuitConfig
from benchmark.files import check_shapes, read_tensors
from benchmark.model.interface import CircuitModel
from benchmark.running.models import Inputs
from benchmark.running.posing import drawing, in_forms
from benchmark.tasks import TASKS, Task
from benchmark.tasks.listed import read_listed
from benchmark.tasks.prompts import PromptBatch, TaskPrompts, prompts

Params = Mapping[str, Any]


def scored_task(params: Params, inputs: Inputs, config: CircuitConfig) -> Task:
    """The task of a cell in the forms that count, one of them held out for testing if the settings say so."""
    known = read_listed(inputs["task"]) if "task" in inputs else TASKS.named(params["task"])
    return in_forms(known, config)


def task_prompts(task: Task, corpus: Corpus, config: CircuitConfig, seed: int) -> TaskPrompts:
    """The prompts of a task, which are the same for every method."""
    return drawn_prompts(task, corpus.tokenizer, corpus.config.context, config, seed, corpus.beginning)


def drawn_prompts(
    task: Task, tokenizer: Tokenizer, context: int, config: CircuitConfig, seed: int, beginning: int | None = None
) -> TaskPrompts:
    """Prompts of a task for a model with this tokenizer, context and first token, the same for the same seed."""

    def drawn(split: Split) -> PromptBatch:
        return _of_split(task, split, tokenizer, context, config, seed, beginning)

    return TaskPrompts(train=drawn("train"), validation=drawn("validation"), test=drawn("test"), task=task.name)


def prompts_of_split(task: Task, split: Split, corpus: Corpus, config: CircuitConfig, seed: int) -> PromptBatch:
    """The prompts of one split of a task, as `task_prompts` draws them."""
    return _of_split(task, split, corpus.tokenizer, corpus.config.context, config, seed, corpus.beginning)


def _of_split(
    task: Task,
    split: Split,
    tokenizer: Tokenizer,
    context: int,
    config: CircuitConfig,
    seed: int,
    beginning: int | None,
) -> PromptBatch:
    return prompts(task, tokenizer, split, *drawing(task, split, config, context, seed), beginning)


def means_of(model: CircuitModel, profile: Path) -> dict[str, Tensor]:
    """The mean of each node in a profile; `CorruptFileError` if it is the profile of another model."""
    return read_tensors(profile / "means.safetensors", {site.name: (site.size,) for site in model.sites})


def position_means_of(model: CircuitModel, profile: Path) -> dict[str, Tensor]:
    """The mean of each node in each octave; `CorruptFileError` if it is the profile of another model."""
    path = profile / "position_means.safetensors"
    found = read_tensors(path)
    octaves = next((len(means) for means in found.values() if means.dim()), 0)
    shapes = {site.name: (octaves, site.size) for site in model.sites}
    check_shapes(path, {name: means.shape for name, means in found.items()}, shapes)
    return found
