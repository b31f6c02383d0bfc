"""A hand-set transformer that closes strings by the paper's circuit: 12 nodes and 9 edges.

Gao et al. 2025, section 3.1: a token's embedding says whether it is a single or a double quote; two neurons turn that
into "a quote" (the key) and "which quote" (the value); an attention head carries the type to the last position.
"""

import torch

from benchmark.model.circuit import Circuit
from benchmark.tasks.prompts import PromptBatch
from sparse_model.config import TransformerConfig
from sparse_model.transformer import Transformer

SINGLE, DOUBLE, LETTER, OPEN, CLOSE_SINGLE, CLOSE_DOUBLE = range(6)
"""Token ids of the planted language."""

IS_SINGLE, IS_DOUBLE, ANY_QUOTE, QUOTE_TYPE, ANSWER, CONSTANT = range(6)
"""Residual channels."""

DETECTOR, CLASSIFIER = 5, 9
"""Neurons of block 0."""

KEPT = {
    "blocks.0.mlp_in": [IS_SINGLE, IS_DOUBLE],
    "blocks.0.neuron": [DETECTOR, CLASSIFIER],
    "blocks.0.mlp_out": [ANY_QUOTE, QUOTE_TYPE],
    "blocks.1.attn_in": [ANY_QUOTE, QUOTE_TYPE],
    "blocks.1.q": [3],
    "blocks.1.k": [3],
    "blocks.1.v": [7],
    "blocks.1.attn_out": [ANSWER],
}
"""The circuit: 12 nodes."""


def model() -> Transformer:
    """The transformer, every weight outside the circuit zero."""
    config = TransformerConfig(
        layers=2, d_model=16, d_mlp=16, activation_density=1.0, bigram=False, vocabulary=6, context=32
    )
    planted = Transformer(config)
    planted.W_E[:, CONSTANT] = 4.0
    planted.W_E[SINGLE, IS_SINGLE] = planted.W_E[DOUBLE, IS_DOUBLE] = 1.0
    first, second = planted.blocks
    first.W_in[DETECTOR, [IS_SINGLE, IS_DOUBLE]] = 8.0
    first.W_in[CLASSIFIER, [IS_SINGLE, IS_DOUBLE]] = torch.tensor([-8.0, 8.0])
    first.b_in[CLASSIFIER] = 8.0
    first.W_out[ANY_QUOTE, DETECTOR] = 1.0
    first.W_out[QUOTE_TYPE, CLASSIFIER] = 1.0
    first.b_out[QUOTE_TYPE] = -8.0
    second.b_Q[3] = 10.0
    second.W_K[3, ANY_QUOTE] = 8.0
    second.W_V[7, QUOTE_TYPE] = 4.0
    second.W_O[ANSWER, 7] = 1.0
    planted.W_U[CLOSE_SINGLE, ANSWER] = -4.0
    planted.W_U[CLOSE_DOUBLE, ANSWER] = 4.0
    return planted.requires_grad_(False)


def batch(pairs: int, generator: torch.Generator) -> PromptBatch:
    """Prompts `( quote letters`, to be closed by the quote that opened them."""
    rows, answers = [], []
    for _ in range(pairs):
        letters = int(torch.randint(1, 6, (1,), generator=generator))
        for quote, answer in ((SINGLE, CLOSE_SINGLE), (DOUBLE, CLOSE_DOUBLE)):
            rows.append([OPEN, quote, *[LETTER] * letters])
            answers.append(answer)
    width = max(map(len, rows))
    answer = torch.tensor(answers)
    return PromptBatch(
        tokens=torch.tensor([row + [0] * (width - len(row)) for row in rows]),
        last=torch.tensor([len(row) - 1 for row in rows]),
        answer=answer,
        other=CLOSE_SINGLE + CLOSE_DOUBLE - answer,
    )


def circuit(planted: Transformer) -> Circuit:
    """The planted circuit."""
    masks = {site.name: torch.zeros(site.size, dtype=torch.bool) for site in planted.sites}
    for name, nodes in KEPT.items():
        masks[name][nodes] = True
    return Circuit(masks)
