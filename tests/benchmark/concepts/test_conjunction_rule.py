"""The rule by which conjunctions are listed, applied to the default corpus once more."""

from itertools import combinations

import numpy as np
import pytest

from benchmark.concepts import CONCEPTS
from benchmark.concepts.labels import window_labels
from benchmark.concepts.pairs import CONJUNCTIONS
from benchmark.corpus import Corpus, CorpusConfig, build
from benchmark.corpus.sampling import spread_windows

RATE, SHARE, OVERLAP = 0.002, 0.7, 0.6
OLD = (
    *("in_string_and_in_call", "in_double_quoted_string_and_in_call", "in_string_and_in_square_brackets"),
    *("in_string_and_in_braces", "in_brackets_and_line_starts_with_for"),
)
"""Listed before there was a rule."""

KEPT = "in_comment_and_word_seen_return"
"""Listed against the rule."""

SINGLE = [
    each for each in CONCEPTS.values() if not each.parts and each.family not in ("", "words") and each.levels == 2
]


def held(tokens, folder):
    """Where each concept holds on 100,000 tokens of validation and of test from a default corpus of some size."""
    build(CorpusConfig(tokens=tokens), folder, lambda *_: None)
    corpus = Corpus.load(folder)
    windows = np.concatenate([spread_windows(corpus, split, 100_000)[0].numpy() for split in ("validation", "test")])
    labels = window_labels(list(CONCEPTS.values()), corpus.tokenizer, windows, corpus.end_of_text)
    return {name: found.reshape(-1) > 0 for name, found in labels.items()}


def overlap(first, second):
    return np.sum(first & second) / np.sum(first | second)


def selected(found):
    """Names of the conjunctions that the rule lists."""
    conjunctions = {}
    for first, second in combinations(SINGLE, 2):
        both = found[first.name] & found[second.name]
        largest = SHARE * min(np.mean(found[part.name]) for part in (first, second))
        if first.family != second.family and RATE <= np.mean(both) <= largest:
            conjunctions[f"{first.name}_and_{second.name}"] = both
    listed = {}
    for name in sorted(conjunctions, key=lambda name: (name not in OLD, -np.mean(conjunctions[name]))):
        others = [*(found[single.name] for single in SINGLE), *listed.values()]
        if max(overlap(conjunctions[name], other) for other in others) <= OVERLAP:
            listed[name] = conjunctions[name]
    return [name for name in conjunctions if name in listed]


@pytest.mark.slow
def test_the_listed_conjunctions_are_those_that_the_rule_selects(tmp_path):
    found = held(CorpusConfig().tokens, tmp_path)
    assert [*selected(found), KEPT] == [conjunction.name for conjunction in CONJUNCTIONS]
    assert np.mean(found[KEPT]) >= RATE


@pytest.mark.slow
def test_listed_conjunctions_are_as_frequent_in_a_smaller_corpus(tmp_path):
    found = held(1_000_000, tmp_path)
    rates = {conjunction.name: np.mean(found[conjunction.name]) for conjunction in CONJUNCTIONS}
    assert {name: rate for name, rate in rates.items() if rate < 0.6 * RATE} == {}
