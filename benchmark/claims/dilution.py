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
"""Elements of the shortest list; each list has twice as many as the one before."""

ANSWERS = ("]\n", "]]\n")
"""What closes a flat list and a nested one."""


@dataclass(frozen=True)
class Point:
    """How surely a model closes lists of one length.

    Attributes:
        elements: Numbers in the list.
        tokens: Tokens of the longest prompt.
        flat: Probability of the right answer of the two after a flat list, a mean over prompts.
        nested: The same after a nested list.
        separation: How far the logit difference of the two answers moves from flat to nested lists, nats; what a model
            knows of the depth, whichever answer it leans to.
    """

    elements: int
    tokens: int
    flat: float
    nested: float
    separation: float


def list_prompts(tokenizer: Tokenizer, context: int, pairs: int, seed: int) -> dict[int, PromptBatch]:
    """Flat and nested lists, by number of elements, up to what a context holds.

    `sizes = [3, 5, 8` -> `]` and `sizes = [[3, 5, 8` -> `]]`, as in the task `bracket_counting`.

    Args:
        tokenizer: That of the corpus.
        context: The longest prompt allowed, tokens.
        pairs: How many lists of each kind and length.
        seed: Of names and numbers.

    Raises:
        ValueError: An answer is not one token to this tokenizer.
    """
    found: dict[int, PromptBatch] = {}
    elements = FEWEST
    while True:
        task = Task(f"a list of {elements}", "How many brackets are open.", list_of(elements), ANSWERS)
        batch = prompts(task, tokenizer, "test", pairs, seed, max_tokens=4 * context)
        if batch.tokens.shape[1] > context:
            return found
        found[elements] = batch
        elements *= 2


@torch.no_grad()
def dilution_curve(model: CircuitModel, batches: Mapping[int, PromptBatch]) -> list[Point]:
    """How surely a model closes lists of each length; the first prompt of each pair is flat, the second nested."""
    points = []
    for elements, batch in sorted(batches.items()):
        asked = (answer_logits(model, batch, unedited), batch.answer, batch.other)
        flat, nested = np.exp(-metrics.prompt_losses(*asked)).reshape(-1, 2).mean(axis=0)
        separation = metrics.logit_difference(*asked).reshape(-1, 2).sum(axis=1).mean()
        points.append(Point(elements, int(batch.last.max()) + 1, float(flat), float(nested), float(separation)))
    return points
