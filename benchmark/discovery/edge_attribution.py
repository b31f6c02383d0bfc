"""How much flows along each edge of a circuit, which determines the order in which edges are ablated.

- An edge with a weight: mean of |W[t, s] (u_s - mean u_s)| over prompts and positions where the target is nonzero,
  before the target's nonlinearity; for value nodes u is after mixing by the attention pattern. A target that averages
  what it reads over earlier positions counts at all positions up to the last at which it is nonzero. Edges to the
  logits are projected onto the answer's direction. Where a node has several reads or writes, what flows by each is
  added up.
- An edge through an opaque block: integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365), with the absolute
  value taken after summing over positions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.interventions.ablation import Means
from benchmark.interventions.edge_ablation import AblatedEdges, KeptConnection, SitePair
from benchmark.model.devices import device_of, in_double
from benchmark.model.edge_hooks import WROTE
from benchmark.model.graph import EMBEDDING, LOGITS
from benchmark.model.interface import CircuitModel, EdgeAblation, Edit, Site, Sources, averaged_sites, begin, run_stages
from benchmark.tasks.answers import answer_logits
from benchmark.tasks.prompts import PromptBatch

IG_STEPS = 10
"""Steps of integrated gradients."""

IG_PROMPTS = 16
"""Prompts for integrated gradients."""

EditOn = Callable[[PromptBatch], Edit]
"""The circuit's edit on given prompts."""


@dataclass
class _Watch:
    """An edge ablation that ablates nothing and records what every target receives from its sources."""

    seen: dict[SitePair, tuple[Tensor, Tensor | None]] = field(default_factory=dict)
    """By source and target, what the source contributes, and the norm's scale if it is read through the stream."""
    brought: dict[str, Tensor] = field(default_factory=dict)
    """What each source contributes."""

    def __call__(self, target: str, direct: Sources, stream: Sources, scale: Tensor | None) -> None:
        """Record the sources."""
        self.seen |= {(source, target): (values, None) for source, values in direct.items()}
        self.seen |= {(source, target): (values, scale) for source, values in stream.items()}
        self.brought |= {**direct, **stream}

    def opaque(self, target: str, source: str) -> None:
        """No edge is ablated."""

    def mean(self, source: str) -> Tensor:
        """Never called, since no edge is ablated."""
        raise AssertionError(source)


@torch.no_grad()
def source_means(model: CircuitModel, corpus: Int[Tensor, "window position"]) -> dict[str, Tensor]:
    """Mean over the corpus of what each source contributes to its targets."""
    totals: dict[str, Tensor] = {}
    for rows in corpus.split(8):
        watch = _Watch()
        state = run_stages(model, begin(model, rows), ablated_edges=watch)
        written = {name.removeprefix(WROTE): values for name, values in state.items() if name.startswith(WROTE)}
        for name, values in {**watch.brought, **written}.items():
            totals[name] = totals.get(name, torch.zeros(())) + in_double(values).sum((0, 1)).cpu()
    return {name: (total / corpus.numel()).float() for name, total in totals.items()}


def attributions(
    model: CircuitModel, joined: Sequence[KeptConnection], means: Means, batch: PromptBatch, edit_on: EditOn
) -> list[Float[Tensor, "_target _source"]]:
    """Attribution of every edge between kept nodes, one matrix per connection."""
    watch = _Watch()
    active = _active(_values(model, batch, edit_on(batch), watch), batch, averaged_sites(model))
    opaque = _integrated(model, joined, means, batch.rows(slice(IG_PROMPTS)), edit_on)
    found = [
        opaque[each.pair] if each.connection.weight is None else _attribution(each, watch, active, means, batch)
        for each in joined
    ]
    return [each.float().cpu() for each in found]


@torch.no_grad()
def _values(model: CircuitModel, batch: PromptBatch, edit: Edit, ablated_edges: EdgeAblation) -> dict[str, Tensor]:
    """Values at every site under an edit and an edge ablation, by name of the site."""
    values: dict[str, Tensor] = {}

    def recorded(site: Site, before: Tensor) -> Tensor:
        values[site.name] = edit(site, before)
        return values[site.name]

    answer_logits(model, batch, recorded, ablated_edges)
    return values


def _active(
    values: Mapping[str, Float[Tensor, "prompt position _node"]], batch: PromptBatch, averaged: frozenset[str]
) -> dict[str, Bool[Tensor, "prompt position _node"]]:
    """The positions at which what a node reads counts, by site: where the node is nonzero, or what leads to there."""
    found = {}
    for name, of_site in values.items():
        real = batch.real.to(of_site.device)[..., None]
        fires = (of_site != 0) & real
        if name in averaged:
            fires = (fires.flip(1).cumsum(1).flip(1) > 0) & real
        found[name] = fires
    return found


