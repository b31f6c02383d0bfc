"""Asks whether what a circuit calls the same is the same: values changed between prompts of a class, and two levels.

Gao et al. 2025 (arXiv 2511.13653), lightly. *Interchange* (appendix E, condition 1 of causal scrubbing): every kept
node takes its values from prompts of the same answer and length, each node from others, so that what it computes from
is as mixed as what it gives on. Deviation: a node's class is taken to be the answer, not a claim made for it by hand.
*Binarised* (figure 34, where the loss is 0.24 to 0.54): every kept node takes one of two levels. Deviation: threshold
and levels have the least squared error instead of being learned.
"""

from dataclasses import dataclass, replace

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
"""Draws of donors, over which the interchange loss is averaged."""


@dataclass(frozen=True, eq=False)
class Levels:
    """Two levels for each of some nodes.

    Attributes:
        threshold: A value above it takes the high level.
        low: The low level.
        high: The high level.
    """

    threshold: Float[Tensor, " node"]
    low: Float[Tensor, " node"]
    high: Float[Tensor, " node"]

    def __call__(self, values: Float[Tensor, "*row node"]) -> Float[Tensor, "*row node"]:
        """Values at their levels."""
        return torch.where(values > self.threshold, self.high, self.low)


@torch.no_grad()
def causal_scrubbing(case: DiscoveredCircuit) -> list[Measurement]:
    """Task loss with values resampled within a class, and with values at two levels fitted on validation prompts."""
    return scrubbed(case, case.setting.prompts.validation)


def scrubbed(case: CircuitUnderTest, known: PromptBatch) -> list[Measurement]:
    """The same for any circuit, the two levels fitted on `known` prompts."""
    binarised = ablation_result(case, _changed(case, _binariser(case, known))).loss
    return [_interchanged(case), case.measured("binarised_loss", binarised)]


def _changed(case: CircuitUnderTest, change: Edit) -> Edit:
    """The circuit's edit, then a change to the kept nodes of each site, which are all that `change` is shown."""
    keep = case.edit(case.batch)

    def edit(site: Site, values: Tensor) -> Tensor:
        edited, mask = keep(site, values), case.circuit.masks.get(site.name)
        if mask is None or not mask.any():
            return edited
        changed = edited.clone()
        changed[..., mask] = change(site, edited[..., mask])
        return changed

    return edit


# Interchange


def _interchanged(case: CircuitUnderTest) -> Measurement:
    """Task loss with every kept node's values from other prompts, over the prompts that have others of their class."""
    group = classes(case.batch)
    shared = group.bincount()[group] > 1
    if not shared.any():
        return case.missing("interchange_loss", "no two prompts share answer and length")

    def exchange(site: Site, values: Tensor) -> Tensor:
        donors = class_donors(group, values.shape[-1], case.generator)
        return values.gather(0, donors[:, None, :].expand_as(values))

    edit = _changed(case, exchange)  # draws other donors in each run
    losses = [prompt_losses(answer_logits(case.model, case.batch, edit), case.batch) for _ in range(DRAWS)]
    pairs = len(case.batch.pair[shared].unique())
    return replace(case.measured("interchange_loss", float(torch.stack(losses)[:, shared].mean())), n=pairs)


def classes(batch: PromptBatch) -> Int[Tensor, " prompt"]:
    """Number of each prompt's class: prompts of the same answer and length."""
    group: Tensor = torch.stack([batch.answer, batch.last], dim=1).unique(dim=0, return_inverse=True)[1]
    return group


def class_donors(group: Int[Tensor, " prompt"], nodes: int, generator: torch.Generator) -> Int[Tensor, "prompt node"]:
    """For each prompt and node a prompt of the same class: the prompts of a class permuted, for each node anew."""
    home = group.argsort(stable=True)
    noise = torch.rand(len(group), nodes, generator=generator, dtype=torch.float64)
    mixed = (group[:, None] + noise).argsort(dim=0)
    return torch.empty_like(mixed).index_copy_(0, home, mixed)


# Two levels


def _binariser(case: CircuitUnderTest, known: PromptBatch) -> Edit:
    """The edit that puts each kept node at one of two levels, fitted on the circuit's run of some prompts."""
    seen = record(case.model, known.tokens, case.edit(known))
    real = torch.arange(known.tokens.shape[1]) <= known.positions
    masks = {name: mask for name, mask in case.circuit.masks.items() if mask.any()}
    levels = {name: two_levels(seen[name][real][:, mask]) for name, mask in masks.items()}
    return lambda site, values: levels[site.name](values)


def two_levels(values: Float[Tensor, "sample node"]) -> Levels:
    """For each node the threshold of least squared error, and the means on either side of it.

    Every threshold between two neighbouring values is tried. A node of one value has that value as both levels.
    """
    ordered = values.double().sort(dim=0).values
    count, sums = len(ordered), ordered.cumsum(dim=0)
    below = torch.arange(1, count, dtype=torch.float64)[:, None]
    low, high = sums[:-1] / below, (sums[-1] - sums[:-1]) / (count - below)
    explained = below * (count - below) * (high - low).square()
    explained[ordered[1:] == ordered[:-1]] = -1.0
    best = explained.argmax(dim=0, keepdim=True)
    threshold = (ordered.gather(0, best) + ordered.gather(0, best + 1)) / 2
    return Levels(*(each.to(values.dtype) for each in (threshold[0], low.gather(0, best)[0], high.gather(0, best)[0])))
