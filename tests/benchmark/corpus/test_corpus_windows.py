"""Windows begin at documents' starts."""

import numpy as np
from conftest import documents
from hypothesis import given
from hypothesis import strategies as st

from benchmark.corpus import SPLITS
from benchmark.corpus.sampling import spread_windows
from benchmark.corpus.windows import window_starts


def naive_starts(offsets, window):
    """The rule of `Corpus.windows`, one document after the other."""
    starts, document = [], 0
    while document < len(offsets) - 1 and offsets[document] + window <= offsets[-1]:
        starts.append(offsets[document])
        end = offsets[document] + window
        following = document + 1
        while following < len(offsets) - 1 and offsets[following + 1] <= end:
            following += 1
        document = following
    return starts


def test_a_document_that_a_window_cuts_begins_the_next_one():
    offsets = np.array([0, 4, 8, 12, 16, 20, 24])
    assert window_starts(offsets, 10).tolist() == [0, 8]


def test_a_window_that_ends_with_a_document_is_followed_by_the_next_document():
    assert window_starts(np.array([0, 5, 10, 15, 20]), 10).tolist() == [0, 10]


def test_a_document_that_fills_its_window_does_not_begin_the_next_one():
    assert window_starts(np.array([0, 10, 20, 25, 30]), 10).tolist() == [0, 10, 20]


def test_too_few_tokens_give_no_window():
    assert window_starts(np.array([0, 5]), 10).shape == (0,)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=40), st.integers(2, 12))
def test_starts_follow_the_rule_read_naively(lengths, window):
    offsets = np.cumsum([0, *(min(length, window) for length in lengths)])
    assert window_starts(offsets, window).tolist() == naive_starts(offsets.tolist(), window)


def test_every_window_of_a_corpus_begins_with_a_document_and_is_full(small_corpus):
    for split in SPLITS:
        windows = small_corpus.windows(split)
        begins = {tuple(document[:8]) for document in documents(small_corpus, split)}
        assert windows.dtype == np.uint16
        assert windows.shape[1] == 33
        assert len(windows) >= 20
        assert all(tuple(window[: min(8, end_of_first(window))]) in begins for window in windows)


def end_of_first(window):
    ends = np.flatnonzero(window == 0)
    return ends[0] if len(ends) else len(window)


def test_every_document_is_seen_from_its_start(small_corpus):
    seen = {bytes(window[:33].tobytes()) for window in small_corpus.windows("train")}
    long = [document for document in documents(small_corpus, "train")[:-20] if len(document) == 33]
    assert long
    assert {document.tobytes() for document in long} <= seen


def test_spread_windows_are_cut_into_a_context_of_tokens_and_what_follows_each(small_corpus):
    tokens, targets = spread_windows(small_corpus, "train", 200)
    assert tokens.shape == targets.shape == (200 // 32, small_corpus.config.context)
    assert (tokens[:, 1:] == targets[:, :-1]).all()
