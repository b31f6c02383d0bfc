"""Exact and near duplicates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.corpus.duplicates import ExactDuplicates, NearDuplicates, jaccard, shingles


def naive_jaccard(first, second):
    runs = [{tuple(tokens[i : i + 5]) for i in range(max(len(tokens) - 4, 1))} for tokens in (first, second)]
    return len(runs[0] & runs[1]) / len(runs[0] | runs[1])


tokens = st.lists(st.integers(0, 3), min_size=1, max_size=40)


def test_documents_that_differ_in_white_space_alone_are_exact_duplicates():
    seen = ExactDuplicates()
    assert seen.add("def f(a):\n    return a\n")
    assert not seen.add("def f(a):\n\n\treturn a")
    assert seen.add("def f(b):\n    return a\n")


@given(tokens, tokens)
def test_jaccard_of_hashed_shingles_is_that_of_the_runs_themselves(first, second):
    hashed = [shingles(np.array(values, dtype=np.uint16)) for values in (first, second)]
    assert jaccard(*hashed) == pytest.approx(naive_jaccard(first, second))


def test_minhash_finds_every_near_duplicate_that_comparing_all_pairs_finds():
    generator = np.random.default_rng(0)
    originals = [generator.integers(50, size=generator.integers(20, 200)) for _ in range(60)]
    changed = []
    for original in originals:
        copy = original.copy()
        copy[generator.integers(len(copy), size=generator.integers(0, 5))] = 51
        changed.append(copy)
    collection = NearDuplicates([original.astype(np.uint16) for original in originals])
    expected = [max(naive_jaccard(copy, original) for original in originals) >= 0.8 for copy in changed]
    assert [collection.contain(copy.astype(np.uint16)) for copy in changed] == expected
    assert 10 < sum(expected) < 50


@pytest.mark.parametrize("length", [1, 4, 5])
def test_documents_shorter_than_a_shingle_are_compared_whole(length):
    collection = NearDuplicates([np.arange(length, dtype=np.uint16)])
    assert collection.contain(np.arange(length, dtype=np.uint16))
    assert not collection.contain(np.arange(1, length + 1, dtype=np.uint16))
