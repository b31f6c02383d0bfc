"""A hand-set transformer that answers with the exclusive or of two tokens, while others compute things beside it.

Block 0 averages four bits of the context to the last position. Two neurons of block 1 make the exclusive or of the
first two, the answer; six others make functions of the other two and of mixed pairs, which vary as much and go nowhere.

Truth, unit graph (what is moved and combined are units; the stream only joins them): 4 nodes and 8 edges, four of
them virtual weights from values to neurons, two from the embeddings, two to the logits.
"""

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

BEGIN, ASK, *BITS, FILLER, FALSE, TRUE = range(13)
"""Token ids of the planted language; `BITS[2 i + b]` says that bit i is b."""

FIRST, SECOND, THIRD, FOURTH, CONSTANT = range(5)
"""Residual channels of the embedded bits, 1 or -1."""

MOVED, ANSWER = (5, 6, 7, 8), 9
"""Residual channels: the bits at the last position, and the answer. The others are idle."""

LENGTH = 8
"""Of every prompt, tokens."""

FIRST_ONLY, SECOND_ONLY = 2, 6
"""Neurons of block 1."""

KEPT = {"blocks.0.v": [0, 1], "blocks.1.neuron": [FIRST_ONLY, SECOND_ONLY]}
EDGES = (
    between(EMBEDDING, [0], "blocks.0.v", [0, 1])
    | between("blocks.0.v", [0, 1], "blocks.1.neuron", [FIRST_ONLY, SECOND_ONLY])
    | between("blocks.1.neuron", [FIRST_ONLY, SECOND_ONLY], LOGITS, [0])
)

OTHER_FUNCTIONS = {0: (2, 3, -1.0), 1: (3, 2, -1.0), 3: (2, 3, 1.0), 4: (0, 2, -1.0), 5: (1, 3, 1.0), 7: (0, 3, 1.0)}
"""Neurons of block 1 that do not matter: which two bits they add, and the sign of the second."""


def model() -> Transformer:
    bits = [{channel: sign} for channel in (FIRST, SECOND, THIRD, FOURTH) for sign in (-1.0, 1.0)]
    planted = transformer([{}, {}, *bits, {}, {}, {}], CONSTANT)
    first, second = planted.blocks
    for channel, bit in enumerate((FIRST, SECOND, THIRD, FOURTH)):
        first.W_V[channel, bit] = 1.0
        first.W_O[MOVED[channel], channel] = LENGTH
    second.W_in[FIRST_ONLY, MOVED[0]], second.W_in[FIRST_ONLY, MOVED[1]] = 8.0, -8.0
    second.W_in[SECOND_ONLY, MOVED[0]], second.W_in[SECOND_ONLY, MOVED[1]] = -8.0, 8.0
    second.W_out[ANSWER, [FIRST_ONLY, SECOND_ONLY]] = 1 / 16
    second.b_out[ANSWER] = -0.5
    idle = range(10, 32)
    for neuron, (left, right, sign) in OTHER_FUNCTIONS.items():
        second.W_in[neuron, MOVED[left]], second.W_in[neuron, MOVED[right]] = 8.0, 8.0 * sign
        second.W_out[idle[neuron], neuron] = 1 / 16
    planted.W_U[FALSE, ANSWER], planted.W_U[TRUE, ANSWER] = -7.0, 7.0
    add_distractors(planted, reads=[THIRD, FOURTH], idle=idle, heads=[1, 2], neurons=range(8, 32))
    add_whispers(planted, [THIRD, FOURTH], layer=1, head=3, answer=ANSWER, strength=0.6)
    return planted


def batch(pairs: int, generator: torch.Generator) -> PromptBatch:
    """Four bits and two fillers in any order; one of the first two bits is flipped within a pair."""
    drawn = []
    for _ in range(pairs):
        bits = choose(generator, [0, 1], 4)
        bits[1] = bits[0]
        row = [BEGIN, *shuffled(generator, [*(BITS[2 * i + bit] for i, bit in enumerate(bits)), FILLER]), FILLER, ASK]
        (flipped,) = choose(generator, [0, 1])
        old, new = BITS[2 * flipped + bits[0]], BITS[2 * flipped + 1 - bits[0]]
        drawn.append((row, [new if token == old else token for token in row]))
    return prompt_batch(drawn, (FALSE, TRUE))


def planted() -> Planted:
    generator = torch.Generator().manual_seed(0)
    made = model()
    task = TaskPrompts(*(batch(pairs, generator) for pairs in (64, 32, 32)))
    return Planted(
        name="boolean function",
        model=made,
        task=task,
        means_tokens=task.train.tokens,
        graph="unit",
        nodes=circuit(node_sites(made, "unit"), KEPT),
        edges=EDGES,
    )
