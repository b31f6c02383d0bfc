"""A model's answers to the prompts of a task: logits at the last position, their difference, and the loss."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.model.interface import CircuitModel, EdgeAblation, Edit, begin, forward, run_stages, state_at
from benchmark.tasks.prompts import PromptBatch


def answer_logits(
    model: CircuitModel,
    batch: PromptBatch,
    edit: Edit,
    ablated_edges: EdgeAblation | None = None,
    alone_from: int | None = None,
) -> Float[Tensor, "prompt vocab"]:
    """Logits at the last position of each prompt.

    Args:
        model: Any circuit model.
        batch: The prompts.
        edit: Called at every site.
        ablated_edges: Edges that carry their sources' means.
        alone_from: The stage from which on only the positions of the answers are run; `None` if all are. The model has
            to allow it (`independent_from`), and `edit` to do the same at all positions from there on.
    """
    if alone_from is None:
        return forward(model, batch.tokens, edit, batch.positions, ablated_edges=ablated_edges)[:, 0]
    state = run_stages(model, begin(model, batch.tokens), edit, last=alone_from, ablated_edges=ablated_edges)
    alone = state_at(state, batch.positions)
    return forward(model, batch.tokens, edit, None, alone, alone_from, ablated_edges)[:, 0]


def logit_difference(logits: Float[Tensor, "prompt vocab"], batch: PromptBatch) -> Float[Tensor, " prompt"]:
    """Logit of the answer minus that of the alternative, per prompt; on the CPU in float32."""
    tokens = torch.stack([batch.answer, batch.other], dim=1).to(logits.device)
    answer, other = logits.gather(1, tokens).float().cpu().unbind(1)
    return answer - other


def first_answer_difference(logits: Float[Tensor, "prompt vocab"], batch: PromptBatch) -> Float[Tensor, " prompt"]:
    """Logit of the answer to each pair's first prompt minus that to its second, nats."""
    return pair_signs(len(batch)) * logit_difference(logits, batch)


def pair_signs(prompts: int) -> Float[Tensor, " prompt"]:
    """1 for the first prompt of each pair, -1 for the second."""
    signs = torch.ones(prompts)
    signs[1::2] = -1
    return signs


def partners(prompts: int) -> Int[Tensor, " prompt"]:
    """Row of the other prompt in each prompt's pair."""
    return torch.arange(prompts) ^ 1


def prompt_losses(logits: Float[Tensor, "prompt vocab"], batch: PromptBatch) -> Float[Tensor, " prompt"]:
    """Two-way cross entropy of each prompt, nats; `benchmark.metrics.task_loss` is its mean."""
    return torch.nn.functional.softplus(-logit_difference(logits, batch))
