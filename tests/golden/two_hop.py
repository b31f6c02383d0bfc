"""A hand-set transformer that composes two facts: a name has an attribute, and the subject's attribute decides.

Hop 1, in the MLP of block 0: a name's attribute is the exclusive or of two bits of its embedding. Hop 2, in block 1: an
attention head picks the subject's attribute out of the context, where an object with an attribute of its own stands
too, and a neuron turns it into the answer. All that the second hop knows passes through one channel, ATTRIBUTE.

Truth, channel graph: 13 nodes and 11 edges. The head's query is a constant and no part of it.
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

from benchmark.tasks.prompts import PromptBatch, TaskPrompts
from sparse_model.transformer import Transformer

BEGIN, ASK, *NAMES = range(16)
"""Token ids of the planted language: subjects and objects by their two bits, fillers, and the two answers."""
SUBJECTS, OBJECTS, FILLERS, (NO, YES) = NAMES[:4], NAMES[4:8], NAMES[8:12], NAMES[12:]

LEFT, RIGHT, SUBJECT, WARM, WIDE, CONSTANT, ATTRIBUTE, MOVED, ANSWER = range(9)
"""Residual channels; the others are idle."""

LEFT_ONLY, RIGHT_ONLY, DECIDED = 3, 11, 7
"""Neurons: two of block 0, one of block 1."""

KEPT = {
    "blocks.0.mlp_in": [LEFT, RIGHT],
    "blocks.0.neuron": [LEFT_ONLY, RIGHT_ONLY],
    "blocks.0.mlp_out": [ATTRIBUTE],
    "blocks.1.attn_in": [SUBJECT, ATTRIBUTE],
    "blocks.1.k": [0],
    "blocks.1.v": [0],
    "blocks.1.attn_out": [MOVED],
    "blocks.1.mlp_in": [MOVED],
    "blocks.1.neuron": [DECIDED],
    "blocks.1.mlp_out": [ANSWER],
}
EDGES = (
    between("blocks.0.mlp_in", [LEFT, RIGHT], "blocks.0.neuron", [LEFT_ONLY, RIGHT_ONLY])
    | between("blocks.0.neuron", [LEFT_ONLY, RIGHT_ONLY], "blocks.0.mlp_out", [ATTRIBUTE])
    | between("blocks.1.attn_in", [SUBJECT], "blocks.1.k", [0])
    | between("blocks.1.attn_in", [ATTRIBUTE], "blocks.1.v", [0])
    | between("blocks.1.v", [0], "blocks.1.attn_out", [MOVED])
    | between("blocks.1.mlp_in", [MOVED], "blocks.1.neuron", [DECIDED])
    | between("blocks.1.neuron", [DECIDED], "blocks.1.mlp_out", [ANSWER])
)


def model() -> Transformer:
    bits = [{LEFT: float(left), RIGHT: float(right)} for left in (0, 1) for right in (0, 1)]
    fillers = [{WARM: warm, WIDE: wide} for warm in (-1.0, 1.0) for wide in (-1.0, 1.0)]
    features = [{}, {}, *({**name, SUBJECT: 1.0} for name in bits), *bits, *fillers, {}, {}]
    planted = transformer(features, CONSTANT)
    first, second = planted.blocks
    first.W_in[LEFT_ONLY, [LEFT, RIGHT]] = torch.tensor([8.0, -8.0])
    first.W_in[RIGHT_ONLY, [LEFT, RIGHT]] = torch.tensor([-8.0, 8.0])
    first.W_out[ATTRIBUTE, [LEFT_ONLY, RIGHT_ONLY]] = 1 / 8
    second.b_Q[0] = 4.5
    second.W_K[0, SUBJECT] = 4.5
    second.W_V[0, ATTRIBUTE] = 1.0
    second.W_O[MOVED, 0] = 1.0
    second.W_in[DECIDED, MOVED], second.b_in[DECIDED] = 4.0, -1.0
    second.W_out[ANSWER, DECIDED], second.b_out[ANSWER] = 1 / 3, -0.5
    planted.W_U[NO, ANSWER], planted.W_U[YES, ANSWER] = -7.0, 7.0
    add_distractors(planted, reads=[WARM, WIDE], idle=range(9, 32), heads=[1, 2], neurons=range(12, 32))
    add_whispers(planted, [WARM, WIDE, WARM], layer=0, head=3, answer=ANSWER, strength=0.1)
    return planted


def prompt(generator: torch.Generator, subject: int, others: list[int]) -> list[int]:
    return [BEGIN, *shuffled(generator, [subject, *others]), ASK]


def batch(pairs: int, generator: torch.Generator) -> PromptBatch:
    """A subject, an object and three fillers in any order; the subject's attribute is the one cause of the answer."""
    drawn = []
    for _ in range(pairs):
        others = [*choose(generator, OBJECTS), *choose(generator, FILLERS, 3)]
        (same,), (different,) = (choose(generator, [SUBJECTS[each] for each in pair]) for pair in ((0, 3), (1, 2)))
        row = prompt(generator, same, others)
        drawn.append((row, [different if token == same else token for token in row]))
    return prompt_batch(drawn, (NO, YES))


def planted() -> Planted:
    generator = torch.Generator().manual_seed(0)
    made = model()
    task = TaskPrompts(*(batch(pairs, generator) for pairs in (64, 32, 32)))
    return Planted(
        name="two hops",
        model=made,
        task=task,
        means_tokens=task.train.tokens,
        graph="channel",
        nodes=circuit(made.sites, KEPT),
        edges=EDGES,
    )
