"""A hand-set transformer that counts brackets by averaging them, and thresholds the average with an attention sink.

Gao et al. 2025 (arXiv 2511.13653), section 3.2: an attention head with a query of nearly zero averages "is an opening
bracket" over the context; a later head reads that average as its query, and attends to its sink unless it is high. So
depth dilutes as one over the length of the context, and long flat context hides a nested list.

Truth, channel graph: 6 nodes in a row and 3 edges. The later head's key and value are constants: their means serve as
well, so they are no part of the circuit.
"""

import math

import torch
from planted import Planted, add_distractors, add_whispers, between, choose, circuit, prompt_batch, transformer

from benchmark.tasks.prompts import PromptBatch, TaskPrompts
from sparse_model.transformer import Transformer

BEGIN, WORD, BRACKET, *DIGITS, CLOSE, CLOSE_TWICE = range(9)
"""Token ids of the planted language."""

OPEN, EVEN, LARGE, CONSTANT, DEPTH, NESTED = range(6)
"""Residual channels; the others are idle."""

STEEPNESS, THRESHOLD, TYPICAL_LENGTH = 80.0, 0.17, 8
"""Of the later head: its score is STEEPNESS (DEPTH - THRESHOLD), its sink's is log TYPICAL_LENGTH.
At 200 the head saturates on either side, and a learned mask no longer finds its query (a test says so)."""

KEPT = {
    "blocks.0.attn_in": [OPEN],
    "blocks.0.v": [0],
    "blocks.0.attn_out": [DEPTH],
    "blocks.1.attn_in": [DEPTH],
    "blocks.1.q": [0],
    "blocks.1.attn_out": [NESTED],
}
EDGES = (
    between("blocks.0.attn_in", [OPEN], "blocks.0.v", [0])
    | between("blocks.0.v", [0], "blocks.0.attn_out", [DEPTH])
    | between("blocks.1.attn_in", [DEPTH], "blocks.1.q", [0])
)


def averaged_depth(brackets: int, length: int) -> float:
    """What `blocks.0.attn_out` writes to DEPTH at the last of `length` tokens; exact, as all embeddings have one norm.

    1/n of the number of brackets, whatever their places.
    """
    return brackets / length


def nested_share(brackets: int, length: int) -> float:
    """The attention that the later head withholds from its sink at the last of `length` tokens.

    The sigmoid of STEEPNESS (brackets / length - THRESHOLD) + ln(length / TYPICAL_LENGTH), but for the norm of the
    stream, which DEPTH and the idle channels change by less than 1 %.
    """
    score = STEEPNESS * (averaged_depth(brackets, length) - THRESHOLD) + math.log(length / TYPICAL_LENGTH)
    return 1 / (1 + math.exp(-score))


def crossing_length(brackets: int) -> int:
    """The fewest tokens at which context hides the brackets: the answer changes from `]]` to `]`."""
    return next(length for length in range(brackets + 1, 1000) if nested_share(brackets, length) < 0.5)


def model(steepness: float) -> Transformer:
    features = [{}, {}, {OPEN: 1.0}, {EVEN: 1.0, LARGE: -1.0}, {EVEN: -1.0, LARGE: -1.0}, {EVEN: 1.0, LARGE: 1.0}]
    features += [{EVEN: -1.0, LARGE: 1.0}, {}, {}]
    planted = transformer(features, CONSTANT, sink=True)
    first, second = planted.blocks
    first.W_V[0, OPEN] = 1.0
    first.W_O[DEPTH, 0] = 1.0
    second.W_Q[0, DEPTH] = steepness
    second.b_Q[0] = -steepness * THRESHOLD
    second.b_K[0] = planted.config.d_head**0.5
    second.b_V[0] = 1.0
    second.sink[0] = math.log(TYPICAL_LENGTH)
    second.W_O[NESTED, 0] = 1.0
    second.b_O[NESTED] = -0.5
    planted.W_U[CLOSE, NESTED], planted.W_U[CLOSE_TWICE, NESTED] = -10.0, 10.0
    add_distractors(planted, reads=[EVEN, LARGE], idle=range(6, 32), heads=[1, 2], neurons=range(20))
    add_whispers(planted, [EVEN, LARGE, EVEN], layer=0, head=3, answer=NESTED, strength=0.25)
    return planted


def prompt(brackets: int, length: int, digits: list[int]) -> list[int]:
    """BEGIN, one or two brackets (a word for the first if one), then the digits over and over up to the length."""
    opening = [BEGIN, WORD if brackets == 1 else BRACKET, BRACKET]
    return opening + [digits[place % len(digits)] for place in range(length - len(opening))]


def batch(pairs: int, generator: torch.Generator) -> PromptBatch:
    """Flat and nested lists of 7 to 10 tokens: `]` against `]]`."""
    drawn = []
    for _ in range(pairs):
        (length,) = choose(generator, range(7, 11))
        digits = choose(generator, DIGITS, length)
        drawn.append((prompt(1, length, digits), prompt(2, length, digits)))
    return prompt_batch(drawn, (CLOSE, CLOSE_TWICE))


def planted(steepness: float = STEEPNESS) -> Planted:
    generator = torch.Generator().manual_seed(0)
    made = model(steepness)
    windows = [prompt(*choose(generator, [1, 2]), 10, choose(generator, DIGITS, 7)) for _ in range(64)]
    return Planted(
        name="bracket counting",
        model=made,
        task=TaskPrompts(*(batch(pairs, generator) for pairs in (64, 16, 16))),
        means_tokens=torch.tensor(windows),
        graph="channel",
        nodes=circuit(made.sites, KEPT),
        edges=EDGES,
    )
