"""How faithful a circuit is to the reference model, and the losses that this is computed from."""

from dataclasses import replace

import torch

from benchmark import metrics
from benchmark.discovery.bisection import geometric_sizes
from benchmark.discovery.calibration import calibrated_loss
from benchmark.metrics.shares import ONE_NAT, shares
from benchmark.model.circuit import Circuit
from benchmark.records.table import Measurement
from benchmark.scoring.case import DiscoveredCircuit
from benchmark.scoring.sizes import resampled
from benchmark.tasks.answers import first_answer_difference, logit_difference

AGREEMENTS = ("faithfulness", "completeness", "logit_difference_r2", "necessity", "recovered_task_loss")
"""The metrics of `faithfulness`."""


def faithfulness(case: DiscoveredCircuit) -> list[Measurement]:
    """Agreement of the circuit and of its complement with the reference model."""
    views, test = case.logits, case.batch
    loss = {name: metrics.task_loss(logits, test.answer, test.other) for name, logits in views.items()}
    difference = {name: first_answer_difference(logits, test) for name, logits in views.items()}
    r2 = metrics.logit_difference_r2(difference["reference"], difference["circuit"])
    recovered = metrics.recovered_task_loss(loss["circuit"], loss["reference"], loss["empty"])
    return [
        _agreement("faithfulness", "circuit", case),
        _agreement("completeness", "complement", case),
        case.measured("logit_difference_r2", r2),
        case.measured("necessity", loss["complement"]),
        case.measured("recovered_task_loss", recovered),
    ]


def _agreement(metric: str, view: str, case: DiscoveredCircuit) -> Measurement:
    """Faithfulness of one of `case.logits` to the reference model, with its interval over resampled pairs."""
    views, test = case.logits, case.batch
    kls = {}
    for name in (view, "empty"):
        of_prompts = metrics.prompt_kls(views["reference"], views[name], test.answer, test.other)
        kls[name] = torch.from_numpy(of_prompts.reshape(-1, 2).mean(axis=1)).float()
    value = metrics.faithfulness(float(kls[view].mean()), float(kls["empty"].mean()))
    draws = resampled(len(test) // 2, case.setting.seed)
    scores = 1 - torch.from_numpy(shares(*(kls[name][draws].mean(1).numpy() for name in (view, "empty")), ONE_NAT))
    low, high = scores.quantile(torch.tensor([0.025, 0.975], dtype=scores.dtype)).tolist()
    return replace(case.measured(metric, value), low=low, high=high, interval="prompts")


def calibration(case: DiscoveredCircuit) -> list[Measurement]:
    """Test loss after the scale and shift that were fitted on validation prompts are applied."""
    scale, shift = torch.tensor([case.found.calibration.scale, case.found.calibration.shift])
    loss = calibrated_loss(logit_difference(case.logits["circuit"], case.batch), scale, shift)
    return [case.measured("calibrated_loss", float(loss))]


def losses(case: DiscoveredCircuit) -> list[Measurement]:
    """Losses, which are defined whatever the circuit's status."""
    named = {"whole_loss": "whole", "explained_loss": "reference", "empty_loss": "empty", "circuit_loss": "circuit"}
    views, test = case.logits, case.batch
    rows = [
        case.measured(metric, metrics.task_loss(views[view], test.answer, test.other)) for metric, view in named.items()
    ]
    return [*rows, case.measured("lowest_loss", case.found.lowest_loss, case.found.sample)]


def areas(case: DiscoveredCircuit) -> list[Measurement]:
    """Areas under the faithfulness curve over log circuit size, along the ranking."""
    views, test, config = case.logits, case.batch, case.config
    total = sum(site.size for site in case.sites)
    empty = metrics.pair_kl(views["reference"], views["empty"], test.answer, test.other)
    sizes = [size for size in geometric_sizes(total, config.area_factor) if size <= config.largest_size]
    scores = []
    for size in sizes:
        logits = case.logits_of(Circuit.first(case.sites, case.found.order, size))
        kl = metrics.pair_kl(views["reference"], logits, test.answer, test.other)
        scores.append(metrics.faithfulness(kl, empty))
    return [
        case.measured("cpr", metrics.cpr(sizes, scores, config.largest_size)),
        case.measured("cmd", metrics.cmd(sizes, scores, config.largest_size)),
    ]
