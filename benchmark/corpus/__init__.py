"""The corpus: documents from named sources, one tokenizer, three disjoint splits and windows of tokens."""

from benchmark.corpus.build import build
from benchmark.corpus.config import END_OF_TEXT, SPLITS, CorpusConfig, Split
from benchmark.corpus.given_tokenizer import tokenizer_version, with_tokenizer
from benchmark.corpus.sources import source_version
from benchmark.corpus.windows import Corpus

__all__ = [
    "END_OF_TEXT",
    "SPLITS",
    "Corpus",
    "CorpusConfig",
    "Split",
    "build",
    "source_version",
    "tokenizer_version",
    "with_tokenizer",
]
