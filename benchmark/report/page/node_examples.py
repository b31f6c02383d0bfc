"""Where nodes are high, middling and low on the corpus: a few lines of text for each band, with the token marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float

from benchmark.corpus import Corpus
from benchmark.corpus.sampling import spread_windows
from benchmark.export.graph import node_name
from benchmark.model.devices import to_numpy
from benchmark.model.interface import CircuitModel, record
from benchmark.seeds import seed_of
from benchmark.validity.examples import BANDS, Examples
from benchmark.validity.scoring import Scale

SEARCHED_TOKENS = 4_096
"""Validation tokens that are searched."""

PER_BAND = {"high": 2, "middle": 2, "low": 1}
"""How many examples of each band are shown."""


@dataclass(frozen=True)
class NodeExamples:
    """What a node does on the corpus.

    Attributes:
        lines: Marked lines by band, the highest first in the high band, at random in the others.
        shares: Share of the tokens in each band.
        sign: 1, or -1 if a low value of the node counts as high, since it strays further below its median than above.
    """

    lines: Mapping[str, tuple[str, ...]]
    shares: Mapping[str, float]
    sign: int


class CorpusText:
    """Validation windows of a corpus, with their text.

    Args:
        corpus: The corpus.
        tokens: About how many tokens.
    """

    def __init__(self, corpus: Corpus, tokens: int = SEARCHED_TOKENS) -> None:
        self.corpus = corpus
        self.tokens = spread_windows(corpus, "validation", tokens)[0]

    @cached_property
    def texts(self) -> dict[int, str]:
        """The text of every token that occurs."""
        return {token: self.corpus.decode([token]) for token in self.tokens.unique().tolist()}

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some tokens; that of a single one is looked up, since most are asked for many times."""
        return self.texts[ids[0]] if len(ids) == 1 else self.corpus.decode(ids)


@torch.no_grad()
def node_examples(model: CircuitModel, kept: Mapping[str, Sequence[int]], text: CorpusText) -> dict[str, NodeExamples]:
    """Examples of some nodes, by name, from one run of the model.

    Args:
        model: The model.
        kept: The nodes, as indices by site.
        text: Where examples come from.
    """
    values = record(model, text.tokens)
    examples = Examples(text.tokens.numpy(), text.decode, np.random.default_rng(seed_of("examples on the page")))
    return {
        node_name(site, index): _examples(to_numpy(values[site][..., index]), examples)
        for site, nodes in kept.items()
        for index in nodes
    }


def _examples(values: Float[np.ndarray, "window position"], examples: Examples) -> NodeExamples:
    median = float(np.median(values))
    sign = -1 if median - float(values.min()) > float(values.max()) - median else 1
    rescaled = Scale.of(values, sign)(values)
    found = examples.of(rescaled, np.zeros(values.shape, dtype=bool))
    return NodeExamples(
        lines={band: tuple(found[band][:most]) for band, most in PER_BAND.items()},
        shares={band: float(((rescaled > low) & (rescaled <= high)).mean()) for band, (low, high) in BANDS.items()},
        sign=sign,
    )
