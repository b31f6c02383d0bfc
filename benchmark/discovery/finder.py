"""The one circuit finder: rank the nodes of a model for a task, then keep the fewest with which it still does the task.

Gao et al. 2025 (arXiv 2511.13653) appendix A.5, in four steps:

1. *Rank.* A parameter in [-1, 1] a node, a step function forward and the derivative of a sigmoid backward; the loss is
   the task loss plus a coefficient times the nodes kept; a small search over coefficients shares one token budget.
2. *Bisect.* The fewest top-ranked nodes whose loss on validation prompts is at most the target.
3. *Calibrate.* A scale and a shift of the logit difference, reported apart.
4. *Report* on test prompts (in `benchmark.scoring.score_circuit`).

Deviations: coefficients come from a fixed list instead of CARBS, since every method gets the same few tokens; nodes
whose parameters tie are ranked by their running mean.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.interventions.ablation import Held, HeldOn, Means, ablate, at_means
from benchmark.model.circuit import Circuit, by_site
from benchmark.model.graph import node_sites
from benchmark.model.interface import CircuitModel, Edit, Graph, Site, forward
from benchmark.tasks.prompts import PromptBatch

Ranking = Literal["mask", "attribution", "random"]
RANKINGS: tuple[Ranking, ...] = ("mask", "attribution", "random")


@dataclass(frozen=True)
class Budget:
    """What a search may spend, and how.

    Attributes:
        tokens: Prompt tokens run forward and backward while the masks are learned, over all coefficients.
        batch_pairs: Prompt pairs a step.
        coefficients: Loss a kept node costs, in nats; each gets an equal share of the tokens.
        learning_rate: Of AdamW; decays linearly to zero.
        temperature: Of the sigmoid whose derivative stands in for that of the step.
        initial_mean: Mean of the masks' parameters at the start.
        initial_noise: Their standard deviation.
    """

    tokens: int = 200_000
    batch_pairs: int = 16
    coefficients: tuple[float, ...] = (1e-4, 1e-3)
    learning_rate: float = 0.01
    temperature: float = 1.0
    initial_mean: float = 0.3
    initial_noise: float = 0.1


@dataclass(frozen=True, eq=False)
class TaskPrompts:
    """The prompts of a task: masks are learned on `train`, cut on `validation`, reported on `test`."""

    train: PromptBatch
    validation: PromptBatch
    test: PromptBatch


@dataclass(frozen=True)
class Calibration:
    """An affine map of the logit difference, `scale * difference + shift`."""

    scale: float
    shift: float


@dataclass(frozen=True, eq=False)
class FoundCircuit:
    """What a search found.

    Attributes:
        circuit: The fewest top-ranked nodes at the target; the best-scoring prefix if none reaches it.
        status: `ok`, or `not_reached` if no prefix of the ranking reaches the target on validation prompts.
        lowest_loss: Least validation loss of any prefix that was tried, nats.
        calibration: Fitted on validation prompts.
        curve: By number of nodes kept, ascending: `[prompt]`, validation losses in nats.
        order: `[node]`, indices of all nodes, most important first, over the sites in order.
    """

    circuit: Circuit
    status: Literal["ok", "not_reached"]
    lowest_loss: float
    calibration: Calibration
    curve: Mapping[int, Float[Tensor, " _"]]
    order: Int[Tensor, " node"]


def find_circuit(
    model: CircuitModel,
    task: TaskPrompts,
    means: Means,
    *,
    graph: Graph,
    target: float,
    ranking: str = "mask",
    budget: Budget = Budget(),
    held_on: HeldOn | None = None,
    generator: torch.Generator,
) -> FoundCircuit:
    """Find the smallest circuit of a model that does a task.

    Args:
        model: The model to cut.
        task: Its prompts.
        means: What an ablated node holds, unless `held_on` says otherwise.
        graph: Which sites count as nodes.
        target: Task loss to reach, nats.
        ranking: How nodes are ordered: learned masks, attribution, or at random.
        budget: What the search may spend; runs of other prompts, to take values from, are not counted.
        held_on: What ablated nodes hold on given prompts.
        generator: Source of all randomness.

    Raises:
        ValueError: For an unknown ranking.
    """
    sites = node_sites(model, graph)
    search = _Search(model, task, held_on or (lambda batch: at_means(means)), sites)
    if ranking == "mask":
        orders = [_learned_order(search, coefficient, budget, generator) for coefficient in budget.coefficients]
    elif ranking == "attribution":
        orders = [_attribution_order(search, budget)]
    elif ranking == "random":
        orders = [torch.randperm(search.size, generator=generator)]
    else:
        raise ValueError(f"unknown ranking {ranking!r}; choose from {', '.join(RANKINGS)}")
    return min((_cut(search, order, target) for order in orders), key=_preference)


def _preference(found: FoundCircuit) -> tuple[bool, float]:
    """Circuits that reach the target first, the smaller the better; else the lowest loss."""
    nodes = sum(int(mask.sum()) for mask in found.circuit.masks.values())
    return found.status != "ok", float(nodes) if found.status == "ok" else found.lowest_loss


@dataclass(frozen=True, eq=False)
class _Search:
    """A model, its prompts, and the sites whose nodes are ranked."""

    model: CircuitModel
    task: TaskPrompts
    held_on: HeldOn
    sites: tuple[Site, ...]

    @property
    def size(self) -> int:
        return sum(site.size for site in self.sites)

    @cached_property
    def held(self) -> Held:
        """What ablated nodes hold on validation prompts."""
        return self.held_on(self.task.validation)

    @torch.no_grad()
    def validation_losses(self, circuit: Circuit) -> Float[Tensor, " prompt"]:
        batch = self.task.validation
        return prompt_losses(answer_logits(self.model, batch, ablate(circuit, self.held)), batch)


def answer_logits(model: CircuitModel, batch: PromptBatch, edit: Edit) -> Float[Tensor, "prompt vocab"]:
    """Logits at the last position of each prompt."""
    return forward(model, batch.tokens, edit, batch.positions)[:, 0]


def logit_difference(logits: Float[Tensor, "prompt vocab"], batch: PromptBatch) -> Float[Tensor, " prompt"]:
    """Logit of the answer less that of the alternative, a prompt."""
    pair = torch.stack([batch.answer, batch.other], dim=1)
    chosen = logits.gather(1, pair)
    return chosen[:, 0] - chosen[:, 1]


def prompt_losses(logits: Float[Tensor, "prompt vocab"], batch: PromptBatch) -> Float[Tensor, " prompt"]:
    """Two-way cross entropy of each prompt, nats; `benchmark.metrics.task_loss` is its mean."""
    return torch.nn.functional.softplus(-logit_difference(logits, batch))


# Rankings


def _minibatches(batch: PromptBatch, pairs: int, generator: torch.Generator) -> Iterator[PromptBatch]:
    """Endless shuffled minibatches of whole pairs."""
    pairs = min(pairs, len(batch) // 2)
    while True:
        order = torch.randperm(len(batch) // 2, generator=generator)
        for chosen in order[: len(order) // pairs * pairs].split(pairs):
            yield batch.rows(torch.stack([2 * chosen, 2 * chosen + 1], dim=1).flatten())


def _learned_order(
    search: _Search, coefficient: float, budget: Budget, generator: torch.Generator
) -> Int[Tensor, " node"]:
    """Learn a mask and rank the nodes by its parameters (step 1 of the module's algorithm)."""
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
    search: _Search, batch: PromptBatch, mask: Tensor, coefficient: float, temperature: float
) -> Float[Tensor, ""]:
    """Task loss of the masked model plus the cost of the nodes kept."""
    soft = torch.sigmoid(mask / temperature)
    step = (mask > 0).to(mask.dtype) + soft - soft.detach()
    kept, held = by_site(search.sites, step), search.held_on(batch)

    def edit(site: Site, values: Tensor) -> Tensor:
        if site.name not in kept:
            return values
        ablated = held(site, values)
        return torch.addcmul(ablated, values - ablated, kept[site.name])

    return prompt_losses(answer_logits(search.model, batch, edit), batch).mean() + coefficient * step.sum()


