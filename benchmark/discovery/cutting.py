"""Cuts an order of the nodes: the fewest of the first ones with which the criterion holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.discovery.bisection import COARSE, fewest_nodes
from benchmark.discovery.calibration import Calibration
from benchmark.discovery.candidates import NodeTrials
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.search import Search
from benchmark.discovery.spending import BudgetSpentError
from benchmark.html_table import html_table
from benchmark.model.circuit import Circuit
from benchmark.tasks.prompts import PromptBatch

HEADS = (0.75, 0.5, 0.25)
"""Shares of a cut that are kept when it is cut again."""

SMALLER = 0.9
"""Share of a cut's nodes that a new order may need at most to be cut."""

PATH = (0.1, 0.5, 0.9)
"""Shares of the rest of the cut at which first-order effects are taken."""


@dataclass(frozen=True, eq=False, repr=False)
class FoundCircuit:
    """A discovered circuit."""

    circuit: Circuit
    """Few nodes with which the criterion holds, or the prefix of the ranking with the lowest loss if there are none."""
    status: Literal["ok", "not_reached"]
    """`not_reached` if no prefix of the ranking meets the criterion on the sample."""
    lowest_loss: float
    """Lowest mean loss on the sample of any prefix that was tried, nats."""
    calibration: Calibration
    """Fitted on the sample."""
    curve: Mapping[int, Float[Tensor, " _"]]
    """Losses per prompt of the sample, nats, by the number of top-ranked nodes that are kept, ascending."""
    order: Int[Tensor, " node"]
    """Indices of all nodes over the sites in order: those of the circuit, then the others, most important first."""
    sample: PromptBatch
    """The prompts on which it was cut and shrunk."""
    criterion: Criterion
    """What it has to meet there."""
    minimal: bool | None = None
    """Whether every node was tried and none can be removed alone; `None` if the circuit was not shrunk."""

    def __repr__(self) -> str:
        minimal = ", 1-minimal" if self.minimal else ""
        losses = f"lowest loss {self.lowest_loss:.3f}, target {self.criterion.target:.3f}"
        return f"FoundCircuit({self.status}, {self.circuit.counted}{minimal}, {losses})"

    def _repr_html_(self) -> str:
        """Status, losses and size, and the kept nodes of each site, as tables for notebooks."""
        return html_table(("", ""), self.facts.items()) + self.circuit._repr_html_()

    @property
    def facts(self) -> dict[str, str]:
        """What one wants to know first, as text: status, losses in nats, size."""
        minimal = {True: "yes", False: "not certified", None: "no, it was only cut"}[self.minimal]
        return {
            "status": self.status,
            "nodes": self.circuit.counted.removesuffix(" nodes"),
            "lowest loss": f"{self.lowest_loss:.3f}",
            "target": f"{self.criterion.target:.3f}",
            "1-minimal": minimal,
        }


def cut_order(search: Search, order: Tensor, slack: float) -> FoundCircuit:
    """The smallest prefix of an order that meets the criterion, up to a share of its size (stage 2)."""
    losses: dict[int, Tensor] = {}

    def excess(nodes: int) -> float:
        losses[nodes] = search.sample_losses(Circuit.first(search.sites, order, nodes))
        return float(search.criterion.excess(losses[nodes][None])[0])

    nodes = fewest_nodes(excess, search.size, target=0.0, slack=slack)
    return _from_curve(search, order, losses, nodes)


def cut_at(search: Search, order: Tensor, nodes: int) -> FoundCircuit:
    """A prefix of an order, whether it meets the criterion or not."""
    losses = search.sample_losses(Circuit.first(search.sites, order, nodes))
    return _from_curve(search, order, {nodes: losses}, nodes if search.criterion.holds(losses) else None)


def cut_again(search: Search, cut: FoundCircuit, trials: NodeTrials) -> FoundCircuit:
    """A cut without the nodes that it includes only because one that is needed stands after them.

    A mask is learned on train prompts, so nodes that only validation prompts need stand late in its order. Part of the
    cut is therefore kept in its order, and all other nodes follow by their first-order effect on the sample's loss,
    averaged over the way from that part to the cut. This is repeated while it makes the cut smaller by a tenth.
    """
    try:
        while True:
            better = next((new for new in _reordered(search, cut, trials) if size_of(new) < size_of(cut)), None)
            if better is None:
                return cut
            cut = better
    except BudgetSpentError:
        return cut


def _reordered(search: Search, cut: FoundCircuit, trials: NodeTrials) -> Iterator[FoundCircuit]:
    """Cuts of orders that keep less and less of a cut, of those orders that need at most `SMALLER` of its nodes."""
    most = int(SMALLER * size_of(cut))
    orders = [_brought_forward(search, cut, trials, int(share * size_of(cut))) for share in HEADS]
    prefixes = torch.stack([Circuit.first(search.sites, order, most).row(search.sites) for order in orders])
    for holds, order in zip(trials.excess(cut.circuit.row(search.sites), prefixes) <= 0, orders, strict=True):
        if holds:
            yield cut_order(search, order, COARSE)


def _brought_forward(search: Search, cut: FoundCircuit, trials: NodeTrials, head: int) -> Int[Tensor, " node"]:
    """The first nodes of a cut in their order, then all others by their effect on the way from those to the cut."""
    first = Circuit.first(search.sites, cut.order, head).row(search.sites)
    added = cut.circuit.row(search.sites) & ~first
    effects = torch.stack([trials.effects(first + step * added) for step in PATH]).mean(0)
    late = effects.masked_fill(first, torch.inf).argsort(stable=True)[: len(first) - head]
    return torch.cat([cut.order[:head], late])


def _from_curve(search: Search, order: Tensor, losses: Mapping[int, Tensor], nodes: int | None) -> FoundCircuit:
    """The circuit of some size; that of the lowest mean loss if none meets the criterion.

    Args:
        search: The search.
        order: Nodes, most important first.
        losses: Losses on the sample, by the number of nodes that are kept.
        nodes: The size, if one meets the criterion.
    """
    means = {size: float(row.mean()) for size, row in losses.items()}
    kept = min(means, key=lambda size: (means[size], size)) if nodes is None else nodes
    return FoundCircuit(
        circuit=Circuit.first(search.sites, order, kept),
        status="not_reached" if nodes is None else "ok",
        lowest_loss=min(means.values()),
        calibration=Calibration(1.0, 0.0),
        curve=dict(sorted(losses.items())),
        order=order,
        sample=search.sample,
        criterion=search.criterion,
    )


def size_of(found: FoundCircuit) -> int:
    """Number of nodes that a circuit keeps."""
    return sum(int(mask.sum()) for mask in found.circuit.masks.values())
