"""Ranks nodes by the first-order effect of ablating them (attribution patching, Nanda 2023)."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.discovery.edge_trials import EdgeTrials
from benchmark.discovery.search import Budget, Search
from benchmark.discovery.spending import Spending
from benchmark.model.interface import Edit, Site
from benchmark.tasks.answers import answer_logits, logit_difference

STEPS = 10
"""Steps of integrated gradients."""


def attribution_orders(search: Search, budget: Budget, generator: torch.Generator) -> list[Int[Tensor, " node"]]:
    """One order: nodes by the first-order effect of ablating them on the logit difference.

    Mean over prompts of |sum over positions of (value - ablation value) times gradient|, over as many training prompts
    as the budget allows.
    """
    pairs = max(1, min(len(search.task.train), budget.tokens // search.task.train.tokens.shape[1]) // 2)
    batch = search.task.train.rows(torch.arange(2 * pairs))
    found = values_and_gradients(
        search.sites, lambda watch: logit_difference(answer_logits(search.model, batch, watch), batch).sum()
    )
    ablated = search.ablation_values(batch)
    scores = [
        ((values - ablated(site, values)) * gradient).sum(1).abs().mean(0)
        for site, values, gradient in ((site, *found[site.name]) for site in search.sites if site.name in found)
    ]
    return [torch.cat(scores).argsort(descending=True, stable=True)]


def integrated_orders(search: Search, budget: Budget, generator: torch.Generator) -> list[Int[Tensor, " node"]]:
    """One order: nodes by their integrated effect on the task loss, over as many train prompts as the budget allows."""
    pairs = max(1, min(len(search.task.train), budget.tokens // STEPS // search.task.train.tokens.shape[1]) // 2)
    train = replace(search.trials(budget.tokens), batch=search.task.train.rows(slice(2 * pairs)), spending=Spending())
    return [train.integrated_effects(STEPS).argsort(stable=True)]


def integrated_edge_order(trials: EdgeTrials) -> Int[Tensor, " edge"]:
    """The edges of a circuit by the size of their integrated effect on the task loss, as in EAP-IG."""
    return trials.integrated_effects(STEPS).abs().argsort(descending=True, stable=True)


def values_and_gradients(
    sites: Sequence[Site], number: Callable[[Edit], Float[Tensor, ""]]
) -> dict[str, tuple[Float[Tensor, "_ _ _"], Float[Tensor, "_ _ _"]]]:
    """Values at some sites, and the gradient there of the scalar that `number` computes under a given edit."""
    seen: dict[str, Tensor] = {}

    def watch(site: Site, values: Tensor) -> Tensor:
        if site not in sites:
            return values
        seen[site.name] = values if values.requires_grad else values.requires_grad_()
        return seen[site.name]

    with torch.enable_grad():
        result = number(watch)
        if not result.requires_grad:  # it depends on no site
            return {name: (values.detach(), torch.zeros_like(values)) for name, values in seen.items()}
        gradients = torch.autograd.grad(result, list(seen.values()), allow_unused=True, materialize_grads=True)
    return {name: (values.detach(), gradient) for (name, values), gradient in zip(seen.items(), gradients, strict=True)}
