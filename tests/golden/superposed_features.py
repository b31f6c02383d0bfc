"""A hand-set transformer that keeps six features in four channels and four neurons; its task is about two of them.

Feature {p, q} is embedded as the sum of the directions p and q out of four orthogonal ones that lie across four
channels, so features that share a direction overlap, and every channel carries all of them. Neuron p of block 0 fires
on the three features with p, and writes one of four directions of a tetrahedron in three channels: no two orthogonal.
The task tells {0, 2} from {1, 2}: only neuron 0 less neuron 1 says it, since {0, 1}, which also occurs, moves both. The
other features of the two neurons, {0, 3} and {1, 3}, occur in the model's language but not in the task.

Truth, unit graph (no channel of the stream means anything by itself): 4 nodes and 6 edges, one of them from the
embeddings to each neuron of block 0, one to the logits.
"""

from itertools import combinations

import torch
from planted import (
    Planted,
    add_distractors,
    add_whispers,
    between,
    choose,
    circuit,
    prompt_batch,
    shuffled,
    transformer,
)

from benchmark.model.graph import EMBEDDING, LOGITS, node_sites
from benchmark.tasks.prompts import PromptBatch, TaskPrompts
from sparse_model.transformer import Transformer

PAIRS = tuple(combinations(range(4), 2))
"""The features: which two neurons each of them drives."""

BEGIN, ASK, *FEATURES = range(8)
"""Token ids of the planted language; behind the features come fillers and the two answers."""
FILLERS, ONE, TWO = (8, 9, 10, 11), 12, 13

SPREAD, HIDDEN, CONSTANT, MOVED, ANSWER, WARM, WIDE = (0, 1, 2, 3), (4, 5, 6), 7, 8, 9, 10, 11
"""Residual channels; the others are idle."""

LENGTH = 10
"""Of every prompt, tokens."""

DIRECTIONS = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
"""Orthonormal, each across all four channels."""

TETRAHEDRON = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
"""Where the four neurons write, each at -1/3 to every other (as cosine)."""

DECIDED = 5
"""Neuron of block 1."""

KEPT = {"blocks.0.neuron": [0, 1], "blocks.1.v": [0], "blocks.1.neuron": [DECIDED]}
EDGES = (
    between(EMBEDDING, [0], "blocks.0.neuron", [0, 1])
    | between("blocks.0.neuron", [0, 1], "blocks.1.v", [0])
    | between("blocks.1.v", [0], "blocks.1.neuron", [DECIDED])
    | between("blocks.1.neuron", [DECIDED], LOGITS, [0])
)


def model() -> Transformer:
    embedded = [dict(zip(SPREAD, (DIRECTIONS[p] + DIRECTIONS[q]).tolist(), strict=True)) for p, q in PAIRS]
    fillers = [{WARM: warm, WIDE: wide} for warm in (-1.0, 1.0) for wide in (-1.0, 1.0)]
    planted = transformer([{}, {}, *embedded, *fillers, {}, {}], CONSTANT)
    first, second = planted.blocks
    for neuron in range(4):
        first.W_in[neuron, list(SPREAD)] = 4 * DIRECTIONS[neuron]
        first.b_in[neuron] = -1.0
        first.W_out[list(HIDDEN), neuron] = TETRAHEDRON[neuron] / 3
    for channel, (plus, minus) in enumerate(((0, 1), (2, 3), (0, 3))):
        second.W_V[channel, list(HIDDEN)] = (TETRAHEDRON[plus] - TETRAHEDRON[minus]) / 4
        second.W_O[(MOVED, 12, 13)[channel], channel] = LENGTH
    second.W_in[DECIDED, MOVED] = 2.0
    second.W_out[ANSWER, DECIDED], second.b_out[ANSWER] = 1 / 2, -0.5
    planted.W_U[TWO, ANSWER], planted.W_U[ONE, ANSWER] = -7.0, 7.0
    add_distractors(planted, reads=[WARM, WIDE, *SPREAD], idle=range(12, 32), heads=[1, 2], neurons=range(8, 32))
    add_whispers(planted, [WARM, WIDE], layer=1, head=3, answer=ANSWER, strength=0.4)
    return planted


def batch(pairs: int, generator: torch.Generator) -> PromptBatch:
    """{0, 2} or {1, 2} among up to two each of {0, 1} and {2, 3}, and fillers."""
    drawn = []
    for _ in range(pairs):
        both, neither = choose(generator, range(3), 2)
        others = [feature(0, 1)] * both + [feature(2, 3)] * neither
        fillers = choose(generator, FILLERS, LENGTH - 3 - len(others))
        row = [BEGIN, *shuffled(generator, [feature(0, 2), *others, *fillers]), ASK]
        drawn.append((row, [feature(1, 2) if token == feature(0, 2) else token for token in row]))
    return prompt_batch(drawn, (ONE, TWO))


def feature(p: int, q: int) -> int:
    """The token of a feature."""
    return FEATURES[PAIRS.index((p, q))]


def planted() -> Planted:
    generator = torch.Generator().manual_seed(0)
    made = model()
    inner = [choose(generator, [*FEATURES, *FILLERS * 5], LENGTH - 2) for _ in range(256)]
    return Planted(
        name="superposed features",
        model=made,
        task=TaskPrompts(*(batch(pairs, generator) for pairs in (64, 32, 32))),
        means_tokens=torch.tensor([[BEGIN, *row, ASK] for row in inner]),
        graph="unit",
        nodes=circuit(node_sites(made, "unit"), KEPT),
        edges=EDGES,
    )