@torch.no_grad()
def _attribution(
    each: KeptConnection, watch: _Watch, active: Mapping[str, Tensor], means: Means, batch: PromptBatch
) -> Float[Tensor, "_target _source"]:
    """Attribution along a connection with weights; zero weights are not edges and come last."""

    def along(pair: SitePair, weights: Tensor) -> Tensor:
        brought, scale = watch.seen[pair]
        away = brought - means[pair[0]].to(brought)
        away = away if scale is None else away * scale
        if each.connection.target == LOGITS:
            answer = weights[batch.answer] - weights[batch.other]  # [prompt, source]
            return (answer * away[:, 0]).abs().mean(0)[None, each.sources]
        counts = active[each.connection.target][..., each.targets].flatten(0, 1).to(away)
        count = counts.sum(0).clamp(min=1)[:, None]
        if each.connection.source == EMBEDDING:
            return ((away @ weights[each.targets].T).abs().flatten(0, 1) * counts).sum(0)[:, None] / count
        sizes = away[..., each.sources].abs().flatten(0, 1)
        return weights[each.targets][:, each.sources].abs() * (counts.T @ sizes) / count

    return torch.stack([along(pair, weights) for pair, weights in each.connection.maps.items()]).sum(0)


def _integrated(
    model: CircuitModel, joined: Sequence[KeptConnection], means: Means, few: PromptBatch, edit_on: EditOn
) -> dict[SitePair, Float[Tensor, "_target _source"]]:
    """Attribution of edges through opaque blocks: gradients integrated from the sources' means to their values."""
    edit, real = edit_on(few), few.real.to(device_of(model)).float()
    hidden = [each for each in joined if each.connection.weight is None]
    found: dict[SitePair, Tensor] = {}
    for target in dict.fromkeys(each.connection.target for each in hidden):
        into = [each for each in hidden if each.connection.target == target]
        if into[0].connection.source != EMBEDDING:
            found |= _from_sites(model, into, means, few, edit, real)
            continue
        # all of the integrated gradient in the embeddings: how far the target moves when they are at their mean
        each = into[0]
        everything = AblatedEdges({}, {each.pair: each.spread(torch.ones(len(each.targets), 1))}, means)
        whole, ablated = (_values(model, few, edit, ablation)[target] for ablation in (_Watch(), everything))
        moved = (whole - ablated)[..., each.targets] * real[..., None]
        found[each.pair] = moved.sum(1).abs().mean(0)[:, None]
    return found


def _from_sites(
    model: CircuitModel, into: Sequence[KeptConnection], means: Means, batch: PromptBatch, edit: Edit, real: Tensor
) -> dict[SitePair, Tensor]:
    """Integrated gradients of one target site with respect to all sites that reach it through its block."""
    totals = {each.pair: real.new_zeros(len(each.targets), *real.shape, len(each.sources)) for each in into}
    away: dict[str, Tensor] = {}
    for step in range(IG_STEPS):
        share = (step + 0.5) / IG_STEPS
        path = _Path({each.connection.source for each in into}, into[0].connection.target, means, edit, share)
        with torch.enable_grad():
            run_stages(model, begin(model, batch.tokens), path)
            for row, index in enumerate(into[0].targets.tolist()):
                gradients = path.gradients((path.reached[..., index] * real).sum())
                for each in into:
                    totals[each.pair][row] += gradients[each.connection.source][..., each.sources] / IG_STEPS
        away = path.away
    return {
        each.pair: (totals[each.pair] * away[each.connection.source][..., each.sources]).sum(2).abs().mean(1)
        for each in into
    }


@dataclass(eq=False)
class _Path:
    """The circuit's edit with its sources part of the way from their means to their values; records the target."""

    sources: set[str]
    target: str
    means: Means
    edit: Edit
    share: float
    away: dict[str, Tensor] = field(default_factory=dict)
    leaves: dict[str, Tensor] = field(default_factory=dict)
    reached: Tensor = field(default_factory=lambda: torch.zeros(()))

    def __call__(self, site: Site, values: Tensor) -> Tensor:
        """The edited values, or a point on the path through which gradients can be taken."""
        edited = self.edit(site, values)
        if site.name in self.sources:
            mean = self.means[site.name].to(edited)
            self.away[site.name] = (edited - mean).detach()
            self.leaves[site.name] = (mean + self.share * self.away[site.name]).requires_grad_()
            return self.leaves[site.name]
        if site.name == self.target:
            self.reached = edited
        return edited

    def gradients(self, total: Tensor) -> dict[str, Tensor]:
        """The gradient of a scalar with respect to each source."""
        leaves = list(self.leaves.values())
        found = torch.autograd.grad(total, leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
        return dict(zip(self.leaves, found, strict=True))
