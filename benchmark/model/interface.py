"""The one interface: a circuit model is a list of stages with named sites, and `forward` is its only runner."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, TypeGuard, get_args, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from benchmark.model.devices import device_of

Kind = Literal["residual_read", "query", "key", "value", "residual_write", "neuron", "feature", "error"]
"""What a site's nodes are."""

Graph = Literal["channel", "unit"]
"""Which sites count as nodes: all (as in the paper), or all but the residual channels (comparable across methods)."""

KINDS: tuple[Kind, ...] = get_args(Kind)
GRAPHS: tuple[Graph, ...] = get_args(Graph)

KIND_OF_HOOK: dict[str, Kind] = {
    "attn_in": "residual_read",
    "q": "query",
    "k": "key",
    "v": "value",
    "attn_out": "residual_write",
    "mlp_in": "residual_read",
    "neuron": "neuron",
    "feature": "feature",
    "mlp_out": "residual_write",
    "error": "error",
}
"""The kind of node at a hook point, by the last part of its name `blocks.{layer}.….{hook}`."""

STREAM = "residual"
"""The name of the residual stream in the state of a model that has one."""

POSITIONS = "positions"
"""The entry of a state that holds only some positions: which they are, `[batch, position]`."""

State = dict[str, Tensor]
"""What a model carries from stage to stage: the residual stream, pending decoder outputs, the tokens."""


@dataclass(frozen=True)
class Site:
    """A named hook point that holds a row of nodes.

    Attributes:
        name: The hook name, `blocks.{layer}.{hook}`.
        kind: What its nodes are.
        layer: The block it belongs to, from 0.
        size: Number of nodes.
        stage: The stage that computes it, from 0.
    """

    name: str
    kind: Kind
    layer: int
    size: int
    stage: int

    @classmethod
    def at(cls, name: str, size: int, stage: int) -> "Site":
        """The site at a hook point; its kind and layer are read off the name.

        Raises:
            ValueError: The name is not of the form `blocks.{layer}.….{hook}`, or the hook is unknown.
        """
        parts = name.split(".")
        if len(parts) < 3 or not parts[1].isdecimal() or parts[-1] not in KIND_OF_HOOK:
            hooks = ", ".join(KIND_OF_HOOK)
            raise ValueError(f"site {name!r} is not of the form blocks.LAYER.HOOK; choose the hook from {hooks}")
        return cls(name, KIND_OF_HOOK[parts[-1]], int(parts[1]), size, stage)


Edit = Callable[[Site, Float[Tensor, "batch position node"]], Float[Tensor, "batch position node"]]
"""Called at every site with its values; the rest of the model sees what it returns."""


@dataclass(frozen=True)
class OpaqueBlock:
    """A part of a model whose internal computation is not drawn as edges.

    Attributes:
        name: Shared by all connections through the block, so that it is counted once.
        weights: Number of nonzero weights inside.
    """

    name: str
    weights: int


@dataclass(frozen=True, eq=False)
class Connection:
    """The edges between two directly connected sites.

    Attributes:
        source: Name of the site that the edges leave.
        target: Name of the site that they enter.
        weight: `[target, source]`, or `None` where an opaque block connects every pair.
        block: The opaque block; given exactly when `weight` is `None`.
        full: Where an end stands for many numbers (all embedding channels, all logits), the map between those.
        parts: Where a node has several reads or writes, the map of each pair of them, by the names under which their
            values are passed to an edge ablation; a weight is then the root of the sum of the squares of its parts.

    Raises:
        ValueError: There are both a weight and an opaque block, or neither.
    """

    source: str
    target: str
    weight: Float[Tensor, "target source"] | None
    block: OpaqueBlock | None = None
    full: Float[Tensor, "_full_target _full_source"] | None = None
    parts: Mapping[tuple[str, str], Float[Tensor, "_ _"]] | None = None

    def __post_init__(self) -> None:
        if (self.weight is None) != (self.block is not None):
            given = "neither" if self.weight is None else "both"
            raise ValueError(
                f"connection {self.source} -> {self.target} needs a weight or an opaque block, got {given}"
            )

    @cached_property
    def maps(self) -> Mapping[tuple[str, str], Float[Tensor, "_ _"]]:
        """All that the edges carry: maps by the names of source and target values; none through an opaque block."""
        if self.parts is not None:
            return self.parts
        whole = self.weight if self.full is None else self.full
        return {} if whole is None else {(self.source, self.target): whole}


