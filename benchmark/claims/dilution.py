"""Does bracket depth dilute with length? A list grows until the model forgets how many brackets are open."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer

from benchmark import metrics
from benchmark.model.interface import CircuitModel, unedited
from benchmark.tasks import Task
from benchmark.tasks.answers import answer_logits
from benchmark.tasks.brackets import list_of
from benchmark.tasks.prompts import PromptBatch, prompts

FEWEST = 3
"""Number of elements of the shortest list; each list has twice as many as the one before."""

ANSWERS = ("]\n", "]]\n")
"""The tokens that close a flat list and a nested one."""


@dataclass(frozen=True)
class DilutionPoint:
    """How surely a model closes lists of one length.

    Attributes:
        elements: Numbers in the list.
        tokens: Tokens of the longest prompt.
        flat: Probability of the right one of the two answers after a flat list, mean over prompts.
        nested: The same after a nested list.
        separation: Change in the logit difference of the two answers from flat to nested lists, nats: what the model
            knows about the depth, whichever answer it favours.
    """

    elements: int
    tokens: int
    flat: float
    nested: float
    separation: float


def list_prompts(
    tokenizer: Tokenizer, context: int, pairs: int, seed: int, beginning: int | None = None
) -> dict[int, PromptBatch]:
    """Flat and nested lists, by number of elements, as long as they fit the context.

    `sizes = [3, 5, 8` -> `]` and `sizes = [[3, 5, 8` -> `]]`, as in the task `bracket_counting`.

    Each length has `pairs` lists of each kind; the longest prompt has at most `context` tokens. All begin
    with the token `beginning` if there is one.

    Raises:
        ValueError: If an answer is not a single token of this tokenizer.
    """
    found: dict[int, PromptBatch] = {}
    elements = FEWEST
    while True:
        task = Task(f"a list of {elements}", "How many brackets are open.", list_of(elements), ANSWERS)
        batch = prompts(task, tokenizer, "test", pairs, seed, max_tokens=4 * context, beginning=beginning)
        if batch.tokens.shape[1] > context:
            return found
        found[elements] = batch
        elements *= 2


@torch.no_grad()
def dilution_curve(model: CircuitModel, batches: Mapping[int, PromptBatch]) -> list[DilutionPoint]:
    """How surely a model closes lists of each length; the first prompt of each pair is flat, the second nested."""
    points = []
    for elements, batch in sorted(batches.items()):
        asked = (answer_logits(model, batch, unedited), batch.answer, batch.other)
        flat, nested = np.exp(-metrics.prompt_losses(*asked)).reshape(-1, 2).mean(axis=0)
        separation = metrics.logit_difference(*asked).reshape(-1, 2).sum(axis=1).mean()
        points.append(DilutionPoint(elements, int(batch.last.max()) + 1, float(flat), float(nested), float(separation)))
    return points
