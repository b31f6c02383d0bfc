"""Hand-set models whose nodes' meanings are known: what each node says of the text, and what the model makes of it.

A word is read, and one token later it shows in the nodes of the only site; the model's logits are a fixed function of
them. The next token is drawn from the logits of the true distribution, so that the losses of everything that may stand
in a node's place can be told beforehand.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from benchmark.concepts import Concept
from benchmark.model.interface import Site
from benchmark.validity.assess import Assessment, assess
from benchmark.validity.sample import Sample
from benchmark.validity.settings import ValidityConfig

WORDS_SITE = "blocks.0.neuron"
"""The only site."""

WINDOWS, LENGTH = 96, 48
"""Of a sample."""

ON, OFF, ELSE = (torch.tensor(logits) for logits in ([2.0, -2.0, 1.0, -1.0], [-2.0, 2.0, -1.0, 1.0], [1.0, 1.0, -2, 0]))
"""Logits of the next token, nats."""

Read = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class WordModel:
    """A circuit model of one stage.

    Attributes:
        table: `[word, node]`, what the nodes hold after each word.
        read: From `[.., node]` to logits `[.., vocab]`.
        order: Positions at which the nodes of each position are found instead; `None` for their own.
    """

    table: Tensor
    read: Read
    order: Tensor | None = None

    @property
    def sites(self) -> tuple[Site, ...]:
        return (Site.at(WORDS_SITE, self.table.shape[1], 0),)

    def start(self, tokens):
        return {"tokens": tokens}

    def advance(self, state, stage, edit):
        values = self.table[before(state["tokens"])]
        return {"nodes": edit(self.sites[0], values if self.order is None else values[:, self.order])}

    def read_out(self, state, positions):
        assert positions is None
        return self.read(state["nodes"])

    def connections(self, graph):
        return ()


def before(tokens: Tensor) -> Tensor:
    """The word before each position; before the first, word 0."""
    return torch.nn.functional.pad(tokens[:, :-1], (1, 0))


@dataclass(frozen=True, eq=False)
class World:
    """A model with its language.

    Attributes:
        share: How often each word occurs.
        nodes: `[word, node]`.
        read: The model's logits from its nodes.
        labels: By concept, the label after each word.
        parts: Of the concepts that are conjunctions.
        truth: `[word, vocab]`, logits from which the next token is drawn; the model's own if left out.
        order: Of the positions, as in `WordModel`.
    """

    share: Sequence[float]
    nodes: Sequence[Sequence[float]]
    read: Read
    labels: Mapping[str, Sequence[int]]
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    truth: Tensor | None = None
    order: Tensor | None = None

    @property
    def model(self) -> WordModel:
        return WordModel(torch.tensor(self.nodes, dtype=torch.float32), self.read, self.order)

    @property
    def concepts(self) -> list[Concept]:
        return [
            Concept(
                name=name,
                summary="planted",
                labels=lambda text: [],
                source="nobody",
                level_names=tuple(map(str, range(max(2, max(labels) + 1)))),
                parts=self.parts.get(name, ()),
            )
            for name, labels in self.labels.items()
        ]

    def sample(self, seed: int, windows: int = WINDOWS) -> Sample:
        """Windows of this language, each of them one document."""
        generator = torch.Generator().manual_seed(seed)
        tokens = torch.multinomial(torch.tensor(self.share), windows * LENGTH, replacement=True, generator=generator)
        tokens = tokens.reshape(windows, LENGTH)
        words = before(tokens)
        model = self.model
        logits = model.read_out(model.advance(model.start(tokens), 0, lambda site, values: values), None)
        drawn = logits if self.truth is None else self.truth[words]
        targets = torch.multinomial(drawn.flatten(0, 1).softmax(-1), 1, generator=generator).reshape(tokens.shape)
        labels = {name: np.array(each, dtype=np.int8)[words.numpy()] for name, each in self.labels.items()}
        return Sample(tokens, targets, labels)

    def assessed(self, choice: Sample | None = None, score: Sample | None = None, top_k: int = 100) -> Assessment:
        """Everything about the model's nodes, chosen on one sample and scored on another."""
        return assess(
            self.model,
            choice or self.sample(0),
            score or self.sample(1),
            self.concepts,
            list(self.labels),
            ValidityConfig(pilot_windows=48, most_windows=10 * WINDOWS, explained_windows=WINDOWS, top_k=top_k),
            lambda ids: "".join(f"w{word} " for word in ids),
            np.random.default_rng(0),
        )


def switch(node: int) -> Read:
    """Logits `OFF` where a node is 0 and `ON` where it is 1, linear in it."""
    return lambda nodes: OFF + nodes[..., node, None] * (ON - OFF)


