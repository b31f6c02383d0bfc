"""Random circuits, connections, logits and features for the tests of metrics."""

import numpy as np
import torch

from benchmark.model.circuit import Circuit
from benchmark.model.graph import EMBEDDING, LOGITS
from benchmark.model.interface import Connection, OpaqueBlock

SIZES = {"blocks.0.q": 5, "blocks.0.neuron": 7, "blocks.1.neuron": 6}


def random_circuit(random: np.random.Generator, keep: float = 0.5) -> Circuit:
    return Circuit({name: torch.from_numpy(random.random(size) < keep) for name, size in SIZES.items()})


def random_connections(random: np.random.Generator) -> list[Connection]:
    def weight(target, source):
        values = random.normal(size=(SIZES[target], SIZES[source]))
        return torch.from_numpy(values * (random.random(values.shape) < 0.4))

    return [
        Connection("blocks.0.q", "blocks.0.neuron", weight("blocks.0.neuron", "blocks.0.q")),
        Connection("blocks.0.q", "blocks.1.neuron", weight("blocks.1.neuron", "blocks.0.q")),
        Connection("blocks.0.neuron", "blocks.1.neuron", None, OpaqueBlock("attention", 40)),
        Connection("blocks.0.q", "blocks.1.neuron", None, OpaqueBlock("attention", 40)),
    ]


def random_paths(random: np.random.Generator) -> list[Connection]:
    """Weights between units, from the embeddings and to the logits, some of them zero."""

    def weight(targets, sources):
        values = random.normal(size=(targets, sources))
        return torch.from_numpy(values * (random.random(values.shape) < 0.7))

    joined = [each for each in random_connections(random) if each.weight is not None]
    into = [Connection(EMBEDDING, site, weight(size, 1)) for site, size in SIZES.items()]
    return [*joined, *into, *(Connection(site, LOGITS, weight(1, size)) for site, size in SIZES.items())]


def random_pairs(random: np.random.Generator, prompts: int = 8, vocab: int = 11) -> tuple[np.ndarray, ...]:
    """Logits, answers and alternatives; the alternative is never the answer."""
    answer = random.integers(vocab, size=prompts)
    other = (answer + random.integers(1, vocab, size=prompts)) % vocab
    return random.normal(size=(prompts, vocab)) * 3, answer, other


def tensors(arrays):
    return tuple(torch.from_numpy(array) for array in arrays)
