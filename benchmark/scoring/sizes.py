"""How large a circuit is: its nodes, counted edges, verified edges, and description length in bits."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from benchmark import metrics
from benchmark.discovery.edges import verify_edges
from benchmark.model.circuit import Circuit
from benchmark.records.table import Measurement
from benchmark.scoring.case import DiscoveredCircuit
from benchmark.seeds import seed_of
from benchmark.tasks.answers import answer_logits


def sizes(case: DiscoveredCircuit) -> list[Measurement]:
    """Sizes of the circuit, and for edges the interval over resampled validation prompts."""
    low, high = _edge_interval(case)
    values = {
        "nodes": metrics.node_count(case.circuit),
        "edges": metrics.edge_count(case.circuit, case.connections),
        "touched_edges": metrics.touched_edge_count(case.circuit, case.connections),
        "description_bits": metrics.description_bits(case.circuit, case.connections),
        "opaque_weights": metrics.opaque_weight_count(case.circuit, case.connections),
    }
    rows = {metric: Measurement(metric, size, ablation=case.ablation) for metric, size in values.items()}
    pairs = case.setting.prompts.validation.clusters
    rows["edges"] = replace(rows["edges"], low=low, high=high, interval="prompts", n=pairs)
    return list(rows.values())


def verified_edges(case: DiscoveredCircuit) -> list[Measurement]:
    """The fewest edges with which the circuit still meets the target, which must hold on test prompts too."""
    config, setting, validation, test = case.config, case.setting, case.setting.prompts.validation, case.batch
    verified = verify_edges(
        case.model,
        case.circuit,
        case.connections,
        case.means,
        validation,
        setting.windows,
        config.target_loss,
        setting.ablation_values,
    )
    if verified.ablation is None:
        return [case.missing("verified_edges", verified.reason, verified.status)]
    logits = answer_logits(case.model, test, case.edit(test), verified.ablation)
    loss = metrics.task_loss(logits, test.answer, test.other)
    if loss > config.target_loss + config.generalisation_margin:
        reason = f"with {verified.edges} edges the test loss is {loss:.3f}"
        return [case.missing("verified_edges", reason, "not_generalised")]
    return [case.measured("verified_edges", float(verified.edges), validation)]


def _edge_interval(case: DiscoveredCircuit) -> tuple[float, float]:
    """95 % interval of the edge count over resampled pairs of validation prompts.

    In each resample the circuit is the smallest one tried that meets the target (the largest tried if none does).
    """
    found, tried = case.found, list(case.found.curve)
    losses = torch.stack([found.curve[size] for size in tried]).unflatten(1, (-1, 2)).mean(2)
    reached = losses[:, resampled(losses.shape[1], case.setting.seed)].mean(2) <= case.config.target_loss
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