def exact() -> World:
    """A node that is the concept; another concept has nothing to do with it."""
    return World(
        share=[0.4, 0.3, 0.2, 0.1],
        nodes=[[0.0], [0.0], [1.0], [1.0]],
        read=switch(0),
        labels={"A": [0, 0, 1, 1], "B": [0, 1, 0, 1]},
    )


def tied() -> World:
    """Four nodes that detect A about equally well: each errs on a word of its own, and all are read alike."""
    nodes = [[float((word >= 4) != (word in (node, node + 4))) for node in range(4)] for word in range(8)]
    return World(
        share=[0.125] * 8,
        nodes=nodes,
        read=lambda nodes: OFF + nodes.sum(-1, keepdim=True) / 2 * (ON - OFF),
        labels={"A": [int(word >= 4) for word in range(8)]},
    )


def usual() -> World:
    """A node that is a concept which holds at seven of ten positions."""
    return World(share=[0.3, 0.7], nodes=[[0.0], [1.0]], read=switch(0), labels={"A": [0, 1]})


def detectors() -> World:
    """Nodes that say the same of A to different degrees, and one of them that is B."""
    return World(
        share=[0.3, 0.2, 0.2, 0.15, 0.15],
        nodes=[[0, 0, 0], [0, 1, 0.1], [1, 0, 0.7], [1, 1, 1], [0.2, 0, 0.9]],
        read=lambda nodes: OFF + nodes[..., :1] * (ON - OFF) + nodes[..., 1:2] * ELSE - nodes[..., 2:] * ELSE,
        labels={"A": [0, 0, 1, 1, 0], "B": [0, 1, 0, 1, 0], "D": [0, 0, 0, 1, 1]},
    )


