"""What random models and random labels may not show."""

import numpy as np
import torch
from tiny_dense import CONTEXT, random_dense, random_tokens

from benchmark.concepts import Concept
from benchmark.model.interface import forward
from benchmark.validity.assess import assess
from benchmark.validity.sample import Sample
from benchmark.validity.settings import ValidityConfig

CONCEPTS = [Concept(f"random {number}", "nothing", lambda text: [], "tests") for number in range(2)]


def sample(model, seed, windows, *, own_targets):
    """Random tokens with random labels; the next token random, or drawn from the model, so that its nodes matter."""
    random = np.random.default_rng(seed)
    tokens, targets = random_tokens(windows, seed), random_tokens(windows, seed + 100)
    if own_targets:
        chances = forward(model, tokens).flatten(0, 1).softmax(-1)
        generator = torch.Generator().manual_seed(seed)
        targets = torch.multinomial(chances, 1, generator=generator).reshape(tokens.shape)
    labels = {
        concept.name: (random.random((windows, CONTEXT)) < rate).astype(np.int8)
        for concept, rate in zip(CONCEPTS, (0.1, 0.6), strict=True)
    }
    return Sample(tokens, targets, labels)


def assessed(model, windows, *, own_targets):
    return assess(
        model,
        *(sample(model, seed, windows, own_targets=own_targets) for seed in (0, 1)),
        CONCEPTS,
        [concept.name for concept in CONCEPTS],
        ValidityConfig(pilot_windows=64, most_windows=10 * windows),
        lambda ids: "".join(chr(97 + token) for token in ids),
        np.random.default_rng(0),
    )


def sharp_dense():
    """A random transformer that is sure of what it says, so that a node's ablation is seen in few windows."""
    dense = random_dense()
    dense.W_U *= 6
    return dense


def test_random_labels_score_nothing_in_a_random_model_on_random_text():
    found = assessed(random_dense(), 96, own_targets=False)
    assert len(found.concepts) == len(CONCEPTS)
    assert not [row.concept for row in found.concepts if row.corrected_low > 0.5]


def test_random_labels_score_nothing_in_a_random_model_whose_nodes_matter():
    found = assessed(sharp_dense(), 256, own_targets=True)
    scored = [choice for row in found.concepts for choice in row.choices.values() if not choice.reason]
    assert scored
    assert not [choice.nodes for choice in scored if choice.controls["label"].low > 0.2]
    assert not [row.concept for row in found.concepts if row.corrected_low > 0.5]
    assert not [node.concept for node in found.named if node.verdict == "meant"]
