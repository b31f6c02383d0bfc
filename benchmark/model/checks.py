"""Checks on a few tokens that a loaded model keeps the promises of a circuit model, before anything is measured."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from benchmark.model.graph import TERMINALS
from benchmark.model.interface import KINDS, CircuitModel, Connection, Graph, Site, Sources, can_ablate_edges, forward

TOKENS = ((0, 1, 2), (2, 1, 0))
"""The tokens of the test run: ids that every vocabulary has."""


def check_model(model: object, graphs: Iterable[Graph]) -> None:
    """Make sure that a loaded model can be run, edited and searched for circuits in some graphs.

    Raises:
        ValueError: One line that says which promise the model breaks.
    """
    if not isinstance(model, CircuitModel):
        members = ("sites", "start", "advance", "read_out", "connections")
        missing = ", ".join(name for name in members if getattr(model, name, None) is None)
        raise ValueError(f"its model is a {type(model).__name__} without {missing}, not a CircuitModel")
    _check_sites(model.sites)
    _check_run(model)
    passed = _passed(model)
    for graph in graphs:
        for connection in model.connections(graph):
            _check_connection(model, graph, connection)
            for source, target in connection.maps:
                if passed is not None and (source, target) not in passed:
                    raise ValueError(
                        f"the {graph} graph joins {source!r} to {target!r}, but no edge ablation sees that"
                    )


def _check_sites(sites: tuple[Site, ...]) -> None:
    """Sites have distinct names, known kinds, and stages in order, some of which may have no site."""
    if not sites:
        raise ValueError("its model has no sites")
    seen, stage = set[str](), 0
    for site in sites:
        if site.name in seen or site.name in TERMINALS:
            raise ValueError(f"two sites are called {site.name!r}")
        if site.kind not in KINDS:
            raise ValueError(f"site {site.name!r} is of the kind {site.kind!r}; choose from {', '.join(KINDS)}")
        if site.size < 1:
            raise ValueError(f"site {site.name!r} has {site.size} nodes")
        if site.stage < stage:
            raise ValueError(f"site {site.name!r} is of stage {site.stage} after stage {stage}: stages never go down")
        seen.add(site.name)
        stage = site.stage


@torch.no_grad()
def _check_run(model: CircuitModel) -> None:
    """A forward pass visits every site once, in order, and ends in finite logits."""
    tokens, visited = torch.tensor(TOKENS), []

    def watch(site: Site, values: Tensor) -> Tensor:
        visited.append(site.name)
        if values.shape != (*tokens.shape, site.size):
            wanted = [*tokens.shape, site.size]
            raise ValueError(f"site {site.name!r} has values of shape {list(values.shape)}, not {wanted}")
        return values

    logits = forward(model, tokens, watch)
    names = [site.name for site in model.sites]
    if visited != names:
        raise ValueError(f"its model calls the sites {', '.join(visited)}, not {', '.join(names)}")
    rows, positions = tokens.shape
    if logits.ndim != 3 or logits.shape[:2] != tokens.shape or logits.shape[2] < 2:
        raise ValueError(f"its logits have the shape {list(logits.shape)}, not [{rows}, {positions}, vocabulary]")
    if not logits.isfinite().all():
        raise ValueError("its logits are not finite")
    wanted = [rows, 1, logits.shape[2]]
    shape = list(forward(model, tokens, positions=torch.tensor([[1], [2]])).shape)
    if shape != wanted:
        raise ValueError(f"its logits at one position have the shape {shape}, not {wanted}")


def _check_connection(model: CircuitModel, graph: Graph, connection: Connection) -> None:
    """Connections join known sites by weights of shape `[target, source]`."""
    sizes = {**dict.fromkeys(TERMINALS, 1), **{site.name: site.size for site in model.sites}}
    source, target, weight = connection.source, connection.target, connection.weight
    for end in (source, target):
        if end not in sizes:
            raise ValueError(f"the {graph} graph connects a site {end!r} that its model does not have")
    wanted = [sizes[target], sizes[source]]
    if weight is not None and list(weight.shape) != wanted:
        raise ValueError(
            f"the {graph} graph joins {source!r} to {target!r} by a weight of shape {list(weight.shape)}, "
            f"not [target, source], {wanted}"
        )


@dataclass
class _Passed:
    """An edge ablation that ablates nothing and records which sources every target has."""

    pairs: set[tuple[str, str]] = field(default_factory=set)

    def __call__(self, target: str, direct: Sources, stream: Sources, scale: Tensor | None) -> None:
        """Record the sources."""
        self.pairs |= {(source, target) for source in (*direct, *stream)}

    def opaque(self, target: str, source: str) -> None:
        """No edge is ablated."""

    def mean(self, source: str) -> Tensor:
        """Never called, since no edge is ablated."""
        raise AssertionError(source)


@torch.no_grad()
def _passed(model: CircuitModel) -> set[tuple[str, str]] | None:
    """The pairs of source and target that edge ablations see; `None` if edges cannot be ablated."""
    if not can_ablate_edges(model):
        return None
    watch = _Passed()
    forward(model, torch.tensor(TOKENS), ablated_edges=watch)
    return watch.pairs
