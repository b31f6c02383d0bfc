"""Planted truth: a hand-set transformer, its task and the circuit that does it, to judge circuit finders by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.metrics.recovery import Recovery, node_recovery
from benchmark.model.circuit import Circuit
from benchmark.model.graph import TERMINALS, node_sites
from benchmark.model.interface import CircuitModel, Edit, Graph, Site
from benchmark.tasks.answers import answer_logits, prompt_losses
from benchmark.tasks.prompts import PromptBatch, TaskPrompts
from sparse_model.config import TransformerConfig
from sparse_model.transformer import Transformer

MODULES = (
    "planted_string_closing",
    "bracket_counting",
    "two_hop",
    "boolean_function",
    "redundant_copies",
    "superposed_features",
)
"""The modules that each plant a model."""

Edge = tuple[str, int, str, int]
"""Source site, source node, target site, target node."""

NORM = 32.0
"""Euclidean norm of every embedding. What blocks write is small beside it, so that norms hardly couple channels."""


@dataclass(frozen=True, eq=False)
class Truth:
    """A circuit that does a task and of which no node can be spared."""

    nodes: Circuit
    edges: frozenset[Edge]


@dataclass(frozen=True, eq=False)
class Planted:
    """A model whose circuit is known.

    Attributes:
        name: Of the model.
        model: It has other live nodes and weights besides the circuit's, none of which matters to the task.
        task: Prompts on which the circuit does the task.
        means_tokens: `[window, position]`, the model's own token distribution, from which means are taken.
        graph: The graph that the truth is told in.
        nodes: The circuit. Nodes whose mean serves as well as their value (a constant query) are no part of it.
        edges: All nonzero weights between its nodes, in the unit graph also those from embeddings and to logits.
        alternatives: Other circuits that do the task as well.
    """

    name: str
    model: Transformer
    task: TaskPrompts
    means_tokens: Tensor
    graph: Graph
    nodes: Circuit
    edges: frozenset[Edge]
    alternatives: tuple[Truth, ...] = ()

    @property
    def sites(self) -> tuple[Site, ...]:
        return node_sites(self.model, self.graph)

    @property
    def truths(self) -> tuple[Truth, ...]:
        """Every right answer."""
        return Truth(self.nodes, self.edges), *self.alternatives

    def recovery(self, found: Circuit) -> Recovery:
        """Of the truth that a found circuit comes closest to."""
        return max((node_recovery(found, truth.nodes) for truth in self.truths), key=lambda each: each.f1)

    def edges_of(self, kept: Circuit) -> frozenset[Edge]:
        """All nonzero weights between the nodes that a circuit keeps."""
        ends = {**kept.masks, **{name: torch.ones(1, dtype=torch.bool) for name in TERMINALS}}
        return frozenset(
            (each.source, source, each.target, target)
            for each in self.model.connections(self.graph)
            if each.weight is not None and {each.source, each.target} <= ends.keys()
            for target, source in (each.weight * ends[each.target][:, None] * ends[each.source]).nonzero().tolist()
        )


def loss(model: CircuitModel, batch: PromptBatch, edit: Edit) -> float:
    """Task loss under an edit, nats."""
    with torch.no_grad():
        return float(prompt_losses(answer_logits(model, batch, edit), batch).mean())


def circuit(sites: Iterable[Site], kept: Mapping[str, Sequence[int]]) -> Circuit:
    """The circuit that keeps these nodes; the reverse of `Circuit.kept`."""
    masks = {site.name: torch.zeros(site.size, dtype=torch.bool) for site in sites}
    for name, nodes in kept.items():
        masks[name][list(nodes)] = True
    return Circuit(masks)


def without(kept: Circuit, site: str, node: int) -> Circuit:
    """The circuit without one node."""
    masks = {name: mask.clone() for name, mask in kept.masks.items()}
    masks[site][node] = False
    return Circuit(masks)


def between(source: str, sources: Sequence[int], target: str, targets: Sequence[int]) -> frozenset[Edge]:
    """The edges from each of the sources to each of the targets."""
    return frozenset((source, s, target, t) for s in sources for t in targets)


def transformer(features: Sequence[Mapping[int, float]], constant: int, *, sink: bool = False) -> Transformer:
    """A transformer of two blocks that reads what is embedded, and does nothing yet.

    Four heads of eight channels, a stream of 32, 32 neurons a block. Every embedding has the norm `NORM`, and every
    gain undoes it, so that sublayers and unembedding read the stream itself (exactly while nothing is written).

    Args:
        features: By token, the channels that its embedding sets.
        constant: The channel that fills every embedding up to the norm.
        sink: Whether heads have sinks; they begin so low that they take nothing.
    """
    config = TransformerConfig(
        layers=2,
        d_model=32,
        d_head=8,
        d_mlp=32,
        activation_density=1.0,
        bigram=False,
        sink=sink,
        vocabulary=len(features),
        context=64,
    )
    model = Transformer(config).requires_grad_(False)
    for token, values in enumerate(features):
        for channel, value in values.items():
            model.W_E[token, channel] = value
    model.W_E[:, constant] = (NORM**2 - model.W_E.square().sum(1)).sqrt()
    norms = [norm for block in model.blocks for norm in (block.ln1, block.ln2)]
    for norm in [*norms, model.ln_final]:
        norm.weight.fill_(NORM / config.d_model**0.5)
    if sink:
        for block in model.blocks:
            block.sink.fill_(-100.0)
    return model


def add_distractors(
    model: Transformer, *, reads: Sequence[int], idle: Sequence[int], heads: Sequence[int], neurons: Sequence[int]
) -> None:
    """Wire up value channels and neurons that compute other things.

    In both blocks every value channel of the `heads` and every one of the `neurons` reads two of the channels `reads`
    and `idle` and writes one of `idle`, with weights drawn from a fixed seed; queries and keys of the heads are live
    too. The idle channels move the logits of all tokens that have no unembedding yet.
    """
    generator = torch.Generator().manual_seed(0)
    seen, written = torch.tensor([*reads, *idle]), torch.tensor(idle)
    width = model.config.d_head
    channels = [head * width + channel for head in heads for channel in range(width)]

    def signs(count: int) -> Tensor:
        return torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1

    def some(choices: Tensor, count: int) -> Tensor:
        return choices[torch.randperm(len(choices), generator=generator)[:count]]

    for block in model.blocks:
        for channel in channels:
            for weight in (block.W_Q, block.W_K, block.W_V):
                weight[channel, some(seen, 2)] = signs(2)
            block.W_O[some(written, 1), channel] = signs(1)
        for neuron in neurons:
            block.W_in[neuron, some(seen, 2)] = 2 * signs(2)
            block.W_out[some(written, 1), neuron] = signs(1)
    silent = (model.W_U == 0).all(1)
    model.W_U[:, list(idle)] = silent[:, None] * torch.randn(len(silent), len(idle), generator=generator)


def add_whispers(
    model: Transformer, features: Sequence[int], *, layer: int, head: int, answer: int, strength: float
) -> None:
    """Let value channels of a head write features of the context into the answer, too softly to change it.

    Each feature takes one value channel, from the head's last downwards, whose query and key stay zero.
    """
    block, last = model.blocks[layer], (head + 1) * model.config.d_head - 1
    for step, feature in enumerate(features):
        block.W_V[last - step, feature] = 1.0
        block.W_O[answer, last - step] = strength


def prompt_batch(pairs: Sequence[tuple[list[int], list[int]]], answers: tuple[int, int]) -> PromptBatch:
    """Pairs of prompts, the first of each followed by the first answer; padded on the right with 0."""
    rows = [row for pair in pairs for row in pair]
    width = max(map(len, rows))
    answer = torch.tensor(answers * len(pairs))
    return PromptBatch(
        tokens=torch.tensor([row + [0] * (width - len(row)) for row in rows]),
        last=torch.tensor([len(row) - 1 for row in rows]),
        answer=answer,
        other=sum(answers) - answer,
    )


def choose(generator: torch.Generator, choices: Sequence[int], count: int = 1) -> list[int]:
    """Some of the choices, with replacement."""
    picked: list[int] = torch.randint(len(choices), (count,), generator=generator).tolist()
    return [choices[index] for index in picked]


def shuffled(generator: torch.Generator, items: Sequence[int]) -> list[int]:
    """The items in another order."""
    order: list[int] = torch.randperm(len(items), generator=generator).tolist()
    return [items[index] for index in order]
