"""A hand-set transformer that composes two facts at one position, and dictionaries of it, honest and rewritten.

A word carries three bits. Hop 1, in the MLP of block 0: the middle variable is the exclusive or of the first two. Hop
2, in the MLP of block 1: the answer is the exclusive or of the middle variable and the third bit, which stands in the
stream from the start. Between the hops the middle variable is one channel of the stream, MIDDLE. Two more bits of the
word, and neurons that make something of them in both blocks, have nothing to do with the answer.

As all that the second hop needs is at the same position before the first one, features of block 0 can tell whole words
apart and write the answer into the output of the second MLP: the one-hop rewrite of a cross-layer transcoder.

Truth, unit graph: 4 nodes and 10 edges, paths of one and two units.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch
from planted import Planted, between, choose, circuit, prompt_batch, transformer
from tokenizers import Tokenizer
from tokenizers.models import BPE

from baselines.dictionary import Encoder
from baselines.replacement import ReplacedMLPs, no_errors
from benchmark.corpus import Corpus, CorpusConfig
from benchmark.model.graph import EMBEDDING, LOGITS, node_sites
from benchmark.tasks.prompts import PromptBatch, TaskPrompts
from sparse_model.transformer import Transformer

BITS = 5
"""Of a word: two that make the middle variable, the third, and two that do not matter. Its token id spells them."""
WORDS, NO, YES = range(2**BITS), 2**BITS, 2**BITS + 1

LEFT, RIGHT, THIRD, WARM, WIDE, CONSTANT, MIDDLE, ANSWER, *IDLE = range(10)
"""Residual channels; those beyond are never written."""

LEFT_ONLY, RIGHT_ONLY = 3, 11
"""Neurons of block 0 that make the middle variable."""
MIDDLE_ONLY, THIRD_ONLY = 5, 20
"""Neurons of block 1 that make the answer."""
OTHERS = (0, 30)
"""Neurons of either block that do not matter."""

STEEP = 8.0
"""What a neuron holds where it is on: so much that GELU is the identity, and zero where it is off."""

KEPT = {"blocks.0.neuron": [LEFT_ONLY, RIGHT_ONLY], "blocks.1.neuron": [MIDDLE_ONLY, THIRD_ONLY]}
EDGES = (
    between(EMBEDDING, [0], "blocks.0.neuron", [LEFT_ONLY, RIGHT_ONLY])
    | between("blocks.0.neuron", [LEFT_ONLY, RIGHT_ONLY], "blocks.1.neuron", [MIDDLE_ONLY, THIRD_ONLY])
    | between(EMBEDDING, [0], "blocks.1.neuron", [MIDDLE_ONLY, THIRD_ONLY])
    | between("blocks.1.neuron", [MIDDLE_ONLY, THIRD_ONLY], LOGITS, [0])
)


def word(*bits: int) -> int:
    """The token id of a word."""
    return sum(bit << place for place, bit in enumerate(bits))


def bits(token: int) -> list[int]:
    """The bits of a word."""
    return [token >> place & 1 for place in range(BITS)]


def model() -> Transformer:
    embedded = [dict(zip((LEFT, RIGHT, THIRD, WARM, WIDE), map(float, bits(token)), strict=True)) for token in WORDS]
    planted = transformer([*embedded, {}, {}], CONSTANT)
    first, second = planted.blocks
    exclusive_or(first, (LEFT_ONLY, RIGHT_ONLY), (LEFT, RIGHT), MIDDLE)
    exclusive_or(second, (MIDDLE_ONLY, THIRD_ONLY), (MIDDLE, THIRD), ANSWER)
    second.b_out[ANSWER] = -0.5
    for block, channel in zip(planted.blocks, IDLE, strict=True):
        exclusive_or(block, OTHERS, (WARM, WIDE), channel)
    planted.W_U[NO, ANSWER], planted.W_U[YES, ANSWER] = -7.0, 7.0
    return planted


def exclusive_or(block, neurons: tuple[int, int], read: tuple[int, int], written: int) -> None:
    """One neuron for each of two bits without the other; together they write 1."""
    for neuron, (bit, other) in zip(neurons, (read, read[::-1]), strict=True):
        block.W_in[neuron, bit], block.W_in[neuron, other] = STEEP, -STEEP
        block.W_out[written, neuron] = 1 / STEEP


def batch(pairs: int, generator: torch.Generator) -> PromptBatch:
    """One word a prompt; within a pair one of the first two bits is flipped, and with it the middle variable."""
    drawn = []
    for _ in range(pairs):
        first, second, third, warm, wide = choose(generator, (0, 1), BITS)
        (flipped,) = choose(generator, (0, 1))
        rows = [[first, second, third, warm, wide], [first ^ (1 - flipped), second ^ flipped, third, warm, wide]]
        rows.sort(key=lambda row: row[0] ^ row[1] ^ row[2])
        drawn.append(([word(*rows[0])], [word(*rows[1])]))
    return prompt_batch(drawn, (NO, YES))


def planted() -> Planted:
    generator = torch.Generator().manual_seed(0)
    made = model()
    return Planted(
        name="two hops at one position",
        model=made,
        task=TaskPrompts(*(batch(pairs, generator) for pairs in (64, 32, 32))),
        means_tokens=torch.arange(2**BITS)[:, None],
        graph="unit",
        nodes=circuit(node_sites(made, "unit"), KEPT),
        edges=EDGES,
    )


class Words(Corpus):
    """Windows of random words, the same at every call."""

    def __init__(self) -> None:
        super().__init__(Path(), CorpusConfig(tokens=2048, context=8), Tokenizer(BPE()))

    def windows(self, split):
        seed = ("train", "validation", "test").index(split)
        return np.random.default_rng(seed).integers(2**BITS, size=(256, 9)).astype(np.uint16)


# Dictionaries

Feature = tuple[Mapping[int, float], float, Sequence[Mapping[int, float]]]
"""What a feature reads of the stream, its bias, and what it writes at its own layer and at later ones."""


def hand_set(dense: Transformer, features: Sequence[Sequence[Feature]]) -> ReplacedMLPs:
    """The dense model with its MLPs replaced by such features, the errors ablated.

    Layers that have fewer features than others are filled up with ones that neither read nor write.
    """
    width, most = dense.config.d_model, max(map(len, features))
    features = [[*layer, *[({}, 0.0, [{}] * len(layer[0][2]))] * (most - len(layer))] for layer in features]

    def row(values: Mapping[int, float]) -> torch.Tensor:
        filled = torch.zeros(width)
        filled[list(values)] = torch.tensor(list(values.values()))
        return filled

    encoders = [
        Encoder(
            torch.stack([row(read) for read, _, _ in layer]),
            torch.tensor([bias for _, bias, _ in layer]),
            threshold=torch.ones(len(layer)),  # far from 0 and from STEEP: no norm is quite that of another word
        )
        for layer in features
    ]
    decoders = [
        [torch.stack([row(writes[ahead]) for _, _, writes in layer], dim=1) for ahead in range(len(layer[0][2]))]
        for layer in features
    ]
    return ReplacedMLPs(
        dense, encoders, decoders, [block.b_out.clone() for block in dense.blocks], no_errors(dense), "errors_ablated"
    )


def either(read: tuple[int, int], written: int, silent: int = 0) -> list[Feature]:
    """Two features, one for each of two bits without the other, that together write 1 and to later layers nothing."""
    later = [{}] * silent
    return [({bit: STEEP, other: -STEEP}, 0.0, [{written: 1 / STEEP}, *later]) for bit, other in (read, read[::-1])]


def transcoder(dense: Transformer) -> ReplacedMLPs:
    """The honest dictionary: a feature for each neuron of the truth, so that every MLP is predicted exactly."""
    return hand_set(
        dense,
        [
            [*either((LEFT, RIGHT), MIDDLE), *either((WARM, WIDE), IDLE[0])],
            [*either((MIDDLE, THIRD), ANSWER), *either((WARM, WIDE), IDLE[1])],
        ],
    )


def rewrite(dense: Transformer) -> ReplacedMLPs:
    """The one-hop rewrite: a feature of block 0 for each combination of three bits, which writes both MLPs' outputs.

    It predicts every MLP exactly, with fewer features firing than the honest dictionary; the features of block 1 have
    no part in the answer.
    """
    combined: list[Feature] = []
    for three in product((0, 1), repeat=3):
        middle, answer = three[0] ^ three[1], three[0] ^ three[1] ^ three[2]
        if middle or answer:
            signs = dict(zip((LEFT, RIGHT, THIRD), (2 * STEEP * (2 * bit - 1) for bit in three), strict=True))
            bias = STEEP * (1 - 2 * sum(three))
            combined.append((signs, bias, [{MIDDLE: middle / STEEP}, {ANSWER: answer / STEEP}]))
    return hand_set(dense, [[*combined, *either((WARM, WIDE), IDLE[0], silent=1)], either((WARM, WIDE), IDLE[1])])
