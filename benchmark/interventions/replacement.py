"""Runs a model with some nodes at other values, from their stage on, and tells the loss of each cluster of rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.model.interface import CircuitModel, Edit, Site, State, forward, next_token_losses, run_stages, unedited
from benchmark.tasks.prompts import PromptBatch

Losses = Float[np.ndarray, " cluster"]
"""Mean loss of each cluster (a window of the corpus, a pair of prompts), nats."""

LossOf = Callable[[Float[Tensor, "row asked vocab"], Int[Tensor, " row"]], Float[Tensor, " row"]]
"""Loss of each row from its logits; told which rows of the batch they are."""


@dataclass(frozen=True, order=True)
class Node:
    """One scalar of a model.

    Attributes:
        site: Name of its site.
        index: Which of the site's nodes, from 0.
    """

    site: str
    index: int

    def __str__(self) -> str:
        return f"{self.site}[{self.index}]"


@dataclass(frozen=True, eq=False)
class Scene:
    """What a model is run on, and what is asked of it.

    Attributes:
        tokens: Rows of tokens.
        positions: Where logits are wanted; `None` for everywhere.
        loss: Of each row.
        cluster: Rows of a cluster, which follow each other.
    """

    tokens: Int[Tensor, "row position"]
    positions: Int[Tensor, "row asked"] | None
    loss: LossOf
    cluster: int = 1


class Stand:
    """A model at work on a scene, with the state before each stage kept: a node's edits run only what comes after it.

    Args:
        model: Any circuit model.
        scene: What it is run on.
        base: An edit that always holds, such as that of a circuit; a node's value is replaced after it.
        rows: Rows run at once; few, so that their logits stay in the cache. All of them (each run is then of all rows,
            in order), where what `base` puts in depends on the row.
    """

    def __init__(self, model: CircuitModel, scene: Scene, base: Edit = unedited, rows: int = 4) -> None:
        self.model = model
        self.scene = scene
        self._base = base
        self._rows = rows
        self._site = {site.name: site for site in model.sites}
        self._states: dict[int, State] = {}
        self._at: dict[tuple[Node, float], Losses] = {}
        self.true = self.losses([{}])[0]

    @torch.no_grad()
    def values(self, sites: Sequence[str]) -> dict[str, Float[Tensor, "row position node"]]:
        """What the nodes of some sites hold, after the base edit."""
        found: dict[str, list[Tensor]] = {name: [] for name in sites}

        def watch(site: Site, values: Tensor) -> Tensor:
            edited = self._base(site, values)
            if site.name in found:
                found[site.name].append(edited)
            return edited

        for rows in self.scene.tokens.split(self._rows):
            run_stages(self.model, self.model.start(rows), watch)
        return {name: torch.cat(parts) for name, parts in found.items()}

    def node(self, node: Node) -> Float[np.ndarray, "row position"]:
        """What one node holds."""
        stage = self._site[node.site].stage
        found: list[Tensor] = []

        def watch(site: Site, values: Tensor) -> Tensor:
            edited = self._base(site, values)
            if site.name == node.site:
                found.append(edited[..., node.index].clone())
            return edited

        with torch.no_grad():
            self.model.advance(self._before(stage), stage, watch)
        return found[0].numpy()

    def at(self, node: Node, value: float) -> Losses:
        """Losses with a node at one value everywhere; kept, as every control of a node needs those at its mean."""
        if (node, value) not in self._at:
            self._at[node, value] = self.losses([{node: np.full(self.scene.tokens.shape, value, dtype=np.float32)}])[0]
        return self._at[node, value]

    @torch.no_grad()
    def losses(self, changes: Sequence[Mapping[Node, Float[np.ndarray, "row position"]]]) -> list[Losses]:
        """Losses of each cluster under each change: new values of some nodes, all rows.

        Changes whose first node lies at the same stage run together.
        """
        first = [min((self._site[node.site].stage for node in change), default=0) for change in changes]
        found: list[Losses] = [np.zeros(0)] * len(changes)
        for stage in sorted(set(first)):
            chosen = [index for index, at in enumerate(first) if at == stage]
            for index, losses in zip(chosen, self._run([changes[i] for i in chosen], stage), strict=True):
                found[index] = losses
        return found

    def _run(self, changes: Sequence[Mapping[Node, np.ndarray]], stage: int) -> list[Losses]:
        before, count = self._before(stage), len(self.scene.tokens)
        jobs = [(change, row) for change in range(len(changes)) for row in range(count)]
        losses = np.empty((len(changes), count))
        for start in range(0, len(jobs), self._rows):
            change, row = (torch.tensor(part) for part in zip(*jobs[start : start + self._rows], strict=True))
            state = {name: values[row] for name, values in before.items()}
            edit = self._edit(changes, change, row)
            positions = None if self.scene.positions is None else self.scene.positions[row]
            logits = forward(self.model, self.scene.tokens[row], edit, positions, state, stage)
            losses[change.numpy(), row.numpy()] = self.scene.loss(logits, row).numpy()
        return list(losses.reshape(len(changes), -1, self.scene.cluster).mean(2))

    def _edit(self, changes: Sequence[Mapping[Node, np.ndarray]], change: Tensor, row: Tensor) -> Edit:
        """The base edit, then the new values of the rows of a batch."""
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
            for index, new in wanted[site.name].items():
                changed[..., index] = torch.where(new.isnan(), edited[..., index], new)
            return changed

        return edit

    @torch.no_grad()
    def _before(self, stage: int) -> State:
        """The state before a stage, all rows, nothing replaced."""
        if stage not in self._states:
            begun = self.model.start(self.scene.tokens) if stage == 0 else self._before(stage - 1)
            parts = [] if stage else [begun]
            if stage:
                for start in range(0, len(self.scene.tokens), self._rows):
                    state = {name: values[start : start + self._rows] for name, values in begun.items()}
                    parts.append(self.model.advance(state, stage - 1, self._base))
            self._states[stage] = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return self._states[stage]


def next_token_scene(tokens: Int[Tensor, "row position"], targets: Int[Tensor, "row position"]) -> Scene:
    """The corpus: mean cross entropy of the next token over all positions of a window."""

    def loss(logits: Tensor, row: Tensor) -> Tensor:
        return next_token_losses(logits, targets[row]).mean(1)

    return Scene(tokens, None, loss)


def task_scene(batch: PromptBatch) -> Scene:
    """The prompts of a task: two-way cross entropy at the last position; a pair is a cluster."""
    answer, other = batch.answer, batch.other

    def loss(logits: Tensor, row: Tensor) -> Tensor:
        at = torch.arange(len(row))
        return torch.nn.functional.softplus(logits[at, 0, other[row]] - logits[at, 0, answer[row]])

    return Scene(batch.tokens, batch.positions, loss, cluster=2)
