"""Losses of many circuits at once: one batch of prompts by candidates, run only from the first stage that differs."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from benchmark.discovery.criterion import Criterion
from benchmark.discovery.spending import FORWARD_SHARE, Spending
from benchmark.interventions.ablation import AblationValues, AblationValuesOn, alone_from, interpolate
from benchmark.model.circuit import by_site
from benchmark.model.interface import (
    CircuitModel,
    EdgeAblation,
    Edit,
    Site,
    State,
    begin,
    forward,
    run_stages,
    stage_count,
    state_at,
)
from benchmark.tasks.answers import answer_logits, prompt_losses
from benchmark.tasks.prompts import PromptBatch

CHUNK = 4_096
"""Prompt tokens that are run at once: with more of them the activations of a layer no longer fit into the cache."""

BLOCKS = 4
"""Parts of a sample with prompts of every form; candidates are screened on the first."""

DEPTHS = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""Shares of a sample after which candidates that already miss the criterion are given up, the hardest prompts first."""


@dataclass(frozen=True, eq=False)
class BatchedTrials(ABC):
    """Tries subsets of some elements (nodes, or edges) on one sample of prompts."""

    model: CircuitModel
    """The model of the circuits."""
    sites: tuple[Site, ...]
    """The sites whose nodes are kept or ablated."""
    ablation_values: AblationValuesOn
    """Ablation values on given prompts."""
    batch: PromptBatch
    """The sample; rows 2i and 2i + 1 are a pair."""
    criterion: Criterion
    """What a circuit has to meet on it."""
    spending: Spending = field(default_factory=Spending)
    """Counts the tokens that are run."""
    _last_base: dict[bytes, Tensor] = field(init=False, default_factory=dict)
    """The losses of the subset that candidates differed from last."""

    @torch.no_grad()
    def excess(
        self, base: Bool[Tensor, " element"], candidates: Bool[Tensor, "candidate element"]
    ) -> Float[Tensor, " candidate"]:
        """By how much each candidate misses the criterion, nats; where it misses, a lower bound above 0.

        The prompts on which the base has the highest losses are run first. As losses are never negative, a candidate is
        not run any further once its losses so far exceed what all prompts together may have.

        Args:
            base: A subset from which the candidates differ by little: what they share with it is run once.
            candidates: The subsets.
        """
        losses = torch.zeros(len(candidates), len(self.batch))
        alive = torch.arange(len(candidates))
        for rows in self._hardest_first(base):
            if len(alive):
                losses[alive[:, None], rows] = self.losses(base, candidates[alive], rows)
                alive = alive[self.criterion.excess(losses[alive]) <= 0]
        return self.criterion.excess(losses)

    @torch.no_grad()
    def screen(
        self, base: Bool[Tensor, " element"], candidates: Bool[Tensor, "candidate element"]
    ) -> Float[Tensor, " candidate"]:
        """An estimate of each candidate's excess from the first block of the sample, nats.

        The mean change that a candidate makes to the losses of each form there is added to the base's own losses on all
        prompts, so that it matters little which prompts are in the block.

        Args:
            base: A subset from which the candidates differ by little.
            candidates: The subsets.
        """
        rows, whole = self._blocks[0], self.base_losses(base)
        changes = self.losses(base, candidates, rows) - whole[rows]
        return self.criterion.excess(whole + self.criterion.by_form_mean(changes, rows))

    def base_losses(self, base: Bool[Tensor, " element"]) -> Float[Tensor, " prompt"]:
        """Task loss of a subset on the whole sample, nats; run once as long as the subset stays the same."""
        key = base.cpu().numpy().tobytes()
        if key not in self._last_base:
            losses = self.losses(base, base[None], torch.arange(len(self.batch)))[0]
            self._last_base.clear()
            self._last_base[key] = losses
        return self._last_base[key]

    def _hardest_first(self, base: Bool[Tensor, " element"]) -> list[Int[Tensor, " row"]]:
        """All rows of the sample in a few parts, by the loss of a subset."""
        order = self.base_losses(base).argsort(descending=True, stable=True)
        ends = [round(share * len(order)) for share in DEPTHS]
        return [order[start:end] for start, end in zip([0, *ends], ends, strict=False) if end > start]

    @torch.no_grad()
    def losses(
        self, base: Bool[Tensor, " element"], candidates: Bool[Tensor, "candidate element"], rows: Int[Tensor, " row"]
    ) -> Float[Tensor, "candidate row"]:
        """Task loss of each candidate on some prompts, nats; candidates are run from the first stage that differs."""
        batch, values = self.batch.rows(rows), self._values_on(rows)
        stages = stage_count(self.model)
        first = torch.where(candidates ^ base, self.stage, stages).amin(1)
        states = list(self._states(base, batch, values, last=int(first.max())))
        losses = torch.zeros(len(candidates), len(batch))
        for chunk in first.argsort(stable=True).split(self.together or max(1, CHUNK // batch.tokens.numel())):
            stage = int(first[chunk[0]])
            rest = (stages + 1 - stage) / (stages + 1)  # the read-out counts as a stage
            self.spending.spend(FORWARD_SHARE * len(chunk) * batch.tokens.numel() * rest)
            tiled = {
                name: rows.repeat(len(chunk), *(1 for _ in rows.shape[1:])) for name, rows in states[stage].items()
            }
            losses[chunk] = self._run(candidates[chunk], tiled, stage, batch, values)
        return losses

    def _states(
        self, base: Bool[Tensor, " element"], batch: PromptBatch, values: AblationValues, last: int
    ) -> Iterator[State]:
        """States of a subset before each stage up to `last`."""
        masks, edges = self.interventions(base[None])
        edit, state = ablate_each(masks, values, 1), begin(self.model, batch.tokens)
        for stage in range(last + 1):
            if stage > 0:
                state = run_stages(self.model, state, edit, first=stage - 1, last=stage, ablated_edges=edges)
            if stage == self.alone_from:
                state = state_at(state, batch.positions)
            yield state

    def _run(
        self,
        candidates: Bool[Tensor, "candidate element"],
        state: State,
        stage: int,
        batch: PromptBatch,
        values: AblationValues,
    ) -> Float[Tensor, "candidate prompt"]:
        """Losses of candidates, run as rows of one batch from a stage on, the prompts of the first candidate first."""
        masks, edges = self.interventions(candidates)
        rows = batch.rows(torch.arange(len(batch)).repeat(len(candidates)))
        edit = ablate_each(masks, values, len(candidates))
        if self.alone_from is not None and stage < self.alone_from:
            state = run_stages(self.model, state, edit, first=stage, last=self.alone_from, ablated_edges=edges)
            state, stage = state_at(state, rows.positions), self.alone_from
        positions = rows.positions if self.alone_from is None else None  # else the state has no others
        logits = forward(self.model, rows.tokens, edit, positions, state, stage, edges)[:, 0]
        return prompt_losses(logits, rows).view(len(candidates), -1)

    @cached_property
    def alone_from(self) -> int | None:
        """The stage from which on only the positions of the answers are run; `None` if all are run to the end.

        Edges through opaque blocks are ablated in runs of the whole block, which need all positions.
        """
        return None if self.together else alone_from(self.model, self.sites, self.values, self.batch)

    @cached_property
    def _blocks(self) -> list[Int[Tensor, " row"]]:
        """Rows of the sample in whole pairs; every block has prompts of every form that has at least four pairs."""
        pairs = torch.arange(len(self.batch)).view(-1, 2)[self.criterion.form[::2].argsort(stable=True)]
        return [pairs[block::BLOCKS].flatten() for block in range(min(BLOCKS, len(pairs)))]

    @property
    def together(self) -> int | None:
        """How many candidates can be run at once; `None` for as many as fit."""
        return None

    @cached_property
    def values(self) -> AblationValues:
        """Ablation values on the whole sample."""
        return self.ablation_values(self.batch)

    def _values_on(self, rows: Int[Tensor, " row"]) -> AblationValues:
        """Ablation values on some rows: those that they have in the whole sample."""

        def held(site: Site, whole: Tensor) -> Tensor:
            if site.name not in self._by_prompt:
                return self.values(site, whole)
            sample = whole.new_zeros(len(self.batch), *whole.shape[1:])
            sample[rows] = whole
            return self.values(site, sample)[rows]

        return held

    @cached_property
    def _by_prompt(self) -> frozenset[str]:
        """The sites whose ablation values differ between prompts."""
        shape = tuple(self.batch.tokens.shape)
        sites = self.sites
        return frozenset(site.name for site in sites if self.values(site, torch.zeros(*shape, site.size)).dim() == 3)

    @cached_property
    @abstractmethod
    def stage(self) -> Int[Tensor, " element"]:
        """The first stage that changes when an element is removed; the number of stages if only the logits do."""

    @abstractmethod
    def interventions(
        self, candidates: Bool[Tensor, "candidate element"]
    ) -> tuple[Mapping[str, Bool[Tensor, "_ _node"]], EdgeAblation | None]:
        """What a batch that holds the same prompts once per candidate is run with.

        Returns:
            By site the nodes that each candidate keeps, in one row if all keep the same; and the edges that each
            ablates, if any.
        """

    def integrated_effects(self, steps: int) -> Float[Tensor, " element"]:
        """How much each element changes the mean loss if all go from ablated to kept together, nats.

        Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365) by the midpoint rule: the derivative with
        respect to each element's share is averaged while all shares go from 0 to 1. The effects add up to the loss with
        everything kept minus that with nothing kept. For edges this is EAP-IG (Hanna et al. 2024, arXiv 2403.17806),
        with activations instead of embeddings interpolated.
        """
        shares = [(step + 0.5) / steps for step in range(steps)]
        return torch.stack([self.effects(torch.full((len(self.stage),), share)) for share in shares]).mean(0)

    @abstractmethod
    def effects(self, kept: Shaped[Tensor, " element"]) -> Float[Tensor, " element"]:
        """First-order estimate of how the mean loss changes if each element is kept instead of ablated, nats.

        Args:
            kept: Where the derivative is taken: a subset, or for each element the share that is kept, from 0 to 1.
        """


class NodeTrials(BatchedTrials):
    """Tries circuits: every node outside a candidate is ablated."""

    @cached_property
    def stage(self) -> Int[Tensor, " node"]:
        """The stage of each node."""
        return torch.cat([torch.full((site.size,), site.stage) for site in self.sites])

    def interventions(
        self, candidates: Bool[Tensor, "candidate node"]
    ) -> tuple[Mapping[str, Bool[Tensor, "_ _node"]], EdgeAblation | None]:
        """The nodes of each candidate; no edges are ablated."""
        return by_site(self.sites, candidates), None

    def effects(self, kept: Shaped[Tensor, " node"]) -> Float[Tensor, " node"]:
        """First-order estimate of how the mean loss changes if each node is kept instead of ablated, nats.

        The gradient in a mask that interpolates every node between its ablation value and its own value, at the
        circuit itself.
        """
        self.spending.spend(self.batch.tokens.numel())
        mask = kept.float().requires_grad_()
        with torch.enable_grad():
            edit = interpolate(by_site(self.sites, mask), self.values)
            logits = answer_logits(self.model, self.batch, edit, alone_from=self.alone_from)
            loss = prompt_losses(logits, self.batch).mean()
            return torch.autograd.grad(loss, mask)[0]


def ablate_each(masks: Mapping[str, Bool[Tensor, "_candidate _node"]], values: AblationValues, count: int) -> Edit:
    """The edit of a batch that holds the same prompts once per candidate.

    Args:
        masks: By site, the nodes that each candidate keeps; one row if all keep the same.
        values: Ablation values on the prompts of one candidate.
        count: Number of candidates.
    """

    def edit(site: Site, whole: Tensor) -> Tensor:
        if site.name not in masks:
            return whole
        each = whole.view(count, -1, *whole.shape[1:])
        ablated = torch.stack([values(site, one) for one in each]).to(whole)
        ablated = ablated.view(count, *(1 for _ in range(each.dim() - ablated.dim())), *ablated.shape[1:])
        return torch.where(masks[site.name].to(whole.device)[:, None, None], each, ablated).view_as(whole)

    return edit
