"""A hand-set transformer that computes one bit twice, by two paths that share nothing; either suffices.

Path A transforms first (a neuron of block 0) and moves then (a head of block 1); path B moves first (a head of block
0) and transforms then (a neuron of block 1). They read different channels of the embedding and write different
channels, which the unembedding adds up.

Truth, channel graph: path A or path B, 6 nodes and 4 edges each.
"""

import torch
from planted import (
    Planted,
    Truth,
    add_distractors,
    add_whispers,
    between,
    choose,
    circuit,
    prompt_batch,
    shuffled,
    transformer,
)

from benchmark.tasks.prompts import PromptBatch, TaskPrompts
from sparse_model.transformer import Transformer

BEGIN, ASK, LOW, HIGH, *FILLERS, DOWN, UP = range(10)
"""Token ids of the planted language."""

BIT_A, BIT_B, WARM, WIDE, CONSTANT, MADE_A, MOVED_B, ANSWER_A, ANSWER_B = range(9)
"""Residual channels; the others are idle."""

LENGTH = 8
"""Of every prompt, tokens."""

NEURON_A, NEURON_B = 4, 9
"""Of block 0, and of block 1."""

PATH_A = {
    "blocks.0.mlp_in": [BIT_A],
    "blocks.0.neuron": [NEURON_A],
    "blocks.0.mlp_out": [MADE_A],
    "blocks.1.attn_in": [MADE_A],
    "blocks.1.v": [0],
    "blocks.1.attn_out": [ANSWER_A],
}
EDGES_A = (
    between("blocks.0.mlp_in", [BIT_A], "blocks.0.neuron", [NEURON_A])
    | between("blocks.0.neuron", [NEURON_A], "blocks.0.mlp_out", [MADE_A])
    | between("blocks.1.attn_in", [MADE_A], "blocks.1.v", [0])
    | between("blocks.1.v", [0], "blocks.1.attn_out", [ANSWER_A])
)
PATH_B = {
    "blocks.0.attn_in": [BIT_B],
    "blocks.0.v": [0],
    "blocks.0.attn_out": [MOVED_B],
    "blocks.1.mlp_in": [MOVED_B],
    "blocks.1.neuron": [NEURON_B],
    "blocks.1.mlp_out": [ANSWER_B],
}
EDGES_B = (
    between("blocks.0.attn_in", [BIT_B], "blocks.0.v", [0])
    | between("blocks.0.v", [0], "blocks.0.attn_out", [MOVED_B])
    | between("blocks.1.mlp_in", [MOVED_B], "blocks.1.neuron", [NEURON_B])
    | between("blocks.1.neuron", [NEURON_B], "blocks.1.mlp_out", [ANSWER_B])
)


def model() -> Transformer:
    bits = [{BIT_A: sign, BIT_B: sign} for sign in (-1.0, 1.0)]
    fillers = [{WARM: warm, WIDE: wide} for warm in (-1.0, 1.0) for wide in (-1.0, 1.0)]
    planted = transformer([{}, {}, *bits, *fillers, {}, {}], CONSTANT)
    first, second = planted.blocks
    for block, neuron, read, write in ((first, NEURON_A, BIT_A, MADE_A), (second, NEURON_B, MOVED_B, ANSWER_B)):
        block.W_in[neuron, read], block.b_in[neuron] = 4.0, 8.0
        block.W_out[write, neuron], block.b_out[write] = 1 / 4, -2.0
    for block, read, write in ((first, BIT_B, MOVED_B), (second, MADE_A, ANSWER_A)):
        block.W_V[0, read] = 1.0
        block.W_O[write, 0] = LENGTH
    for channel in (ANSWER_A, ANSWER_B):
        planted.W_U[DOWN, channel], planted.W_U[UP, channel] = -4.0, 4.0
    add_distractors(planted, reads=[WARM, WIDE], idle=range(9, 32), heads=[1, 2], neurons=range(10, 32))
    add_whispers(planted, [WARM, WIDE], layer=0, head=3, answer=ANSWER_A, strength=0.8)
    return planted


def batch(pairs: int, generator: torch.Generator) -> PromptBatch:
    """A bit among five fillers."""
    drawn = []
    for _ in range(pairs):
        row = [BEGIN, *shuffled(generator, [LOW, *choose(generator, FILLERS, LENGTH - 3)]), ASK]
        drawn.append((row, [HIGH if token == LOW else token for token in row]))
    return prompt_batch(drawn, (DOWN, UP))


def planted() -> Planted:
    generator = torch.Generator().manual_seed(0)
    made = model()
    task = TaskPrompts(*(batch(pairs, generator) for pairs in (64, 32, 32)))
    return Planted(
        name="redundant copies",
        model=made,
        task=task,
        means_tokens=task.train.tokens,
        graph="channel",
        nodes=circuit(made.sites, PATH_A),
        edges=EDGES_A,
        alternatives=(Truth(circuit(made.sites, PATH_B), EDGES_B),),
    )
