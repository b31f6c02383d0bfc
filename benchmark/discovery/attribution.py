"""Ranks nodes by the first-order effect of ablating them (attribution patching, Nanda 2023)."""

import torch
from jaxtyping import Int
from torch import Tensor

from benchmark.discovery.search import Budget, Search
from benchmark.model.interface import Site
from benchmark.tasks.answers import answer_logits, logit_difference


def attribution_orders(search: Search, budget: Budget, generator: torch.Generator) -> list[Int[Tensor, " node"]]:
    """One order: nodes by the first-order effect of ablating them on the logit difference.

    Mean over prompts of |sum over positions of (value - what it holds when ablated) times gradient|, over as many
    train prompts as the budget pays for.
    """
    pairs = max(1, min(len(search.task.train), budget.tokens // search.task.train.tokens.shape[1]) // 2)
    batch = search.task.train.rows(torch.arange(2 * pairs))
    seen: dict[str, Tensor] = {}

    def watch(site: Site, values: Tensor) -> Tensor:
        if site not in search.sites:
            return values
        seen[site.name] = values if values.requires_grad else values.requires_grad_()
        return seen[site.name]

    with torch.enable_grad():
        total = logit_difference(answer_logits(search.model, batch, watch), batch).sum()
        gradients = torch.autograd.grad(total, list(seen.values()), allow_unused=True, materialize_grads=True)
    held = search.held_on(batch)
    scores = [
        ((seen[site.name] - held(site, seen[site.name])) * gradient).sum(1).abs().mean(0).detach()
        for site, gradient in zip((site for site in search.sites if site.name in seen), gradients, strict=True)
    ]
    return [torch.cat(scores).argsort(descending=True, stable=True)]
