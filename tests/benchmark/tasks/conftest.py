"""The tokenizer of a small corpus of the default mix."""

import pytest

from benchmark.corpus import Corpus, CorpusConfig, build


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    build(CorpusConfig(tokens=250_000), folder, lambda done, total, note="": None)
    return Corpus.load(folder).tokenizer
