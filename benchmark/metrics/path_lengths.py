"""Metrics of a circuit's computational depth: the units on its paths from the embeddings to the logits."""

import math
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.shares import share
from benchmark.metrics.size import Circuit, Connections, joined
from benchmark.model.terminals import EMBEDDING, LOGITS

Inflow = Mapping[str, list[tuple[str, NDArray[np.float64]]]]
"""By target site, its source sites and the strengths of edges between kept nodes, `[target, source]`."""


def path_length(circuit: Circuit, connections: Connections) -> float:
    """Mean number of units on a path from the embeddings to the logits.

    A path's weight is the product over its edges of each edge's share of all that enters its target. That is the
    influence of Ameisen et al. 2025 (https://transformer-circuits.pub/2025/attribution-graphs/methods.html, "Computing
    Node Influence"), whose mean path length (section "Evaluating") this follows. Rewriting a computation of several
    hops as one (Lange et al. 2026) lowers it.

    Args:
        circuit: The nodes kept.
        connections: In the unit graph; signs do not matter. If the units of a site differ in scale, weights are poor
            measures of edges: pass attributions instead, as `benchmark.scoring.path_length` does.

    Returns:
        Units, from 1; neither direction is better, the reference model's value is the right one; `nan` if no path joins
        embeddings and logits, or if an opaque block joins kept nodes, so that their edges' strengths are unknown.
    """
    inflow = _inflow(circuit, connections)
    if any(np.isnan(strengths).any() for sources in inflow.values() for _, strengths in sources):
        return math.nan
    reached, units = _walk(LOGITS, inflow, {EMBEDDING: (np.ones(1), np.zeros(1))})
    return share(float(units.sum()), float(reached.sum()))


def longest_path(circuit: Circuit, connections: Connections) -> float:
    """Largest number of units on a path of edges from the embeddings to the logits.

    Args:
        circuit: The nodes kept.
        connections: In the unit graph; an opaque block joins every pair.

    Returns:
        Units, from 1; neither direction is better; `nan` if no path joins embeddings and logits.
    """
    longest = float(_farthest(LOGITS, _inflow(circuit, connections), {EMBEDDING: np.zeros(1)}).max())
    return longest if math.isfinite(longest) else math.nan


def _inflow(circuit: Circuit, connections: Connections) -> Inflow:
    """The strengths of edges into each site from kept nodes; `nan` through opaque blocks."""
    found = defaultdict(list)
    for each, weight, target, source in joined(circuit, connections):
        strengths = math.nan if weight is None else np.abs(weight.astype(np.float64))
        found[each.target].append((each.source, np.where(np.outer(target, source), strengths, 0.0)))
    return found


_Walked = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Per node of a site, the share of its inflow that originates in the embeddings, and that times its mean length."""


def _walk(site: str, inflow: Inflow, known: dict[str, _Walked]) -> _Walked:
    """Follow all paths into a site back to the embeddings."""
    if site not in known:
        entering = inflow.get(site, [])
        total = sum((strengths.sum(axis=1) for _, strengths in entering), start=np.zeros(1))
        reached, units = np.zeros_like(total), np.zeros_like(total)
        for source, strengths in entering:
            shares = strengths / np.where(total > 0, total, 1.0)[:, None]
            before, passed = _walk(source, inflow, known)
            reached = reached + shares @ _over(shares, before)
            units = units + shares @ _over(shares, passed + (source != EMBEDDING) * before)
        known[site] = reached, units
    return known[site]


def _over(strengths: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of a source's nodes; a source without inflow has one value for all of them."""
    return np.broadcast_to(values, strengths.shape[1:])


def _farthest(site: str, inflow: Inflow, known: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Units before each node of a site on the longest path to it; minus infinity if there is none."""
    if site not in known:
        paths = [np.full(1, -math.inf)]
        for source, strengths in inflow.get(site, []):
            before = _over(strengths, _farthest(source, inflow, known)) + (source != EMBEDDING)
            paths.append(np.where(strengths != 0, before, -math.inf).max(axis=1))
        known[site] = np.max(np.broadcast_arrays(*paths), axis=0)
    return known[site]
