"""A training run on random tokens, for measurements of time and memory: what the tokens are changes neither."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt
from tokenizers import Tokenizer
from tokenizers.models import BPE

from benchmark.corpus import Corpus, CorpusConfig
from benchmark.corpus.config import Split
from sparse_model.config import CorpusModelConfig
from sparse_model.training import Run

VOCABULARY = 2_048
"""The vocabulary of every preset."""


@dataclass(frozen=True, eq=False)
class RandomCorpus(Corpus):
    """Windows of random tokens without files."""

    def windows(self, split: Split) -> UInt[np.ndarray, "window position"]:
        """The same few windows for every split."""
        drawn = np.random.default_rng(0).integers(self.config.vocabulary, size=(64, self.config.window))
        return drawn.astype(np.uint16)


def random_run(training: CorpusModelConfig, context: int = 256, run_class: type[Run] = Run) -> Run:
    """A run that has not taken a step yet, with the same initial weights for the same shape."""
    config = CorpusConfig(vocabulary=VOCABULARY, context=context)
    return run_class(RandomCorpus(Path(), config, Tokenizer(BPE())), training, seed=0)
