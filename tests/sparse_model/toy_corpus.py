"""A corpus without files: windows that count upwards from a random number, easy to learn."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import BPE

from benchmark.corpus import Corpus, CorpusConfig


@dataclass(frozen=True, eq=False)
class CountingCorpus(Corpus):
    def windows(self, split):
        starts = np.random.default_rng(len(split)).integers(0, self.config.vocabulary - 50, 40)
        return (starts[:, None] + np.arange(self.config.window)).astype(np.uint16)


def counting_corpus():
    return CountingCorpus(Path("nowhere"), CorpusConfig(vocabulary=300, context=16), Tokenizer(BPE()))