@runtime_checkable
class CircuitModel(Protocol):
    """A model whose computation can be recorded and edited at named sites.

    `start` and `advance` return new states and leave the given one unchanged, so a stored state can be resumed from
    many times.
    """

    sites: tuple[Site, ...]
    """In forward order. Everything after the last site belongs to `read_out`."""

    def start(self, tokens: Int[Tensor, "batch position"]) -> State:
        """The state before stage 0."""
        ...

    def advance(self, state: State, stage: int, edit: Edit) -> State:
        """The state after a stage, with `edit` called at each of its sites in order."""
        ...

    def read_out(
        self, state: State, positions: Int[Tensor, "batch query"] | None
    ) -> Float[Tensor, "batch query vocab"]:
        """Logits at the query positions of each row (`None`: all positions)."""
        ...

    def connections(self, graph: Graph) -> Iterable[Connection]:
        """The connections of a graph; `ValueError` with the choices for a graph that the model does not have."""
        ...


Sources = Mapping[str, Float[Tensor, "batch position _"]]
"""Values of source sites by name, or by write where a site has several; of value nodes, after the attention pattern."""


@runtime_checkable
class EdgeAblation(Protocol):
    """A set of ablated edges: each carries its source's mean instead of its value."""

    def __call__(
        self, target: str, direct: Sources, stream: Sources, scale: Float[Tensor, "batch position 1"] | None
    ) -> Float[Tensor, "batch position target"] | None:
        """What the ablated edges into a target would carry beyond their means; `None` if no edge is ablated.

        Args:
            target: Name of the target's site, or of one of its reads where it has several.
            direct: Sources connected to it by a weight matrix (the channel graph's edges).
            stream: Sources that it reads through the stream (the unit graph's edges).
            scale: The norm's factor on the stream, `None` for 1; its gain is in the virtual weights.
        """
        ...

    def opaque(self, target: str, source: str) -> Float[Tensor, "target source"] | None:
        """1 for each ablated edge through an opaque block, 0 for the others; `None` where none is ablated."""
        ...

    def mean(self, source: str) -> Float[Tensor, " _"]:
        """The mean that the ablated edges of a source carry."""
        ...


@runtime_checkable
class EdgeAblatable(CircuitModel, Protocol):
    """A circuit model with ablatable edges; `benchmark.model.edge_hooks` does most of the work."""

    can_ablate_edges: bool
    """Whether this particular model supports it."""

    def advance(self, state: State, stage: int, edit: Edit, ablated_edges: EdgeAblation | None = None) -> State:
        """The state after a stage, with some edges ablated."""
        ...

    def read_out(
        self, state: State, positions: Int[Tensor, "batch query"] | None, ablated_edges: EdgeAblation | None = None
    ) -> Float[Tensor, "batch query vocab"]:
        """Logits at the query positions, with some edges into them ablated."""
        ...


def can_ablate_edges(model: CircuitModel) -> TypeGuard[EdgeAblatable]:
    """Whether single edges of a model can be ablated."""
    return isinstance(model, EdgeAblatable) and model.can_ablate_edges


def unedited(site: Site, values: Float[Tensor, "batch position node"]) -> Float[Tensor, "batch position node"]:
    """The edit that changes nothing."""
    return values


def stage_count(model: CircuitModel) -> int:
    """Number of stages of a model."""
    return max(site.stage for site in model.sites) + 1


def begin(model: CircuitModel, tokens: Int[Tensor, "batch position"]) -> State:
    """The state before stage 0, with the tokens moved to where the model is."""
    return model.start(tokens.to(device_of(model)))


def run_stages(
    model: CircuitModel,
    state: State,
    edit: Edit = unedited,
    *,
    first: int = 0,
    last: int | None = None,
    ablated_edges: EdgeAblation | None = None,
) -> State:
    """The state after the stages from `first` up to but not including `last` (`None`: to the end)."""
    for stage in range(first, stage_count(model) if last is None else last):
        if ablated_edges is None:
            state = model.advance(state, stage, edit)
        else:
            assert can_ablate_edges(model)
            state = model.advance(state, stage, edit, ablated_edges)
    return state


def forward(
    model: CircuitModel,
    tokens: Int[Tensor, "batch position"],
    edit: Edit = unedited,
    positions: Int[Tensor, "batch query"] | None = None,
    state: State | None = None,
    stage: int = 0,
    ablated_edges: EdgeAblation | None = None,
) -> Float[Tensor, "batch query vocab"]:
    """Run a model; every forward pass goes through this function.

    Args:
        model: Any circuit model.
        tokens: Token ids; ignored when `state` is given.
        edit: Called at every site from `stage` on.
        positions: Query positions of each row; `None` for all positions.
        state: A stored state to start from instead of the tokens.
        stage: The first stage to run on `state`.
        ablated_edges: Edges that carry their sources' means; only for an `EdgeAblatable` model.

    Returns:
        Logits, in nats.

    Raises:
        ValueError: Tokens or positions have other axes, or there is no such stage.
    """
    _check_run(model, tokens if state is None else None, positions, stage)
    begun = begin(model, tokens) if state is None else state
    ended = run_stages(model, begun, edit, first=stage, ablated_edges=ablated_edges)
    positions = None if positions is None else positions.to(next(iter(ended.values())).device)
    if ablated_edges is None:
        return model.read_out(ended, positions)
    assert can_ablate_edges(model)
    return model.read_out(ended, positions, ablated_edges)


