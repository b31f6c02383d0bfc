"""Metrics of a circuit's size: nodes, edges, bits, and the weights that opaque blocks hide."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.special import gammaln

from benchmark.metrics.arrays import Array, double, exact
from benchmark.model.circuit import Circuit
from benchmark.model.graph import TERMINALS
from benchmark.model.interface import Connection

BITS_PER_EDGE = 8
"""What writing down one weight costs in `description_bits`."""


def node_count(circuit: Circuit) -> float:
    """Number of nodes that a circuit keeps, Gao et al. 2025 (arXiv 2511.13653) section 2.2; lower is better."""
    return float(sum(exact(mask).sum() for mask in circuit.masks.values()))


def edge_count(circuit: Circuit, connections: Iterable[Connection]) -> float:
    """Number of edges between kept nodes, Gao et al. 2025 section 2.2.

    An edge is a nonzero weight with both ends kept; where a connection has no weight (an opaque block joins its ends),
    every pair of kept nodes counts. A connection with an end that is no node of the circuit's graph counts nothing, the
    ends of the unit graph apart: embeddings and logits are always kept.

    Args:
        circuit: The nodes kept.
        connections: Of the model, in the circuit's graph.

    Returns:
        Edges, from 0, lower is better.
    """
    return float(sum(_edges(part) for part in _joined(circuit, connections)))


def touched_edge_count(circuit: Circuit, connections: Iterable[Connection]) -> float:
    """Number of edges with at least one end kept: what a reader meets who looks at everything the circuit touches.

    Args:
        circuit: The nodes kept.
        connections: Of the model, in the circuit's graph.

    Returns:
        Edges, from 0, never fewer than `edge_count`, lower is better.
    """
    total = 0
    for connection, target, source in _joined(circuit, connections):
        everywhere = _edges((connection, np.ones_like(target), np.ones_like(source)))
        total += everywhere - _edges((connection, ~target, ~source))
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
        for connection, target, source in _joined(circuit, connections)
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
    nodes = sum(len(mask) for mask in circuit.masks.values())
    bits = _choice_bits(nodes, int(node_count(circuit)))
    for part in _joined(circuit, connections):
        _, target, source = part
        edges = _edges(part)
        bits += _choice_bits(int(target.sum()) * int(source.sum()), edges) + BITS_PER_EDGE * edges
    return bits


def mass_edge_count(attributions: Iterable[Float[Array, "_target _source"]], mass: float = 0.95) -> float:
    """Fewest edges that carry a share of every target's attribution.

    For each row the fewest sources whose absolute attributions add up to `mass` of the row's absolute sum, summed over
    rows and matrices. A row without attribution needs no source, and a source without attribution is never needed.

    Args:
        attributions: `[target, source]` for each connection, in any unit.
        mass: Share to carry, above 0 and at most 1.

    Returns:
        Edges, from 0, lower is sparser; `nan` if an attribution is.

    Raises:
        ValueError: For a mass outside (0, 1].
    """
    if not 0 < mass <= 1:
        raise ValueError(f"mass must be above 0 and at most 1, got {mass}")
    return float(sum(_sources_for_mass(np.abs(double(matrix)), mass) for matrix in attributions))


_Part = tuple[Connection, NDArray[np.bool_], NDArray[np.bool_]]
"""A connection, and which of its target and source nodes to look at."""


def _joined(circuit: Circuit, connections: Iterable[Connection]) -> Iterator[_Part]:
    """The connections of which both ends are sites of the circuit's graph, with the masks of target and source."""
    masks = {name: _mask(mask) for name, mask in circuit.masks.items()}
    masks |= {name: np.ones(1, dtype=np.bool_) for name in TERMINALS}
    for connection in connections:
        if connection.target in masks and connection.source in masks:
            yield connection, masks[connection.target], masks[connection.source]


def _mask(mask: Bool[Array, " node"]) -> NDArray[np.bool_]:
    return exact(mask).astype(np.bool_)


def _edges(part: _Part) -> int:
    """Edges between the chosen targets and sources of a connection."""
    connection, target, source = part
    if connection.weight is None:
        return int(target.sum()) * int(source.sum())
    return int(np.count_nonzero(exact(connection.weight)[np.ix_(target, source)]))


def _choice_bits(things: int, chosen: int) -> float:
    """log2 of the number of ways to choose `chosen` of `things`."""
    if chosen in (0, things):
        return 0.0
    ways = gammaln(things + 1) - gammaln(chosen + 1) - gammaln(things - chosen + 1)
    return float(ways) / math.log(2)


def _sources_for_mass(magnitudes: NDArray[np.float64], mass: float) -> float:
    if np.isnan(magnitudes).any():
        return math.nan
    carried = np.cumsum(-np.sort(-magnitudes, axis=1), axis=1)
    if carried.size == 0:
        return 0.0
    wanted = mass * (1 - 1e-12) * carried[:, -1:]  # so that rounding of the sum asks for no further source
    return float(((carried < wanted).sum(axis=1) + (carried[:, -1] > 0)).sum())
