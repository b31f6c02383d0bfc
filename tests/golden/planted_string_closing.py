"""The string-closing transformer with distractors, and with gains so low that every node of its circuit is needed.

The wiring is that of `string_closing`. There the answer is so loud that one of the two quote channels, or a head that
attends evenly, closes strings as well; here the stream's constant outweighs what is written, so what is halved or
diluted is too little.

Truth, channel graph: 11 nodes and 9 edges, the paper's 12 nodes but for the query, a constant whose mean serves as
well.
"""

import string_closing
import torch
from planted import Planted, add_distractors, add_whispers, between, choose, circuit, prompt_batch
from string_closing import (
    ANSWER,
    ANY_QUOTE,
    CLASSIFIER,
    CLOSE_DOUBLE,
    CLOSE_SINGLE,
    CONSTANT,
    DETECTOR,
    DOUBLE,
    IS_DOUBLE,
    IS_SINGLE,
    LETTER,
    OPEN,
    QUOTE_TYPE,
    SINGLE,
)

from benchmark.tasks.prompts import PromptBatch, TaskPrompts
from sparse_model.transformer import Transformer

LETTERS = (LETTER, 6, 7, 8)
"""Token ids: three letters besides that of `string_closing`."""

VOWEL, LOUD = 6, 7
"""Residual channels besides those of `string_closing`: what kind of letter it is, 1 or -1."""

KEPT = {name: nodes for name, nodes in string_closing.KEPT.items() if name != "blocks.1.q"}
EDGES = (
    between("blocks.0.mlp_in", [IS_SINGLE, IS_DOUBLE], "blocks.0.neuron", [DETECTOR, CLASSIFIER])
    | between("blocks.0.neuron", [DETECTOR], "blocks.0.mlp_out", [ANY_QUOTE])
    | between("blocks.0.neuron", [CLASSIFIER], "blocks.0.mlp_out", [QUOTE_TYPE])
    | between("blocks.1.attn_in", [ANY_QUOTE], "blocks.1.k", [3])
    | between("blocks.1.attn_in", [QUOTE_TYPE], "blocks.1.v", [7])
    | between("blocks.1.v", [7], "blocks.1.attn_out", [ANSWER])
)


def model() -> Transformer:
    with torch.no_grad():
        wired = string_closing.model()
    shape = {"d_head": 8, "vocabulary": 9}  # heads to spare
    planted = Transformer(wired.config.model_copy(update=shape)).requires_grad_(False)
    state = wired.state_dict()
    for name in ("W_E", "W_U"):
        state[name] = torch.cat([state[name], torch.zeros(3, 16)])
    planted.load_state_dict(state)
    planted.W_E[:, CONSTANT] = 64.0
    planted.W_E[LETTERS, VOWEL] = torch.tensor([1.0, 1.0, -1.0, -1.0])
    planted.W_E[LETTERS, LOUD] = torch.tensor([1.0, -1.0, 1.0, -1.0])
    first, second = planted.blocks
    for norm in (first.ln1, first.ln2, second.ln1, second.ln2, planted.ln_final):
        norm.weight.fill_(16.0)
    first.W_out[[ANY_QUOTE, QUOTE_TYPE], [DETECTOR, CLASSIFIER]] /= 8
    first.b_out[QUOTE_TYPE] /= 8
    second.b_Q[3], second.W_V[7, QUOTE_TYPE] = 2.5, 1.0
    planted.W_U[[CLOSE_SINGLE, CLOSE_DOUBLE], ANSWER] = torch.tensor([-3.5, 3.5])
    unused = [neuron for neuron in range(16) if neuron not in (DETECTOR, CLASSIFIER)]
    add_distractors(planted, reads=[VOWEL, LOUD], idle=range(8, 16), heads=[1], neurons=unused)
    add_whispers(planted, [VOWEL, LOUD, VOWEL], layer=0, head=0, answer=ANSWER, strength=0.1)
    return planted


def batch(pairs: int, generator: torch.Generator) -> PromptBatch:
    """A quote and four to seven letters."""
    drawn = []
    for _ in range(pairs):
        (count,) = choose(generator, range(4, 8))
        letters = choose(generator, LETTERS, count)
        drawn.append(([OPEN, SINGLE, *letters], [OPEN, DOUBLE, *letters]))
    return prompt_batch(drawn, (CLOSE_SINGLE, CLOSE_DOUBLE))


def planted() -> Planted:
    generator = torch.Generator().manual_seed(0)
    made = model()
    windows = [[OPEN, quote, *choose(generator, LETTERS, 7)] for quote in (SINGLE, DOUBLE) * 64]
    return Planted(
        name="string closing",
        model=made,
        task=TaskPrompts(*(batch(pairs, generator) for pairs in (64, 32, 32))),
        means_tokens=torch.tensor(windows),
        graph="channel",
        nodes=circuit(made.sites, KEPT),
        edges=EDGES,
    )
