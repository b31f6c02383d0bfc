"""How large a circuit is: its nodes, counted edges, verified edges, and description length in bits."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from benchmark import metrics
from benchmark.discovery.edges import verify_edges
from benchmark.discovery.rankings import RANKINGS
from benchmark.discovery.spending import CERTIFICATION
from benchmark.interventions.edge_ablation import VERIFIED_EDGES, save_edges
from benchmark.model.circuit import Circuit
from benchmark.records.table import Measurement
from benchmark.scoring.case import DiscoveredCircuit
from benchmark.seeds import seed_of
from benchmark.tasks.answers import answer_logits


def sizes(case: DiscoveredCircuit) -> list[Measurement]:
    """Sizes of the circuit; for the edges of a circuit that was only cut, the interval over resampled prompts."""
    values = {
        "nodes": metrics.node_count(case.circuit),
        "edges": metrics.edge_count(case.circuit, case.connections),
        "touched_edges": metrics.touched_edge_count(case.circuit, case.connections),
        "description_bits": metrics.description_bits(case.circuit, case.connections),
        "opaque_weights": metrics.opaque_weight_count(case.circuit, case.connections),
    }
    rows = {metric: Measurement(metric, size, ablation=case.ablation) for metric, size in values.items()}
    if case.found.minimal is None and len(case.found.curve) > 1:
        low, high = _edge_interval(case)
        pairs = case.found.sample.clusters
        rows["edges"] = replace(rows["edges"], low=low, high=high, interval="prompts", n=pairs)
    if case.found.minimal is not None:
        rows["minimal_nodes"] = _certified(case, "minimal_nodes", int(values["nodes"]), case.found.minimal)
    return list(rows.values())


def unscored_certificate(case: DiscoveredCircuit, reason: str) -> list[Measurement]:
    """The row of `minimal_nodes`, without a value for a given reason, if the circuit was shrunk."""
    return [] if case.found.minimal is None else [case.missing("minimal_nodes", reason)]


def found_sizes(case: DiscoveredCircuit) -> list[Measurement]:
    """Nodes and edges of a circuit as it was found; `not_reached` if it misses the criterion on its own sample."""
    found, pairs = case.found, case.found.sample.clusters
    rows = [
        Measurement("nodes", metrics.node_count(case.circuit), n=pairs),
        Measurement("edges", metrics.edge_count(case.circuit, case.connections), n=pairs),
    ]
    if found.status != "ok":
        return [row.without_value(found.status, f"the lowest loss is {found.lowest_loss:.3f}") for row in rows]
    if found.minimal is not None:
        rows.append(_certified(case, "minimal_nodes", int(metrics.node_count(case.circuit)), found.minimal))
    return rows


def verified_edges(case: DiscoveredCircuit) -> list[Measurement]:
    """The fewest edges with which the circuit still meets the target, which must hold on test prompts too.

    Those that do are saved in the folder of the circuit's cell.
    """
    config, found, test = case.config, case.found, case.batch
    verified = verify_edges(
        case.model,
        case.circuit,
        case.connections,
        case.means,
        found.sample,
        case.setting.windows,
        found.criterion,
        case.setting.ablation_values,
        config.budget_tokens if config.shrink else None,
        RANKINGS.named(config.ranking).edge_order,
    )
    if verified.ablation is None:
        return [case.missing("verified_edges", verified.reason, verified.status)]
    logits = answer_logits(case.model, test, case.edit(test), verified.ablation)
    loss = metrics.task_loss(logits, test.answer, test.other)
    if loss > config.target_loss + config.generalisation_margin:
        reason = f"with {verified.edges} edges the test loss is {loss:.3f}"
        return [case.missing("verified_edges", reason, "not_generalised")]
    if case.folder is not None and verified.kept is not None:
        save_edges(verified.kept, case.folder / VERIFIED_EDGES)
    rows = [case.measured("verified_edges", float(verified.edges), found.sample)]
    if verified.minimal is not None:
        rows.append(_certified(case, "minimal_edges", verified.edges, verified.minimal))
    return rows


def _certified(case: DiscoveredCircuit, metric: str, size: int, minimal: bool) -> Measurement:
    """A size, if it is known that no element can be removed alone."""
    if minimal:
        return case.measured(metric, float(size), case.found.sample)
    reason = f"not every one of {size} was tried within {CERTIFICATION * case.config.budget_tokens} tokens"
    return case.missing(metric, reason, "not_certified")


def _edge_interval(case: DiscoveredCircuit) -> tuple[float, float]:
    """95 % interval of the edge count over resampled pairs of prompts.

    In each resample the circuit is the smallest one tried that meets the target (the largest tried if none does).
    """
    found, tried = case.found, list(case.found.curve)
    losses = torch.stack([found.curve[size] for size in tried]).unflatten(1, (-1, 2)).mean(2)
    reached = losses[:, resampled(losses.shape[1], case.setting.seed)].mean(2) <= found.criterion.target
    chosen = torch.where(reached.any(0), reached.int().argmax(0), len(tried) - 1)
    edges = {
        index: metrics.edge_count(Circuit.first(case.sites, found.order, tried[index]), case.connections)
        for index in chosen.unique().tolist()
    }
    drawn = np.array([edges[index] for index in chosen.tolist()])
    low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
    return float(low), float(high)


def resampled(pairs: int, seed: int, resamples: int = 1000) -> Int[Tensor, "resample pair"]:
    """Indices of prompt pairs drawn with replacement; the two prompts of a pair stay together."""
    generator = torch.Generator().manual_seed(seed_of("resample", seed))
    return torch.randint(pairs, (resamples, pairs), generator=generator)
