"""Metrics of a circuit's size: nodes, edges, bits, and the weights that opaque blocks hide."""

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.arrays import MASK, MASS, Arrays, Number, checked, numbers
from benchmark.model.terminals import TERMINALS

if TYPE_CHECKING:
    from benchmark.model.circuit import Circuit as Circuit
    from benchmark.model.interface import Connection

    Connections = Iterable[Connection]
else:
    Circuit = Connection = Connections = object  # they import torch, which metrics of arrays need not

BITS_PER_EDGE = 8
"""Cost of one weight in `description_bits`."""


def node_count(circuit: Circuit) -> float:
    """Number of nodes that a circuit keeps, Gao et al. 2025 (arXiv 2511.13653) section 2.2; lower is better."""
    return float(sum(mask.sum() for mask in masks_of(circuit).values()))


def edge_count(circuit: Circuit, connections: Connections) -> float:
    """Number of edges between kept nodes, Gao et al. 2025 section 2.2.

    An edge is a nonzero weight with both ends kept; if a connection has no weight (an opaque block joins its ends),
    every pair of kept nodes counts. The ends of the unit graph, embeddings and logits, are always kept.

    Args:
        circuit: The nodes kept.
        connections: The model's connections in the circuit's graph.

    Returns:
        Number of edges, from 0, lower is better.

    Raises:
        ValueError: If an end of a connection is not a site of the circuit, or a weight has another shape. All metrics
            that take connections raise it.
    """
    return float(sum(_edges(weight, target, source) for _, weight, target, source in joined(circuit, connections)))


def touched_edge_count(circuit: Circuit, connections: Connections) -> float:
    """Number of edges with at least one end kept: everything that the circuit touches.

    Args:
        circuit: The nodes kept.
        connections: The model's connections in the circuit's graph.

    Returns:
        Number of edges, from 0, never fewer than `edge_count`, lower is better.
    """
    total = 0
    for _, weight, target, source in joined(circuit, connections):
        total += _edges(weight, np.ones_like(target), np.ones_like(source)) - _edges(weight, ~target, ~source)
    return float(total)


def opaque_weight_count(circuit: Circuit, connections: Connections) -> float:
    """Number of nonzero weights in the opaque blocks that a circuit's edges run through.

    A block counts once, and only if it joins two kept nodes. This exposes what an edge through a block hides.

    Args:
        circuit: The nodes kept.
        connections: The model's connections in the circuit's graph.

    Returns:
        Number of weights, from 0, lower is better.
    """
    crossed = {
        connection.block.name: connection.block.weights
        for connection, _, target, source in joined(circuit, connections)
        if connection.block is not None and target.any() and source.any()
    }
    return float(sum(crossed.values()))


def description_bits(circuit: Circuit, connections: Connections) -> float:
    """Bits that specify which nodes and edges a circuit has, and each edge's weight to 8 bits.

    log2 C(all nodes, kept nodes), plus for each connection log2 C(pairs of kept nodes, edges) + 8 bits per edge. Dead
    nodes cost a little here, as they must be distinguished from kept ones; they cost nothing in any other size.

    Args:
        circuit: The nodes kept.
        connections: The model's connections in the circuit's graph.

    Returns:
        Bits, from 0, lower is better.
    """
    nodes = sum(len(mask) for mask in masks_of(circuit).values())
    bits = _choice_bits(nodes, int(node_count(circuit)))
    for _, weight, target, source in joined(circuit, connections):
        edges = _edges(weight, target, source)
        bits += _choice_bits(int(target.sum()) * int(source.sum()), edges) + BITS_PER_EDGE * edges
    return bits


def mass_edge_count(attributions: Arrays, mass: Number = 0.95) -> float:
    """Fewest edges that carry a share of every target's attribution.

    For each row the fewest sources whose absolute attributions add up to `mass` of the row's absolute sum, summed over
    rows and matrices. A row without attribution needs no source, and a source without attribution is never needed.

    Args:
        attributions: `[target, source]` for each connection, in any unit.
        mass: Share to carry, above 0 and at most 1.

    Returns:
        Number of edges, from 0, lower is sparser.

    Raises:
        ValueError: For a mass outside (0, 1].
    """
    return edges_for_mass(attributions, mass)[0]


def edges_for_mass(attributions: Arrays, mass: Number) -> tuple[float, float]:
    """`mass_edge_count`, and the number of all pairs."""
    (wanted,) = numbers(MASS, mass=mass)
    if not isinstance(attributions, Iterable):
        raise ValueError(f"attributions must be a list of arrays [target, source], got {attributions!r:.60}")
    edges = pairs = 0.0
    for index, given in enumerate(attributions):
        (matrix,) = checked(**{f"attributions[{index}]": (given, "target source")})
        if matrix.size:
            carried = np.cumsum(-np.sort(-np.abs(matrix.astype(np.float64)), axis=1), axis=1)
            least = wanted * (1 - 1e-12) * carried[:, -1:]  # so that rounding of the sum needs no further source
            edges += float(((carried < least).sum(axis=1) + (carried[:, -1] > 0)).sum())
        pairs += matrix.size
    return edges, pairs


class Joined(NamedTuple):
    """A connection, its weight `[target, source]` if any, and which of its target and source nodes are kept."""

    connection: Connection
    weight: NDArray[Any] | None
    target: NDArray[np.bool_]
    source: NDArray[np.bool_]


def joined(circuit: Circuit, connections: Connections) -> Iterator[Joined]:
    """Connections, checked against the circuit in which they are counted."""
    masks = masks_of(circuit) | {name: np.ones(1, dtype=np.bool_) for name in TERMINALS}
    if not isinstance(connections, Iterable):
        raise ValueError(f"connections must be a list of Connection, got {connections!r:.60}")
    for connection in connections:
        if not hasattr(connection, "weight"):
            raise ValueError(f"connections must be a list of Connection, got one that is {connection!r:.60}")
        name = f"connection {connection.source} -> {connection.target}"
        for site in (connection.source, connection.target):
            if site not in masks:
                known = ", ".join(circuit.masks) or "no site"
                raise ValueError(f"{name}: the circuit has no site {site!r}; it has {known}")
        target, source = masks[connection.target], masks[connection.source]
        weight = None
        if connection.weight is not None:
            (weight,) = checked(**{f"the weight of {name}": (connection.weight, f"{len(target)} {len(source)}")})
        yield Joined(connection, weight, target, source)


def masks_of(circuit: Circuit) -> dict[str, NDArray[np.bool_]]:
    """Which nodes of each site a circuit keeps."""
    if not hasattr(circuit, "masks"):
        raise ValueError(f"circuit must be a Circuit, got {circuit!r:.60}")
    found = {}
    for site, given in circuit.masks.items():
        (mask,) = checked(**{f"the mask of {site}": (given, "node", MASK)})
        found[site] = mask.astype(np.bool_)
    return found


def _edges(weight: NDArray[Any] | None, target: NDArray[np.bool_], source: NDArray[np.bool_]) -> int:
    """Number of edges between some targets and sources; all pairs if there is no weight."""
    if weight is None:
        return int(target.sum()) * int(source.sum())
    return int(np.count_nonzero(weight[np.ix_(target, source)]))


def _choice_bits(things: int, chosen: int) -> float:
    """log2 of the number of ways to choose `chosen` of `things`."""
    from scipy.special import gammaln

    if chosen in (0, things):
        return 0.0
    ways = gammaln(things + 1) - gammaln(chosen + 1) - gammaln(things - chosen + 1)
    return float(ways) / math.log(2)
