"""Compares what a formula states with what was measured, such that a formula that is off by 30 % fails."""

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import BPE

from benchmark.corpus import Corpus, CorpusConfig

TOLERANCE = 0.15
"""How far a formula may be from the measurement."""


def close(stated, measured):
    return abs(stated - measured) <= TOLERANCE * measured


def check_stated(stated, measured):
    """The formula is close to the measurement, and would not be if it were off by 30 % either way."""
    assert close(stated, measured), f"stated {stated:.4g}, measured {measured:.4g}: {stated / measured:.3f}"
    assert not close(1.3 * stated, measured), "a formula too large by 30 % would pass"
    assert not close(0.7 * stated, measured), "a formula too small by 30 % would pass"


class RandomWindows(Corpus):
    """Windows of random tokens without files, enough for every split."""

    def windows(self, split):
        drawn = np.random.default_rng(0).integers(self.config.vocabulary, size=(256, self.config.window))
        return drawn.astype(np.uint16)


def random_windows(vocabulary, context):
    return RandomWindows(Path(), CorpusConfig(vocabulary=vocabulary, context=context), Tokenizer(BPE()))


def bytes_of_files(folder):
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
