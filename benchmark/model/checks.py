"""Whether a loaded model is what a circuit model promises, found out on a few tokens before anything is measured."""

from collections.abc import Iterable

import torch
from torch import Tensor

from benchmark.model.graph import TERMINALS
from benchmark.model.interface import KINDS, CircuitModel, Graph, Site, forward

TOKENS = ((0, 1, 2), (2, 1, 0))
"""What is run to find out: ids that every vocabulary has."""


def check_model(model: object, graphs: Iterable[Graph]) -> None:
    """Make sure that a model can be watched, edited and searched.

    Args:
        model: What a method has loaded.
        graphs: In which circuits are searched.

    Raises:
        ValueError: One line that says which promise it breaks.
    """
    if not isinstance(model, CircuitModel):
        lacks = [
            name
            for name in ("sites", "start", "advance", "read_out", "connections")
            if getattr(model, name, None) is None
        ]
        raise ValueError(f"its model is a {type(model).__name__} without {', '.join(lacks)}, not a CircuitModel")
    _check_sites(model.sites)
    _check_run(model)
    for graph in graphs:
        _check_connections(model, graph)


def _check_sites(sites: tuple[Site, ...]) -> None:
    """Sites have names of their own, known kinds, and stages in order, some of which may have no site."""
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
    """A few tokens pass every site once, in order, and end in finite logits."""
    tokens, visited = torch.tensor(TOKENS), []

    def watch(site: Site, values: Tensor) -> Tensor:
        visited.append(site.name)
        if values.shape != (*tokens.shape, site.size):
            raise ValueError(
                f"site {site.name!r} has values of shape {_text(values)}, not {[*tokens.shape, site.size]}"
            )
        return values

    logits = forward(model, tokens, watch)
    if visited != [site.name for site in model.sites]:
        raise ValueError(
            f"its model calls the sites {', '.join(visited)}, not {', '.join(site.name for site in model.sites)}"
        )
    if logits.ndim != 3 or logits.shape[:2] != tokens.shape or logits.shape[2] < 2:
        raise ValueError(
            f"its logits have the shape {_text(logits)}, not [{tokens.shape[0]}, {tokens.shape[1]}, vocabulary]"
        )
    if not logits.isfinite().all():
        raise ValueError("its logits are not finite")
    asked = forward(model, tokens, positions=torch.tensor([[1], [2]]))
    if asked.shape != (2, 1, logits.shape[2]):
        raise ValueError(f"its logits at one position have the shape {_text(asked)}, not {[2, 1, logits.shape[2]]}")


def _check_connections(model: CircuitModel, graph: Graph) -> None:
    """Connections join known sites by weights of `[target, source]`."""
    sizes = {**dict.fromkeys(TERMINALS, 1), **{site.name: site.size for site in model.sites}}
    for connection in model.connections(graph):
        for end in (connection.source, connection.target):
            if end not in sizes:
                raise ValueError(
                    f"the {graph} graph has a connection of the site {end!r}, which its model does not have"
                )
        wanted = (sizes[connection.target], sizes[connection.source])
        if connection.weight is not None and connection.weight.shape != wanted:
            raise ValueError(
                f"the {graph} graph joins {connection.source!r} to {connection.target!r} by a weight of shape "
                f"{_text(connection.weight)}, not [target, source], {list(wanted)}"
            )


def _text(values: Tensor) -> str:
    return str(list(values.shape))
