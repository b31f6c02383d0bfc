"""Ranks nodes by the first-order effect of ablating them (attribution patching, Nanda 2023)."""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from benchmark.discovery.edge_trials import EdgeTrials
from benchmark.discovery.search import Budget, Search
from benchmark.discovery.spending import Spending
from benchmark.interventions.gradients import values_and_gradients
from benchmark.model.interface import Site
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

    def difference(track: Callable[[str, Tensor], Tensor]) -> Tensor:
        def watch(site: Site, values: Tensor) -> Tensor:
            return track(site.name, values) if site in search.sites else values

        return logit_difference(answer_logits(search.model, batch, watch), batch).sum()

    found = values_and_gradients(difference)
    ablated = search.ablation_values(batch)
    scores = [
        ((values - ablated(site, values).to(values)) * gradient).sum(1).abs().mean(0).float().cpu()
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
