"""Runs a model on some windows of the corpus with nodes, or directions of the residual stream, replaced."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.interventions.gradients import Tracked, values_and_gradients
from benchmark.interventions.replacement import Node
from benchmark.model.devices import to_numpy
from benchmark.model.interface import (
    STREAM,
    CircuitModel,
    Edit,
    Site,
    State,
    begin,
    forward,
    next_token_losses,
    run_stages,
    stage_count,
    unedited,
)

TOGETHER = 4
"""Windows that are run at once; few, so that their logits stay in the cache of the processor."""


@dataclass(frozen=True, eq=False)
class Direction:
    """A rank-one part of the residual stream, at one depth and all positions.

    Its value is `stream @ read`. A new value changes the stream by the difference along `write`; as `read @ write` is
    1, the changed stream has that value. For a plain direction the two are the same unit vector.

    Attributes:
        name: What it is called in results.
        stage: It is replaced before this stage; the number of stages for just before the read-out.
        read: Vector that reads the value off the stream.
        write: Vector along which the stream is changed.
    """

    name: str
    stage: int
    read: Float[Tensor, " channel"]
    write: Float[Tensor, " channel"]

    def __str__(self) -> str:
        return self.name


Part = Node | Direction
"""What can be replaced."""

Values = Float[np.ndarray, "window position"]
"""Values of a part at every position of some windows."""

Change = Mapping[Part, Values]
"""New values of some parts, on the windows that are run."""


@dataclass(frozen=True, eq=False)
class Reading:
    """A part on all windows.

    Attributes:
        values: Its values.
        gradients: Derivatives of the loss of each window, summed over its tokens, with respect to them, nats.
    """

    values: Values
    gradients: Values


class WindowRun:
    """A model on windows of the corpus: values of its parts, and losses under changes of them.

    Args:
        model: Any circuit model.
        tokens: Input tokens.
        targets: The token that follows each.
        base: An edit that always applies, such as that of a circuit; parts are replaced after it.
    """

    def __init__(
        self,
        model: CircuitModel,
        tokens: Int[Tensor, "window position"],
        targets: Int[Tensor, "window position"],
        base: Edit = unedited,
    ) -> None:
        self.model = model
        self._base = base
        self.tokens = tokens
        self.targets = targets
        self._stages = {site.name: site.stage for site in model.sites}

    @property
    def has_stream(self) -> bool:
        """Whether the model's state holds a residual stream."""
        return STREAM in begin(self.model, self.tokens[:1])

    @cached_property
    @torch.no_grad()
    def true(self) -> Float[np.ndarray, "window position"]:
        """Loss of every token with nothing replaced, nats."""
        parts = [
            next_token_losses(forward(self.model, tokens, self._base), targets)
            for tokens, targets in self._split(self.tokens, self.targets)
        ]
        return torch.cat(parts).numpy()

    def read(self, parts: Sequence[Part]) -> dict[Part, Reading]:
        """Values of some parts on all windows, and derivatives of the loss with respect to them."""
        found: dict[Part, list[tuple[Tensor, Tensor]]] = {part: [] for part in parts}
        for piece in self.with_gradients({part.site if isinstance(part, Node) else part.stage for part in parts}):
            for part, read in found.items():
                if isinstance(part, Node):
                    values, gradients = (each[..., part.index].clone() for each in piece[part.site])
                else:
                    stream, gradient = piece[part.stage]
                    values, gradients = stream @ part.read.to(stream), gradient @ part.write.to(gradient)
                read.append((values, gradients))
        return {
            part: Reading(*(to_numpy(torch.cat(each)) for each in zip(*read, strict=True)))
            for part, read in found.items()
        }

    def with_gradients(self, places: Collection[str | int]) -> Iterator[Tracked[str | int]]:
        """A few windows at a time, values at some places and derivatives of each window's loss with respect to them.

        The loss is summed over the tokens of the window, nats.

        Args:
            places: Names of sites, for the values of all their nodes; stages, for the residual stream before them.
        """
        for tokens, targets in self._split(self.tokens, self.targets):

            def loss(
                track: Callable[[str | int, Tensor], Tensor], tokens: Tensor = tokens, targets: Tensor = targets
            ) -> Tensor:
                def watch(site: Site, values: Tensor) -> Tensor:
                    edited = self._base(site, values)
                    return track(site.name, edited) if site.name in places else edited

                def at(stage: int, stream: Tensor) -> Tensor:
                    return track(stage, stream) if stage in places else stream

                state = self._state_after_all(tokens, watch, at)
                logits = forward(self.model, tokens, state=state, stage=stage_count(self.model))
                return next_token_losses(logits, targets).sum()

            yield values_and_gradients(loss)

    @torch.no_grad()
    def streams(self, stages: Sequence[int]) -> dict[int, Float[Tensor, "window position channel"]]:
        """The residual stream on all windows before some stages, on the CPU in float32."""
        found: dict[int, list[Tensor]] = {stage: [] for stage in stages}

        def at(stage: int, stream: Tensor) -> Tensor:
            if stage in found:
                found[stage].append(stream.float().cpu())
            return stream

        for (tokens,) in self._split(self.tokens):
            self._state_after_all(tokens, self._base, at)
        return {stage: torch.cat(parts) for stage, parts in found.items()}

    def _state_after_all(self, tokens: Tensor, edit: Edit, at: Callable[[int, Tensor], Tensor]) -> State:
        """The state after all stages; `at` sees and may replace the residual stream before each and after the last."""
        state = begin(self.model, tokens)
        for stage in range(stage_count(self.model) + 1):
            if STREAM in state:
                state = {**state, STREAM: at(stage, state[STREAM])}
            if stage < stage_count(self.model):
                state = self.model.advance(state, stage, edit)
        return state

    @torch.no_grad()
    def losses(
        self, windows: Int[np.ndarray, " window"], changes: Sequence[Change]
    ) -> Float[np.ndarray, "change window position"]:
        """Loss of every token of some windows under each change, nats.

        What comes before the first part that changes is run once for all changes.

        Args:
            windows: Numbers of the windows that are run.
            changes: New values on these windows.
        """
        result = np.empty((len(changes), len(windows), self.tokens.shape[1]), dtype=np.float32)
        order = sorted(range(len(changes)), key=lambda number: self._first(changes[number]))
        for start in range(0, len(windows), TOGETHER):
            rows = np.arange(start, min(start + TOGETHER, len(windows)))
            tokens, targets = self.tokens[windows[rows]], self.targets[windows[rows]]
            state, stage = begin(self.model, tokens), 0
            for number in order:
                first = self._first(changes[number])
                state, stage = run_stages(self.model, state, self._base, first=stage, last=first), first
                result[number, rows] = self._changed(state, stage, tokens, targets, changes[number], rows)
        return result

    def _first(self, change: Change) -> int:
        """The stage of the first part that changes; the number of stages if none does."""
        return min((self._stage(part) for part in change), default=stage_count(self.model))

    def _stage(self, part: Part) -> int:
        return part.stage if isinstance(part, Direction) else self._stages[part.site]

    def _changed(
        self, state: State, first: int, tokens: Tensor, targets: Tensor, change: Change, rows: np.ndarray
    ) -> Float[np.ndarray, "row position"]:
        """Losses of some rows from a stage on, under one change."""
        new = {part: torch.from_numpy(np.asarray(values[rows], dtype=np.float32)) for part, values in change.items()}
        directions = [part for part in new if isinstance(part, Direction)]
        nodes = {name: [part for part in new if isinstance(part, Node) and part.site == name] for name in self._stages}

        def edit(site: Site, values: Tensor) -> Tensor:
            edited = self._base(site, values)
            if nodes[site.name]:
                edited = edited.clone()
            for node in nodes[site.name]:
                edited[..., node.index] = new[node].to(edited)
            return edited

        stage = first
        for part in sorted(directions, key=lambda each: each.stage):
            state, stage = run_stages(self.model, state, edit, first=stage, last=part.stage), part.stage
            stream = state[STREAM]
            moved = (new[part].to(stream) - stream @ part.read.to(stream))[..., None] * part.write.to(stream)
            state = {**state, STREAM: stream + moved}
        logits = forward(self.model, tokens, edit, None, state, stage)
        return next_token_losses(logits, targets).numpy()

    @staticmethod
    def _split(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
        yield from zip(*(tensor.split(TOGETHER) for tensor in tensors), strict=True)
