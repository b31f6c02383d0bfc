"""Ranks nodes by a learned mask.

Gao et al. 2025 (arXiv 2511.13653) appendix A.5: a parameter in [-1, 1] per node, with a step function in the forward
pass and the derivative of a sigmoid in the backward pass; the loss is the task loss plus a coefficient times the number
of nodes kept.

Deviations: coefficients come from a fixed list instead of CARBS, since every method gets the same small number of
tokens; nodes with equal parameters are ranked by their running mean.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.discovery.search import Budget, Search
from benchmark.interventions.ablation import interpolate
from benchmark.model.circuit import by_site
from benchmark.tasks.answers import answer_logits, prompt_losses
from benchmark.tasks.prompts import PromptBatch


def learned_orders(search: Search, budget: Budget, generator: torch.Generator) -> list[Int[Tensor, " node"]]:
    """The order given by each coefficient, with an equal share of the tokens for each."""
    return [_learned_order(search, coefficient, budget, generator) for coefficient in budget.coefficients]


def _learned_order(
    search: Search, coefficient: float, budget: Budget, generator: torch.Generator
) -> Int[Tensor, " node"]:
    """Learn a mask and rank the nodes by its parameters."""
    noise = torch.randn(search.size, generator=generator)
    mask = (budget.initial_mean + budget.initial_noise * noise).clamp(-1, 1).requires_grad_()
    running = torch.zeros(search.size)
    optimizer = torch.optim.AdamW([mask], lr=budget.learning_rate, betas=(0.9, 0.95), weight_decay=1e-3)
    share, spent = budget.tokens / len(budget.coefficients), 0
    for batch in _minibatches(search.task.train, budget.batch_pairs, generator):
        if spent >= share:
            break
        optimizer.param_groups[0]["lr"] = budget.learning_rate * (1 - spent / share)
        spent += batch.tokens.numel()
        optimizer.zero_grad()
        _mask_loss(search, batch, mask, coefficient, budget.temperature).backward()
        torch.nn.utils.clip_grad_norm_([mask], 1.0)
        optimizer.step()
        with torch.no_grad():
            mask.clamp_(-1, 1)
            running.lerp_(mask, 0.1)
    return (mask.detach() + 1e-3 * running).argsort(descending=True, stable=True)


def _mask_loss(
    search: Search, batch: PromptBatch, mask: Tensor, coefficient: float, temperature: float
) -> Float[Tensor, ""]:
    """Task loss of the masked model plus the penalty on the nodes kept."""
    soft = torch.sigmoid(mask / temperature)
    step = (mask > 0).to(mask.dtype) + soft - soft.detach()
    edit = interpolate(by_site(search.sites, step), search.ablation_values(batch))
    return prompt_losses(answer_logits(search.model, batch, edit), batch).mean() + coefficient * step.sum()


def _minibatches(batch: PromptBatch, pairs: int, generator: torch.Generator) -> Iterator[PromptBatch]:
    """Endless shuffled minibatches of whole pairs."""
    pairs = min(pairs, len(batch) // 2)
    while True:
        order = torch.randperm(len(batch) // 2, generator=generator)
        for chosen in order[: len(order) // pairs * pairs].split(pairs):
            yield batch.rows(torch.stack([2 * chosen, 2 * chosen + 1], dim=1).flatten())
