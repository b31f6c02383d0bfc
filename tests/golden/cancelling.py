"""A hand-set transformer with a circuit that only mean ablation believes in, because two ablated queries cancel.

The model answers by an honest path: a neuron turns the signal into a value that a head of block 1 averages. Beside it a
second head reads the same signal, but never looks at it: its two queries ask for the token LEFT or for RIGHT, whichever
a switch in the context says, and exactly one of the two is on in every prompt. Held at their means, half on each, they
cancel; the head then attends evenly, sees the signal, and gives the right answer in a state that the model is never in.
So the decoy circuit has a low loss under mean ablation, and none of what it shows is what the model does.

Cancelling ablations are the objection of a comment on Drori 2026, "Weight-sparse circuits may be interpretable yet
unfaithful"; resample ablation (Chan et al. 2022, causal scrubbing) turns one query on again and closes the head.
"""

import torch
from planted import choose, circuit, prompt_batch, transformer
from torch import Tensor

from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites
from benchmark.tasks.prompts import PromptBatch
from sparse_model.transformer import Transformer

BEGIN, ASK, LOW, HIGH, SWITCH_LEFT, SWITCH_RIGHT, LEFT, RIGHT, *FILLERS, DOWN, UP = range(12)
"""Token ids of the planted language."""

SIGNAL, SWITCH, SIDE, CONSTANT, MOVED, MADE, HONEST, SHOWN = range(8)
"""Residual channels: three embedded ones of 1 or -1, and what blocks write."""

LENGTH = 7
"""Of every prompt, tokens."""

NEURON = 3
"""Of block 0."""

QUERIES = (0, 1)
"""Of the decoy's head: on if the switch says left, on if it says right. Keys of the same channels answer them."""

VALUE, HONEST_VALUE = 2, 8
"""Of block 1: in the decoy's head, and in the honest one."""

HONEST_CIRCUIT = {"blocks.0.neuron": [NEURON], "blocks.1.v": [HONEST_VALUE]}
"""What the model does, unit graph: two nodes; the honest head attends evenly."""

DECOY_CIRCUIT = {"blocks.1.k": [*QUERIES], "blocks.1.v": [VALUE]}
"""What mean ablation believes, unit graph: three nodes; the honest path and the two queries are ablated."""


def model() -> Transformer:
    features = [{}, {}, {SIGNAL: -1.0}, {SIGNAL: 1.0}, {SWITCH: 1.0}, {SWITCH: -1.0}, {SIDE: 1.0}, {SIDE: -1.0}]
    made = transformer([*features, {}, {}, {}, {}], CONSTANT)
    first, second = made.blocks
    first.W_V[0, SWITCH] = 1.0
    first.W_O[MOVED, 0] = LENGTH
    first.W_in[NEURON, SIGNAL], first.b_in[NEURON] = 4.0, 8.0
    first.W_out[MADE, NEURON], first.b_out[MADE] = 1 / 4, -2.0
    second.W_V[HONEST_VALUE, MADE] = 1.0
    second.W_O[HONEST, HONEST_VALUE] = LENGTH
    for query, sign in zip(QUERIES, (1.0, -1.0), strict=True):
        second.W_Q[query, MOVED], second.b_Q[query] = 20.0 * sign, 20.0
        second.W_K[query, SIDE] = sign
    second.W_V[VALUE, SIGNAL], second.W_V[VALUE, SIDE] = 1.0, 1 / 9
    second.W_O[SHOWN, VALUE] = LENGTH
    for channel, loudness in ((HONEST, 6.0), (SHOWN, 2.5)):
        made.W_U[DOWN, channel], made.W_U[UP, channel] = -loudness, loudness
    return made


def batch(pairs: int, generator: torch.Generator) -> PromptBatch:
    """A signal, a switch that has nothing to do with it, LEFT and RIGHT; in fixed places, so that keys resample."""
    drawn = []
    for pair in range(pairs):
        switch = (SWITCH_LEFT, SWITCH_RIGHT)[pair % 2]
        row = [BEGIN, LOW, switch, LEFT, RIGHT, *choose(generator, FILLERS), ASK]
        drawn.append((row, [HIGH if token == LOW else token for token in row]))
    return prompt_batch(drawn, (DOWN, UP))


def means_tokens(generator: torch.Generator) -> Tensor:
    """The model's own token distribution: prompts with switch and signal balanced."""
    return batch(64, generator).tokens


def unit_circuit(made: Transformer, kept: dict[str, list[int]]) -> Circuit:
    """A circuit of the unit graph."""
    return circuit(node_sites(made, "unit"), kept)