def conjunction() -> World:
    """A node that is "A and B", both parts independent: A holds at 30 %, B at 35 %, so that A is the rarer."""
    a, b = 0.3, 0.35
    return World(
        share=[(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b],
        nodes=[[0.0], [0.0], [0.0], [1.0]],
        read=switch(0),
        labels={"A": [0, 0, 1, 1], "B": [0, 1, 0, 1], "A and B": [0, 0, 0, 1]},
        parts={"A and B": ("A", "B")},
    )


def second_meaning() -> World:
    """A node that is 1 where A holds and 0.5 where C does; the model tells the two apart."""

    def read(nodes: Tensor) -> Tensor:
        value = nodes[..., 0, None]
        half, high = 1 - 2 * (value - 0.5).abs().clamp(max=0.5), (2 * value - 1).clamp(0, 1)
        return OFF + high * (ON - OFF) + half * (ELSE - OFF)

    return World(
        share=[0.55, 0.2, 0.25],
        nodes=[[0.0], [1.0], [0.5]],
        read=read,
        labels={"A": [0, 1, 0], "C": [0, 0, 1]},
    )


def graded() -> World:
    """A node that is 0 without A, and five levels with it, each of which says something else of the next token."""
    favourites = 4 * torch.nn.functional.one_hot(torch.tensor([2, 1, 2, 3, 0, 2]), 4).float()

    def read(nodes: Tensor) -> Tensor:
        place = (5 * nodes[..., 0]).clamp(0, 5)
        low = place.long().clamp(max=4)
        above = (place - low)[..., None]
        return (1 - above) * favourites[low] + above * favourites[low + 1]

    return World(
        share=[0.55, 0.09, 0.09, 0.09, 0.09, 0.09],
        nodes=[[level / 5] for level in range(6)],
        read=read,
        labels={"A": [0, 1, 1, 1, 1, 1], "level of A": [0, 1, 2, 3, 4, 5]},
    )


def unread() -> World:
    """A node that is A, and a model that reads it with weight zero."""
    return World(
        share=[0.6, 0.4],
        nodes=[[0.0], [1.0]],
        read=lambda nodes: OFF + nodes * 0 * ON,
        labels={"A": [0, 1]},
    )


def one_unread() -> World:
    """Node 0 is A and read, node 1 is B and read by nobody."""
    return World(
        share=[0.4, 0.3, 0.2, 0.1],
        nodes=[[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]],
        read=switch(0),
        labels={"A": [0, 0, 1, 1], "B": [0, 1, 0, 1]},
    )


def backed_up() -> World:
    """Two nodes are A, and either suffices: with one of them at its mean the sum still tells."""

    def read(nodes: Tensor) -> Tensor:
        return OFF + ((nodes.sum(-1, keepdim=True) - 0.75) / 0.5).clamp(0, 1) * (ON - OFF)

    return World(share=[0.5, 0.5], nodes=[[0.0, 0.0], [1.0, 1.0]], read=read, labels={"A": [0, 1]})


def false_alarms() -> World:
    """A node that is A but for false alarms, which the model believes to its cost."""
    return World(
        share=[0.6, 0.3, 0.1],
        nodes=[[0.0], [1.0], [1.0]],
        read=switch(0),
        labels={"A": [0, 1, 0]},
        truth=torch.stack([OFF, ON, OFF]),
    )


def meaningless() -> World:
    """A node that matters, at places that have nothing to do with any of eight concepts."""
    words = torch.arange(16)
    bits = {f"bit {bit}": (words >> bit & 1).tolist() for bit in range(4)}
    pairs = {f"bits {bit} and {bit + 1}": (words >> bit & words >> bit + 1 & 1).tolist() for bit in range(3)}
    order = torch.randperm(LENGTH, generator=torch.Generator().manual_seed(0))
    return World(
        share=[1 / 16] * 16,
        nodes=[[float(word & 1), float(word >> 1 & 1)] for word in range(16)],
        read=lambda nodes: OFF + nodes[..., :1] * (ON - OFF) + nodes[..., 1:] * (ELSE - OFF),
        labels={**bits, **pairs, "any bit": [int(word > 0) for word in range(16)]},
        order=order,
    )


# Second round: which nodes are candidates, concepts of several nodes, and concepts of the stream


def rare() -> World:
    """Forty nodes that say much about common words, and one that is A, which holds at 0.3 % of positions."""
    words, strong = 64, 40
    generator = torch.Generator().manual_seed(1)
    table = torch.randint(0, 2, (words, strong), generator=generator).float()
    table[-1] = 0.5
    weights = 0.3 * torch.randn(strong, 4, generator=generator)
    share = [0.997 / (words - 1)] * (words - 1) + [0.003]
    return World(
        share=share,
        nodes=torch.cat([table, (torch.arange(words) == words - 1).float()[:, None]], dim=1).tolist(),
        read=lambda nodes: nodes[..., :strong] @ weights + nodes[..., strong:] * (ON - OFF),
        labels={"A": [0] * (words - 1) + [1]},
    )


def four_nodes() -> World:
    """A concept in four nodes, each of which is a quarter of it."""
    nodes = [[0.0] * 4] + [[float(word == node) for node in range(4)] for word in range(4)]
    return World(
        share=[0.6, 0.1, 0.1, 0.1, 0.1],
        nodes=nodes,
        read=lambda nodes: OFF + nodes.sum(-1, keepdim=True) * (ON - OFF),
        labels={"A": [0, 1, 1, 1, 1]},
    )


def half_named() -> World:
    """Two nodes that matter, of which one is A and the other, independent of it, is no concept."""
    return World(
        share=[0.25] * 4,
        nodes=[[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]],
        read=lambda nodes: OFF + nodes[..., :1] * (ON - OFF) + nodes[..., 1:] * (ELSE - OFF),
        labels={"A": [0, 0, 1, 1]},
    )


@dataclass(frozen=True, eq=False)
class StreamModel(WordModel):
    """A model whose nodes are read by nobody, and whose logits are a function of its residual stream.

    Attributes:
        stream: `[word, channel]`, the stream after each word.
    """

    stream: Tensor = field(default_factory=lambda: torch.zeros(0))

    def start(self, tokens):
        return {"tokens": tokens, "residual": self.stream[before(tokens)]}

    def advance(self, state, stage, edit):
        return {**state, **super().advance(state, stage, edit)}

    def read_out(self, state, positions):
        return self.read(state["residual"])


@dataclass(frozen=True, eq=False)
class StreamWorld(World):
    """A language whose model has a stream; `stream` as in `StreamModel`."""

    stream: Sequence[Sequence[float]] = ()

    @property
    def model(self) -> StreamModel:
        nodes = torch.tensor(self.nodes, dtype=torch.float32)
        return StreamModel(nodes, self.read, self.order, torch.tensor(self.stream, dtype=torch.float32))


def _in_the_stream(read: Read) -> StreamWorld:
    """A is along the first direction of the stream and B along the second, both across all channels; nodes say B."""
    return StreamWorld(
        share=[0.35, 0.35, 0.15, 0.15],
        nodes=[[0.0], [1.0], [0.0], [1.0]],
        read=read,
        labels={"A": [0, 0, 1, 1]},
        stream=[[0.0, 0.0], [1.0, -1.0], [1.0, 1.0], [2.0, 0.0]],
    )


def used_along_a_direction() -> StreamWorld:
    """The model uses A, along a direction of the stream that no node has."""
    return _in_the_stream(lambda stream: OFF + stream.sum(-1, keepdim=True) / 2 * (ON - OFF))


def represented() -> StreamWorld:
    """The model represents A and uses B alone."""
    return _in_the_stream(lambda stream: OFF + (stream[..., :1] - stream[..., 1:]) / 2 * (ON - OFF))
