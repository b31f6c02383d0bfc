"""Ranks nodes by a learned mask.

Gao et al. 2025 (arXiv 2511.13653) appendix A.5: a parameter in [-1, 1] per node, with a step function in the forward
pass and the derivative of a sigmoid in the backward pass; the loss is the task loss plus a coefficient times the number
of nodes kept.

With fixed coefficients, which the paper tunes for every task with CARBS, a small budget ends far from the target loss:
either nearly all nodes are kept or the task is not done. By default the coefficient is therefore adapted as a Lagrange
multiplier is: it grows while the task loss is below the target and shrinks while it is above, so that the whole budget
is spent where the cut will be made. Large budgets learn several such masks, from different noise: circuits that are
shrunk from the best of several starts vary less, and reach the target more often, than those from one mask that was
learned for longer.

Nodes with equal parameters are ranked by their running mean.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.discovery.search import Budget, Search
from benchmark.interventions.ablation import interpolate
from benchmark.model.circuit import by_site
from benchmark.tasks.answers import answer_logits, prompt_losses
from benchmark.tasks.prompts import PromptBatch

INITIAL_COEFFICIENT = 1e-3
"""Coefficient with which an adapted penalty starts, nats per kept node."""

MASK_TOKENS = 80_000
"""Fewest tokens per mask, if several are learned with an adapted penalty. Twice as many learn two masks, not one for
longer."""

ADAPTATION = 1.05
"""Factor by which the coefficient grows or shrinks in a step."""


@dataclass
class Penalty:
    """The penalty per kept node: fixed, or adapted until the task loss is at the target.

    Attributes:
        target: Task loss towards which it is adapted, nats; `None` leaves it as it is.
        coefficient: The penalty, nats per kept node.
        loss: Running mean of the task loss.
    """

    target: float | None
    coefficient: float = INITIAL_COEFFICIENT
    loss: float | None = None

    def adapt(self, loss: float) -> None:
        """Make the penalty larger if the running mean of the loss is below the target, and smaller if it is above."""
        if self.target is not None:
            self.loss = loss if self.loss is None else 0.8 * self.loss + 0.2 * loss
            self.coefficient *= ADAPTATION if self.loss < self.target else 1 / ADAPTATION


def learned_orders(search: Search, budget: Budget, generator: torch.Generator) -> list[Int[Tensor, " node"]]:
    """Orders from masks with an adapted penalty, or one per fixed coefficient, with equal shares of the tokens."""
    fixed = [Penalty(None, coefficient) for coefficient in budget.coefficients]
    masks = max(1, budget.tokens // MASK_TOKENS)
    penalties = fixed or [Penalty(search.criterion.target) for _ in range(masks)]
    return [_learned_order(search, penalty, budget, len(penalties), generator) for penalty in penalties]


def _learned_order(
    search: Search, penalty: Penalty, budget: Budget, orders: int, generator: torch.Generator
) -> Int[Tensor, " node"]:
    """Learn a mask, as one of several, and rank the nodes by its parameters."""
    noise = torch.randn(search.size, generator=generator)
    mask = (budget.initial_mean + budget.initial_noise * noise).clamp(-1, 1).requires_grad_()
    running = torch.zeros(search.size)
    optimizer = torch.optim.AdamW([mask], lr=budget.learning_rate, betas=(0.9, 0.95), weight_decay=1e-3)
    share, spent = budget.tokens / orders, 0
    for batch in _minibatches(search.task.train, budget.batch_pairs, generator):
        if spent >= share:
            break
        optimizer.param_groups[0]["lr"] = budget.learning_rate * (1 - spent / share)
        spent += batch.tokens.numel()
        optimizer.zero_grad()
        soft = torch.sigmoid(mask / budget.temperature)
        step = (mask > 0).to(mask.dtype) + soft - soft.detach()
        loss = _task_loss(search, batch, step)
        (loss + penalty.coefficient * step.sum()).backward()
        penalty.adapt(loss.item())
        torch.nn.utils.clip_grad_norm_([mask], 1.0)
        optimizer.step()
        with torch.no_grad():
            mask.clamp_(-1, 1)
            running.lerp_(mask, 0.1)
    return (mask.detach() + 1e-3 * running).argsort(descending=True, stable=True)


def _task_loss(search: Search, batch: PromptBatch, kept: Float[Tensor, " node"]) -> Float[Tensor, ""]:
    """Mean task loss of the masked model, nats."""
    edit = interpolate(by_site(search.sites, kept), search.ablation_values(batch))
    return prompt_losses(answer_logits(search.model, batch, edit, alone_from=search.alone_from), batch).mean()


def _minibatches(batch: PromptBatch, pairs: int, generator: torch.Generator) -> Iterator[PromptBatch]:
    """Endless shuffled minibatches of whole pairs."""
    pairs = min(pairs, len(batch) // 2)
    while True:
        order = torch.randperm(len(batch) // 2, generator=generator)
        for chosen in order[: len(order) // pairs * pairs].split(pairs):
            yield batch.rows(torch.stack([2 * chosen, 2 * chosen + 1], dim=1).flatten())
