"""Reruns a model with the values of some nodes replaced, from their stage on, and returns the loss per cluster."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.model.devices import to_numpy
from benchmark.model.interface import CircuitModel, Edit, Site, State, begin, forward, record, unedited
from benchmark.tasks.answers import prompt_losses
from benchmark.tasks.prompts import PromptBatch

Losses = Float[np.ndarray, " cluster"]
"""Mean loss of each cluster (a window of the corpus, a pair of prompts), nats."""


@dataclass(frozen=True, order=True)
class Node:
    """One node of a model: its site and its index there, from 0."""

    site: str
    index: int

    def __str__(self) -> str:
        return f"{self.site}[{self.index}]"


@dataclass(frozen=True, eq=False)
class EvalBatch:
    """What a model is evaluated on.

    Attributes:
        tokens: Rows of tokens.
        positions: Query positions; `None` for all positions.
        loss: Loss of each row, from the logits and the rows' numbers in the batch.
        cluster: Number of consecutive rows in a cluster.
    """

    tokens: Int[Tensor, "row position"]
    positions: Int[Tensor, "row query"] | None
    loss: Callable[[Float[Tensor, "row query vocab"], Int[Tensor, " row"]], Float[Tensor, " row"]]
    cluster: int = 1


class CachedRun:
    """A model on a batch, with the state before each stage cached, so that replacing a node reruns only later stages.

    Args:
        model: Any circuit model.
        batch: What it is evaluated on, lazily.
        base: An edit that always applies, such as that of a circuit; nodes are replaced after it.
        rows: Rows run at a time; few, so that their logits stay in the CPU cache. Must be all rows (each run then has
            all of them in order) if the values that `base` inserts depend on the row.
    """

    def __init__(self, model: CircuitModel, batch: EvalBatch, base: Edit = unedited, rows: int = 4) -> None:
        self.model = model
        self.batch = batch
        self._base = base
        self._rows = rows
        self._stage = {site.name: site.stage for site in model.sites}
        self._states: dict[int, State] = {}
        self._at: dict[tuple[Node, float], Losses] = {}

    @cached_property
    def true(self) -> Losses:
        """Losses with no node replaced."""
        return self.losses([{}])[0]

    @torch.no_grad()
    def values(self, sites: Sequence[str]) -> dict[str, Float[Tensor, "row position node"]]:
        """Values of all nodes of some sites, after the base edit; on the CPU in float32."""
        parts = [record(self.model, rows, self._base) for rows in self.batch.tokens.split(self._rows)]
        return {name: torch.cat([part[name] for part in parts]).float().cpu() for name in sites}

    @torch.no_grad()
    def node(self, node: Node) -> Float[np.ndarray, "row position"]:
        """Values of one node, after the base edit."""
        stage, found = self._stage[node.site], list[Tensor]()

        def watch(site: Site, values: Tensor) -> Tensor:
            edited = self._base(site, values)
            if site.name == node.site:
                found.append(edited[..., node.index].clone())
            return edited

        self.model.advance(self._before(stage), stage, watch)
        return to_numpy(found[0])

    def at(self, node: Node, value: float) -> Losses:
        """Losses with a node at one value everywhere; cached, since every control of a node needs them at its mean."""
        if (node, value) not in self._at:
            self._at[node, value] = self.losses([{node: np.full(self.batch.tokens.shape, value, dtype=np.float32)}])[0]
        return self._at[node, value]

    @torch.no_grad()
    def losses(self, changes: Sequence[Mapping[Node, Float[np.ndarray, "row position"]]]) -> list[Losses]:
        """Losses per cluster under each change, which gives new values of some nodes on all rows.

        Changes whose first node is at the same stage are run together.
        """
        first = [min((self._stage[node.site] for node in change), default=0) for change in changes]
        losses = np.empty((len(changes), len(self.batch.tokens)))
        for stage in sorted(set(first)):
            before = self._before(stage)
            jobs = [(change, row) for change, at in enumerate(first) if at == stage for row in range(losses.shape[1])]
            for start in range(0, len(jobs), self._rows):
                change, row = (torch.tensor(part) for part in zip(*jobs[start : start + self._rows], strict=True))
                state = {name: values[row] for name, values in before.items()}
                positions = None if self.batch.positions is None else self.batch.positions[row]
                edit = self._edit(changes, change, row)
                logits = forward(self.model, self.batch.tokens[row], edit, positions, state, stage)
                losses[change.numpy(), row.numpy()] = self.batch.loss(logits, row).numpy()
        clusters = losses.shape[1] // self.batch.cluster
        return list(losses.reshape(len(changes), clusters, self.batch.cluster).mean(2))

    def _edit(self, changes: Sequence[Mapping[Node, np.ndarray]], change: Tensor, row: Tensor) -> Edit:
        """The base edit, then the new values for the given rows."""
        wanted: dict[str, dict[int, Tensor]] = {}
        for number in change.unique().tolist():
            mine = change == number
            for node, values in changes[number].items():
                at = wanted.setdefault(node.site, {})
                at.setdefault(node.index, torch.full((len(row), values.shape[1]), torch.nan))
                at[node.index][mine] = torch.from_numpy(np.asarray(values, dtype=np.float32))[row[mine]]

        def edit(site: Site, values: Tensor) -> Tensor:
            edited = self._base(site, values)
            if site.name not in wanted:
                return edited
            changed = edited.clone()
            for index, given in wanted[site.name].items():
                new = given.to(edited)
                changed[..., index] = torch.where(new.isnan(), edited[..., index], new)
            return changed

        return edit

    @torch.no_grad()
    def _before(self, stage: int) -> State:
        """The state before a stage on all rows, with no node replaced."""
        if not self._states:
            self._states[0] = begin(self.model, self.batch.tokens)
        if stage not in self._states:
            pieces = {name: values.split(self._rows) for name, values in self._before(stage - 1).items()}
            rows = (dict(zip(pieces, piece, strict=True)) for piece in zip(*pieces.values(), strict=True))
            parts = [self.model.advance(state, stage - 1, self._base) for state in rows]
            self._states[stage] = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return self._states[stage]


def task_eval(batch: PromptBatch) -> EvalBatch:
    """Task prompts: two-way cross entropy at the query position; each pair is a cluster."""
    return EvalBatch(batch.tokens, batch.positions, lambda logits, row: prompt_losses(logits[:, 0], batch.rows(row)), 2)
