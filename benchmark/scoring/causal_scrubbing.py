"""Causal scrubbing: task loss with node values resampled within an equivalence class, and with nodes binarised.

A light version of Gao et al. 2025 (arXiv 2511.13653). *Interchange* (appendix E, condition 1 of causal scrubbing):
every kept node takes its values from prompts with the same answer and length, independently per node, so a node's
inputs are resampled as much as its output. Deviation: a node's equivalence class is the answer, not a hypothesis
written by hand. *Binarised* (figure 34, where the loss is 0.24 to 0.54): every kept node takes one of two levels.
Deviation: threshold and levels minimise the squared error instead of being learned.
"""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.model.interface import Edit, Site, record
from benchmark.records.table import Measurement
from benchmark.scoring.case import CircuitUnderTest, DiscoveredCircuit
from benchmark.scoring.robustness import ablation_result
from benchmark.tasks.answers import answer_logits, prompt_losses
from benchmark.tasks.prompts import PromptBatch

DRAWS = 3
"""Draws of donor prompts over which the interchange loss is averaged."""


@torch.no_grad()
def causal_scrubbing(case: DiscoveredCircuit) -> list[Measurement]:
    """Task loss with values resampled within a class, and with values binarised as fitted on validation prompts."""
    return scrubbed(case, case.setting.prompts.validation)


def scrubbed(case: CircuitUnderTest, known: PromptBatch) -> list[Measurement]:
    """The same for any circuit, with the two levels fitted to the circuit's run of the `known` prompts."""
    seen = record(case.model, known.tokens, case.edit(known))
    masks = {name: mask for name, mask in case.circuit.masks.items() if mask.any()}
    levels = {name: two_levels(seen[name][known.real][:, mask]) for name, mask in masks.items()}

    def binarise(site: Site, values: Tensor) -> Tensor:
        threshold, low, high = levels[site.name]
        return torch.where(values > threshold, high, low)

    binarised = ablation_result(case, _changed(case, binarise)).loss
    return [_interchanged(case), case.measured("binarised_loss", binarised)]


def _changed(case: CircuitUnderTest, change: Edit) -> Edit:
    """The circuit's edit followed by a change of the kept nodes of each site; `change` sees only these."""
    keep = case.edit(case.batch)

    def edit(site: Site, values: Tensor) -> Tensor:
        edited, mask = keep(site, values), case.circuit.masks.get(site.name)
        if mask is None or not mask.any():
            return edited
        changed = edited.clone()
        changed[..., mask] = change(site, edited[..., mask])
        return changed

    return edit


def _interchanged(case: CircuitUnderTest) -> Measurement:
    """Task loss with every kept node's values resampled, over the prompts that are not alone in their class."""
    group = classes(case.batch)
    shared = group.bincount()[group] > 1
    if not shared.any():
        return case.missing("interchange_loss", "no two prompts share answer and length")

    def exchange(site: Site, values: Tensor) -> Tensor:
        donors = class_donors(group, values.shape[-1], case.generator).to(values.device)
        return values.gather(0, donors[:, None, :].expand_as(values))

    edit = _changed(case, exchange)  # draws new donors in each run
    losses = [prompt_losses(answer_logits(case.model, case.batch, edit), case.batch) for _ in range(DRAWS)]
    pairs = len(case.batch.pair[shared].unique())
    return replace(case.measured("interchange_loss", float(torch.stack(losses)[:, shared].mean())), n=pairs)


def classes(batch: PromptBatch) -> Int[Tensor, " prompt"]:
    """The class of each prompt, as an index: prompts with the same answer and length."""
    group: Tensor = torch.stack([batch.answer, batch.last], dim=1).unique(dim=0, return_inverse=True)[1]
    return group


def class_donors(group: Int[Tensor, " prompt"], nodes: int, generator: torch.Generator) -> Int[Tensor, "prompt node"]:
    """A prompt of the same class for each prompt and node: each class is permuted, independently per node."""
    home = group.argsort(stable=True)
    noise = torch.rand(len(group), nodes, generator=generator, dtype=torch.float64)
    mixed = (group[:, None] + noise).argsort(dim=0)
    return torch.empty_like(mixed).index_copy_(0, home, mixed)


def two_levels(values: Float[Tensor, "sample node"]) -> Float[Tensor, "3 node"]:
    """The threshold with the least squared error for each node, and the low and the high mean on either side of it.

    Every threshold between two neighbouring values is tried. A constant node has its value as both levels.
    """
    ordered = values.cpu().double().sort(dim=0).values
    count, sums = len(ordered), ordered.cumsum(dim=0)
    below = torch.arange(1, count, dtype=torch.float64)[:, None]
    low, high = sums[:-1] / below, (sums[-1] - sums[:-1]) / (count - below)
    explained = below * (count - below) * (high - low).square()
    explained[ordered[1:] == ordered[:-1]] = -1.0
    best = explained.argmax(dim=0, keepdim=True)
    threshold = (ordered.gather(0, best) + ordered.gather(0, best + 1)) / 2
    return torch.cat([threshold, low.gather(0, best), high.gather(0, best)]).to(values)
