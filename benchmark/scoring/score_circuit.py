"""Scores a found circuit: its size, its losses, and how well it agrees with the model that it explains."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark import metrics
from benchmark.discovery.bisection import geometric_sizes
from benchmark.discovery.calibration import calibrated_loss
from benchmark.discovery.edges import verify_edges
from benchmark.discovery.finder import FoundCircuit
from benchmark.interventions.ablation import Held, HeldOn, Means, NodeAblation, PositionMeans, ablate, held_on
from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites
from benchmark.model.interface import CircuitModel, Connection, Edit, Graph, Site, unedited
from benchmark.records.table import Measurement
from benchmark.running.config import CircuitConfig
from benchmark.scoring.causal_scrubbing import interchange
from benchmark.scoring.intervention_prediction import prediction
from benchmark.scoring.path_length import depth
from benchmark.scoring.redundant_nodes import minimality
from benchmark.scoring.robustness import Trial, robustness
from benchmark.seeds import seed_of
from benchmark.tasks.answers import answer_logits, logit_difference, prompt_losses
from benchmark.tasks.prompts import PromptBatch, TaskPrompts


@dataclass(frozen=True, eq=False)
class Setting:
    """A model with its nodes' means, and the prompts on which its circuit is found and scored.

    Attributes:
        model: The model that is cut.
        explained: The trained model that the circuit is held to; the same object where a method explains itself.
        means: What an ablated node holds.
        graph: Which sites count as nodes.
        prompts: Of the task.
        windows: Of the corpus, over which what flows along edges is averaged.
        seed: Of the bootstrap.
        position_means: What an ablated node holds under mean ablation by position.
        ablation: What an ablated node holds while the circuit is searched and scored. What flows along edges is taken
            against their sources' means, and ablated edges carry these, under every ablation.
    """

    model: CircuitModel
    explained: CircuitModel
    means: Means
    graph: Graph
    prompts: TaskPrompts
    windows: Int[Tensor, "window position"]
    seed: int
    position_means: PositionMeans = field(default_factory=dict)
    ablation: NodeAblation = "mean"

    @property
    def held_on(self) -> HeldOn:
        """What ablated nodes hold on given prompts."""
        seed = seed_of("ablations", self.seed)
        return held_on(self.ablation, self.model, self.means, self.position_means, seed)

    @cached_property
    def held(self) -> Held:
        """What ablated nodes hold on test prompts."""
        return self.held_on(self.prompts.test)


@torch.no_grad()
def score_circuit(setting: Setting, found: FoundCircuit, config: CircuitConfig) -> list[Measurement]:
    """All measurements of a found circuit, on test prompts."""
    sites = node_sites(setting.model, setting.graph)
    views = {
        "explained": answer_logits(setting.explained, setting.prompts.test, unedited),
        "whole": _test_logits(setting, unedited),
        "circuit": _test_logits(setting, ablate(found.circuit, setting.held)),
        "complement": _test_logits(setting, ablate(found.circuit.complement(), setting.held)),
        "empty": _test_logits(setting, ablate(Circuit.empty(sites), setting.held)),
    }
    status, reason = _status(setting, found, views, config)
    connections = list(setting.model.connections(setting.graph))
    trial = _trial(setting, found, sites, views["explained"])
    rows = [
        *_size_rows(found, connections, setting, config),
        _verified_edges(trial, found, connections, setting, config),
        *_faithfulness_rows(trial, views, setting.seed),
        trial.measured("calibrated_loss", float(calibrated(found, views["circuit"], trial.batch))),
    ]
    rows += robustness(trial)
    rows += minimality(trial)
    rows += interchange(trial, setting.prompts.validation)
    rows += prediction(trial)
    rows += depth(trial, setting.explained, connections, setting.windows)
    if status != "ok":
        rows = [row.without_value(status, reason) for row in rows]
    return rows + _loss_rows(trial, setting, views, found) + _area_rows(trial, setting, found, views, config)


def _trial(setting: Setting, found: FoundCircuit, sites: tuple[Site, ...], explained: Tensor) -> Trial:
    generator = torch.Generator().manual_seed(seed_of("ablations", setting.seed))
    return Trial(
        model=setting.model,
        sites=sites,
        circuit=found.circuit,
        means=setting.means,
        batch=setting.prompts.test,
        explained=explained,
        generator=generator,
        position_means=setting.position_means or None,
        ablation=setting.ablation,
    )


def _test_logits(setting: Setting, edit: Edit) -> Float[Tensor, "prompt vocab"]:
    return answer_logits(setting.model, setting.prompts.test, edit)


def _status(
    setting: Setting, found: FoundCircuit, views: Mapping[str, Tensor], config: CircuitConfig
) -> tuple[str, str]:
    """Whether the circuit counts, and if not, why."""
    test = setting.prompts.test
    whole, circuit = (float(prompt_losses(views[name], test).mean()) for name in ("whole", "circuit"))
    if found.status == "ok" and circuit <= config.target_loss + config.generalisation_margin:
        return "ok", ""
    if whole > config.target_loss:
        return "unsolved", f"the whole model's test loss is {whole:.3f}, above {config.target_loss}"
    if found.status == "not_reached":
        return "not_reached", f"the lowest validation loss of any prefix is {found.lowest_loss:.3f}"
    return "not_generalised", f"test loss {circuit:.3f}, above {config.target_loss} + {config.generalisation_margin}"


def _size_rows(
    found: FoundCircuit, connections: Iterable[Connection], setting: Setting, config: CircuitConfig
) -> list[Measurement]:
    """Sizes of the circuit; for edges with the interval over resampled validation prompts."""
    connections = list(connections)
    low, high = edge_interval(found, connections, setting, config.target_loss)
    sizes = {
        "nodes": metrics.node_count(found.circuit),
        "edges": metrics.edge_count(found.circuit, connections),
        "touched_edges": metrics.touched_edge_count(found.circuit, connections),
        "description_bits": metrics.description_bits(found.circuit, connections),
        "opaque_weights": metrics.opaque_weight_count(found.circuit, connections),
    }
    rows = {metric: Measurement(metric, size, ablation=setting.ablation) for metric, size in sizes.items()}
    pairs = setting.prompts.validation.clusters
    rows["edges"] = replace(rows["edges"], low=low, high=high, interval="prompts", n=pairs)
    return list(rows.values())


def _verified_edges(
    trial: Trial, found: FoundCircuit, connections: Iterable[Connection], setting: Setting, config: CircuitConfig
) -> Measurement:
    """The fewest edges with which the target still holds, on test prompts too."""
    validation, test = setting.prompts.validation, trial.batch
    verified = verify_edges(
        setting.model,
        found.circuit,
        connections,
        setting.means,
        validation,
        setting.windows,
        config.target_loss,
        setting.held_on,
    )
    if verified.ablation is None:
        return trial.missing("verified_edges", verified.reason, verified.status)
    logits = answer_logits(setting.model, test, trial.edit(test), verified.ablation)
    loss = metrics.task_loss(logits, test.answer, test.other)
    if loss > config.target_loss + config.generalisation_margin:
        reason = f"with {verified.edges} edges the test loss is {loss:.3f}"
        return trial.missing("verified_edges", reason, "not_generalised")
    return trial.measured("verified_edges", float(verified.edges), validation)


def edge_interval(
    found: FoundCircuit, connections: Iterable[Connection], setting: Setting, target: float
) -> tuple[float, float]:
    """95 % interval of the edge count when validation prompts are resampled and the ranking is cut anew.

    Pairs are drawn with replacement; each draw keeps the smallest size that was tried whose resampled loss meets the
    target (the largest tried if none does).
    """
    sites = node_sites(setting.model, setting.graph)
    tried = list(found.curve)
    losses = torch.stack([found.curve[size] for size in tried]).unflatten(1, (-1, 2)).mean(2)
    reached = losses[:, resampled(losses.shape[1], setting.seed)].mean(2) <= target
    chosen = torch.where(reached.any(0), reached.int().argmax(0), len(tried) - 1)
    edges = {
        index: metrics.edge_count(Circuit.first(sites, found.order, tried[index]), connections)
        for index in chosen.unique().tolist()
    }
    drawn = np.array([edges[index] for index in chosen.tolist()])
    low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
    return float(low), float(high)


def resampled(pairs: int, seed: int, resamples: int = 1000) -> Int[Tensor, "resample pair"]:
    """Indices of prompt pairs drawn with replacement: the two prompts of a pair always come together."""
    generator = torch.Generator().manual_seed(seed_of("resample", seed))
    return torch.randint(pairs, (resamples, pairs), generator=generator)


def _faithfulness_rows(trial: Trial, views: Mapping[str, Tensor], seed: int) -> list[Measurement]:
    """How well circuit and complement agree with the explained model."""
    test = trial.batch
    loss = {name: metrics.task_loss(logits, test.answer, test.other) for name, logits in views.items()}
    difference = {name: logit_difference(logits, test) for name, logits in views.items()}
    r2 = metrics.logit_difference_r2(difference["explained"], difference["circuit"])
    recovered = metrics.recovered_task_loss(loss["circuit"], loss["explained"], loss["empty"])
    return [
        _agreement("faithfulness", "circuit", trial, views, seed),
        _agreement("completeness", "complement", trial, views, seed),
        trial.measured("logit_difference_r2", r2),
        trial.measured("necessity", loss["complement"]),
        trial.measured("recovered_task_loss", recovered),
    ]


def _agreement(metric: str, view: str, trial: Trial, views: Mapping[str, Tensor], seed: int) -> Measurement:
    """Faithfulness of a view to the explained model, with its interval over resampled pairs."""
    test = trial.batch
    kls = {
        name: torch.tensor(
            [
                metrics.pair_kl(views["explained"][rows], views[name][rows], test.answer[rows], test.other[rows])
                for rows in torch.arange(len(test)).split(2)
            ]
        )
        for name in (view, "empty")
    }
    value = metrics.faithfulness(float(kls[view].mean()), float(kls["empty"].mean()))
    draws = resampled(len(test) // 2, seed)
    scores = 1 - kls[view][draws].mean(1) / kls["empty"][draws].mean(1)
    low, high = scores.quantile(torch.tensor([0.025, 0.975], dtype=scores.dtype)).tolist()
    return replace(trial.measured(metric, value), low=low, high=high, interval="prompts")


def calibrated(found: FoundCircuit, logits: Tensor, test: PromptBatch) -> Float[Tensor, ""]:
    """Test loss of the circuit after the scale and shift fitted on validation prompts, nats."""
    scale, shift = torch.tensor([found.calibration.scale, found.calibration.shift])
    return calibrated_loss(logit_difference(logits, test), scale, shift)


def _loss_rows(trial: Trial, setting: Setting, views: Mapping[str, Tensor], found: FoundCircuit) -> list[Measurement]:
    """Losses, which have a value whatever the status."""
    named = {"whole_loss": "whole", "explained_loss": "explained", "empty_loss": "empty", "circuit_loss": "circuit"}
    test = trial.batch
    rows = [
        trial.measured(metric, metrics.task_loss(views[view], test.answer, test.other))
        for metric, view in named.items()
    ]
    return [*rows, trial.measured("lowest_loss", found.lowest_loss, setting.prompts.validation)]


def _area_rows(
    trial: Trial, setting: Setting, found: FoundCircuit, views: Mapping[str, Tensor], config: CircuitConfig
) -> list[Measurement]:
    """Areas under faithfulness over log size, along the ranking."""
    test, sites = trial.batch, trial.sites
    total = sum(site.size for site in sites)
    empty = metrics.pair_kl(views["explained"], views["empty"], test.answer, test.other)
    sizes = [size for size in geometric_sizes(total, config.area_factor) if size <= config.largest_size]
    scores = []
    for size in sizes:
        logits = _test_logits(setting, ablate(Circuit.first(sites, found.order, size), setting.held))
        kl = metrics.pair_kl(views["explained"], logits, test.answer, test.other)
        scores.append(metrics.faithfulness(kl, empty))
    return [
        trial.measured("cpr", metrics.cpr(sizes, scores, config.largest_size)),
        trial.measured("cmd", metrics.cmd(sizes, scores, config.largest_size)),
    ]
