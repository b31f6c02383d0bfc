"""Metrics of a circuit's size: nodes, edges, bits, and the weights that opaque blocks hide."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from benchmark.metrics.arrays import MASK, MASS, Array, Number, checked, numbers
from benchmark.model.circuit import Circuit
from benchmark.model.graph import TERMINALS
from benchmark.model.interface import Connection

BITS_PER_EDGE = 8
"""What writing down one weight costs in `description_bits`."""


def node_count(circuit: Circuit) -> float:
    """Number of nodes that a circuit keeps, Gao et al. 2025 (arXiv 2511.13653) section 2.2; lower is better."""
    return float(sum(mask.sum() for mask in masks_of(circuit).values()))


def edge_count(circuit: Circuit, connections: Iterable[Connection]) -> float:
    """Number of edges between kept nodes, Gao et al. 2025 section 2.2.

    An edge is a nonzero weight with both ends kept; where a connection has no weight (an opaque block joins its ends),
    every pair of kept nodes counts. The ends of the unit graph, embeddings and logits, are always kept.

    Args:
        circuit: The nodes kept.
        connections: Of the model, in the circuit's graph.

    Returns:
        Edges, from 0, lower is better.

    Raises:
        ValueError: If a connection has an end that is no site of the circuit, or a weight of another shape. So do all
            metrics that take connections.
    """
    return float(sum(_edges(weight, target, source) for _, weight, target, source in joined(circuit, connections)))


def touched_edge_count(circuit: Circuit, connections: Iterable[Connection]) -> float:
    """Number of edges with at least one end kept: what a reader meets who looks at everything the circuit touches.

    Args:
        circuit: The nodes kept.
        connections: Of the model, in the circuit's graph.

    Returns:
        Edges, from 0, never fewer than `edge_count`, lower is better.
    """
    total = 0
    for _, weight, target, source in joined(circuit, connections):
        total += _edges(weight, np.ones_like(target), np.ones_like(source)) - _edges(weight, ~target, ~source)
    return float(total)


def opaque_weight_count(circuit: Circuit, connections: Iterable[Connection]) -> float:
    """Number of nonzero weights in the opaque blocks that a circuit's edges run through.

    A block counts once, and only if it joins two kept nodes. What an edge through a block hides is thus in view.

    Args:
        circuit: The nodes kept.
        connections: Of the model, in the circuit's graph.

    Returns:
        Weights, from 0, lower is better.
    """
    crossed = {
        connection.block.name: connection.block.weights
        for connection, _, target, source in joined(circuit, connections)
        if connection.block is not None and target.any() and source.any()
    }
    return float(sum(crossed.values()))


def description_bits(circuit: Circuit, connections: Iterable[Connection]) -> float:
    """Bits that say which nodes and edges a circuit has, and each edge's weight to 8 bits.

    log2 C(all nodes, kept nodes), plus for each connection log2 C(pairs of kept nodes, edges) + 8 bits an edge. Dead
    nodes cost a little here, as they must be told from the kept ones; they cost nothing in any other size.

    Args:
        circuit: The nodes kept.
        connections: Of the model, in the circuit's graph.

    Returns:
        Bits, from 0, lower is better.
    """
    nodes = sum(len(mask) for mask in masks_of(circuit).values())
    bits = _choice_bits(nodes, int(node_count(circuit)))
    for _, weight, target, source in joined(circuit, connections):
        edges = _edges(weight, target, source)
        bits += _choice_bits(int(target.sum()) * int(source.sum()), edges) + BITS_PER_EDGE * edges
    return bits


def mass_edge_count(attributions: Iterable[Array], mass: Number = 0.95) -> float:
    """Fewest edges that carry a share of every target's attribution.

    For each row the fewest sources whose absolute attributions add up to `mass` of the row's absolute sum, summed over
    rows and matrices. A row without attribution needs no source, and a source without attribution is never needed.

    Args:
        attributions: `[target, source]` for each connection, in any unit.
        mass: Share to carry, above 0 and at most 1.

    Returns:
        Edges, from 0, lower is sparser.

    Raises:
        ValueError: For a mass outside (0, 1].
    """
    return edges_for_mass(attributions, mass)[0]


def edges_for_mass(attributions: Iterable[Array], mass: Number) -> tuple[float, float]:
    """`mass_edge_count`, and the number of all pairs."""
    (wanted,) = numbers(MASS, mass=mass)
    edges = pairs = 0.0
    for index, given in enumerate(attributions):
        (matrix,) = checked(**{f"attributions[{index}]": (given, "target source")})
        edges += _sources_for_mass(np.abs(matrix.astype(np.float64)), wanted)
        pairs += matrix.size
    return edges, pairs


class Joined(NamedTuple):
    """A connection, its weight `[target, source]` if it has one, and which of its targets and sources are kept."""

    connection: Connection
    weight: NDArray[Any] | None
    target: NDArray[np.bool_]
    source: NDArray[np.bool_]


def joined(circuit: Circuit, connections: Iterable[Connection]) -> Iterator[Joined]:
    """Connections, checked against the circuit that they are to be counted in."""
    masks = masks_of(circuit) | {name: np.ones(1, dtype=np.bool_) for name in TERMINALS}
    for connection in connections:
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
    found = {}
    for site, given in circuit.masks.items():
        (mask,) = checked(**{f"the mask of {site}": (given, "node", MASK)})
        found[site] = mask.astype(np.bool_)
    return found


def _edges(weight: NDArray[Any] | None, target: NDArray[np.bool_], source: NDArray[np.bool_]) -> int:
    """Edges between some targets and sources; all pairs where there is no weight."""
    if weight is None:
        return int(target.sum()) * int(source.sum())
    return int(np.count_nonzero(weight[np.ix_(target, source)]))


def _choice_bits(things: int, chosen: int) -> float:
    """log2 of the number of ways to choose `chosen` of `things`."""
    if chosen in (0, things):
        return 0.0
    ways = gammaln(things + 1) - gammaln(chosen + 1) - gammaln(things - chosen + 1)
    return float(ways) / math.log(2)


def _sources_for_mass(magnitudes: NDArray[np.float64], mass: float) -> float:
    carried = np.cumsum(-np.sort(-magnitudes, axis=1), axis=1)
    if carried.size == 0:
        return 0.0
    wanted = mass * (1 - 1e-12) * carried[:, -1:]  # so that rounding of the sum asks for no further source
    return float(((carried < wanted).sum(axis=1) + (carried[:, -1] > 0)).sum())
