import runpy
from pathlib import Path

import numpy as np
import pytest

from benchmark import concepts
from benchmark.concepts import conjunctions
from benchmark.concepts.labels import token_labels
from benchmark.corpus.tokenizer import train_tokenizer


@pytest.fixture
def shouted(monkeypatch):
    """The concept, registered for the length of a test."""
    concept = runpy.run_path(str(Path(__file__).with_name("shouted_concept.py")))["SHOUTED"]
    monkeypatch.setitem(concepts.CONCEPTS._loaded.records, concept.name, concept)
    return concept


def test_concept_of_another_file_is_labelled_and_conjoined_like_ours(shouted):
    assert concepts.CONCEPTS.named("shouted") is shouted
    tokenizer = train_tokenizer([], 257)
    ids = np.array(tokenizer.encode("raise OSError(EOF)").ids)
    assert "".join(map(str, token_labels(shouted, tokenizer, ids))) == "000000111000001110"
    assert "".join(map(str, conjunctions.both("shouted", "in_call")("raise OSError(EOF)"))) == "000000000000001110"