def _check_run(model: CircuitModel, tokens: Tensor | None, positions: Tensor | None, stage: int) -> None:
    if not hasattr(model, "read_out"):
        raise ValueError(f"model must be a CircuitModel, got {type(model).__name__}")
    for name, given, axes in (("tokens", tokens, "[batch, position]"), ("positions", positions, "[batch, query]")):
        if given is not None and (not isinstance(given, Tensor) or given.dim() != 2 or given.is_floating_point()):
            shown = f"{given.dtype} of shape {list(given.shape)}" if isinstance(given, Tensor) else f"{given!r:.60}"
            raise ValueError(f"{name} must be a tensor of integers of shape {axes}, got {shown}")
    last = stage_count(model)
    if not 0 <= stage <= last:
        raise ValueError(f"stage must be from 0 to {last}, got {stage}")


def next_token_losses(
    logits: Float[Tensor, "window position vocab"], targets: Int[Tensor, "window position"]
) -> Float[Tensor, "window position"]:
    """Cross entropy of the token that follows each position, nats; on the CPU in float32."""
    each, following = logits.flatten(0, 1).float(), targets.flatten().to(logits.device)
    return F.cross_entropy(each, following, reduction="none").cpu().view(targets.shape)


@torch.no_grad()
def next_token_loss(
    model: CircuitModel,
    tokens: Int[Tensor, "window position"],
    targets: Int[Tensor, "window position"],
    edit: Edit = unedited,
    batch: int = 16,
) -> float:
    """Mean cross entropy of the next token over windows, run `batch` at a time, nats."""
    total = 0.0
    for rows, following in zip(tokens.split(batch), targets.split(batch), strict=True):
        total += next_token_losses(forward(model, rows, edit), following).sum().item()
    return total / targets.numel()


def record(
    model: CircuitModel, tokens: Int[Tensor, "batch position"], edit: Edit = unedited
) -> dict[str, Float[Tensor, "_ _ _"]]:
    """The values at every site by name, after `edit`."""
    seen: dict[str, Tensor] = {}

    def watch(site: Site, values: Tensor) -> Tensor:
        seen[site.name] = edit(site, values)
        return seen[site.name]

    run_stages(model, begin(model, tokens), watch)
    return seen


def independent_from(model: CircuitModel) -> int | None:
    """The stage from which on positions do not interact, if a model says so by its attribute `independent_from`.

    From there on, each entry of the state has the shape `[batch, position, ...]`, and what is computed at a position
    depends on the state at that position alone: stages may be run at some positions only (`state_at`).
    """
    return getattr(model, "independent_from", None)


def stated_means(model: CircuitModel) -> Mapping[str, Float[Tensor, " _"]]:
    """The ablation values under mean ablation that come with a model, by site; at other sites they are measured."""
    stated: Mapping[str, Tensor] = getattr(model, "stated_means", {})
    return stated


def attention_heads(model: CircuitModel) -> int | None:
    """Number of attention heads per layer, if a model says so by its attribute `attention_heads`.

    The queries, keys and values of a head are then next to each other in their sites, and all heads are equally wide.
    """
    return getattr(model, "attention_heads", None)


def averaged_sites(model: CircuitModel) -> frozenset[str]:
    """The sites whose nodes average what they read over earlier positions, if a model names them by this attribute.

    What flows along an edge into such a node is taken at the positions that it averages over. Value nodes of attention
    are not among them: they are the values before they are averaged.
    """
    named: frozenset[str] = getattr(model, "averaged_sites", frozenset())
    return named


def state_at(state: State, positions: Int[Tensor, "batch query"]) -> State:
    """A state at some positions only, for a model whose positions do not interact any more; it names them."""
    positions = positions.to(next(iter(state.values())).device)
    return {**{name: at_positions(values, positions) for name, values in state.items()}, POSITIONS: positions}


def at_positions(
    values: Shaped[Tensor, "batch position *each"], positions: Int[Tensor, "batch query"] | None
) -> Shaped[Tensor, "batch query *each"]:
    """The rows of `values` at the query positions (`None`: all positions)."""
    if positions is None:
        return values
    each = values.shape[2:]
    return values.gather(1, positions.view(*positions.shape, *(1 for _ in each)).expand(*positions.shape, *each))


def nonzero_parameters(module: torch.nn.Module) -> int:
    """Number of nonzero parameters of a module."""
    return sum(int(parameter.count_nonzero()) for parameter in module.parameters())