def _attribution_order(search: _Search, budget: Budget) -> Int[Tensor, " node"]:
    """Rank nodes by the first-order effect of ablating them on the logit difference.

    Mean over prompts of |sum over positions of (value - what it holds when ablated) times gradient| (attribution
    patching, Nanda 2023), over as many train prompts as the budget pays for.
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
    return torch.cat(scores).argsort(descending=True, stable=True)


# Bisection


def _cut(search: _Search, order: Tensor, target: float) -> FoundCircuit:
    """The smallest prefix of an order at the target, and its calibration (steps 2 and 3)."""
    losses: dict[int, Tensor] = {}

    def loss(nodes: int) -> float:
        losses[nodes] = search.validation_losses(Circuit.first(search.sites, order, nodes))
        return float(losses[nodes].mean())

    nodes = fewest_nodes(loss, search.size, target)
    means = {size: float(row.mean()) for size, row in losses.items()}
    kept = min(means, key=lambda size: (means[size], size)) if nodes is None else nodes
    circuit = Circuit.first(search.sites, order, kept)
    return FoundCircuit(
        circuit=circuit,
        status="not_reached" if nodes is None else "ok",
        lowest_loss=min(means.values()),
        calibration=calibrate(search.model, search.task.validation, ablate(circuit, search.held)),
        curve=dict(sorted(losses.items())),
        order=order,
    )


def fewest_nodes(loss: Callable[[int], float], most: int, target: float, factor: float = 1.6) -> int | None:
    """The fewest nodes at a target loss, without trusting that more nodes are better.

    Sizes are tried upwards on a geometric grid until one reaches the target, then the gap below it is bisected, and
    one grid size beyond is tried so that the curve does not end there. A curve that rises again does not matter; a dip
    between two grid sizes may be missed.

    Args:
        loss: Loss at a number of nodes.
        most: Number of all nodes.
        target: The loss to reach.
        factor: Ratio of neighbouring grid sizes.

    Returns:
        The fewest nodes, or `None` if no size reached the target.
    """
    below, sizes = -1, iter([0, *geometric_sizes(most, factor)])
    for size in sizes:
        if loss(size) <= target:
            fewest = _bisect(loss, below, size, target)
            loss(next(sizes, most))
            return fewest
        below = size
    return None


def _bisect(loss: Callable[[int], float], below: int, at: int, target: float) -> int:
    """A size in (below, at] that meets the target while the one before it does not."""
    while at - below > 1:
        middle = (below + at) // 2
        if loss(middle) <= target:
            at = middle
        else:
            below = middle
    return at


def geometric_sizes(most: int, factor: float) -> Sequence[int]:
    """Ascending whole numbers from 1 to `most`, each about `factor` times the last."""
    count = max(1, math.ceil(math.log(most) / math.log(factor))) if most > 1 else 0
    return sorted({round(most ** (step / count)) for step in range(count + 1)} if count else {most})


def calibrate(model: CircuitModel, batch: PromptBatch, edit: Edit) -> Calibration:
    """Scale and shift of the logit difference with the least task loss, by 16 LBFGS steps (paper A.5).

    The shift moves the first answer of every pair against the second, so it is the same for the whole task.
    """
    with torch.no_grad():
        difference = logit_difference(answer_logits(model, batch, edit), batch)
    scale_and_shift = torch.tensor([1.0, 0.0], requires_grad=True)
    optimizer = torch.optim.LBFGS([scale_and_shift], max_iter=16, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = calibrated_loss(difference, scale_and_shift[0], scale_and_shift[1])
        loss.backward()
        return loss

    optimizer.step(closure)
    scale, shift = scale_and_shift.tolist()
    return Calibration(scale, shift)


def calibrated_loss(
    difference: Float[Tensor, " prompt"], scale: Float[Tensor, ""], shift: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Task loss after the affine map; the shift has the opposite sign for the second prompt of each pair."""
    sign = torch.ones_like(difference)
    sign[1::2] = -1
    return torch.nn.functional.softplus(-(scale * difference + sign * shift)).mean()
