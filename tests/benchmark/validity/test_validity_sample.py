from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.concepts import Concept
from benchmark.corpus import END_OF_TEXT, Corpus, CorpusConfig
from benchmark.corpus.tokenizer import train_tokenizer
from benchmark.validity.sample import Sample, draw_sample, refusal, shifted

# Shifted labels


@st.composite
def samples(draw):
    """Windows of random labels of three levels."""
    windows, length = draw(st.integers(1, 3)), draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    tokens = torch.zeros(windows, length, dtype=torch.int64)
    return Sample(tokens, tokens, {"A": random.integers(3, size=(windows, length)).astype(np.int8)})


@given(samples(), st.integers(0, 100))
def test_shifted_labels_are_the_true_ones_in_another_place(sample, seed):
    found, before = shifted(sample, "A", np.random.default_rng(seed)).reshape(-1), sample.flat("A")
    assert any((found == np.roll(before, turn)).all() for turn in range(len(before)))


@given(samples(), st.integers(0, 100))
def test_shifted_labels_are_the_same_for_the_same_seed_and_leave_the_true_ones(sample, seed):
    before = sample.labels["A"].copy()
    one, other = (shifted(sample, "A", np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(sample.labels["A"], before)


def test_shifted_labels_of_one_window_may_be_those_of_another():
    labels = np.zeros((4, 10), dtype=np.int8)
    labels[0] = 1
    tokens = torch.zeros(4, 10, dtype=torch.int64)
    found = shifted(Sample(tokens, tokens, {"A": labels}), "A", np.random.default_rng(0))
    assert not found[0].all()
    assert found.sum() == 10


@pytest.mark.parametrize("length", [4, 5, 8, 100])
def test_shifted_labels_move_by_a_quarter_to_three_quarters(length):
    tokens = torch.zeros(1, length, dtype=torch.int64)
    labels = {"A": np.eye(1, length, dtype=np.int8)}
    sample = Sample(tokens, tokens, labels)
    moved = {int(shifted(sample, "A", np.random.default_rng(seed))[0].argmax()) for seed in range(300)}
    assert length // 4 <= min(moved) <= max(moved) <= 3 * length // 4
    assert len(moved) > length / 4


# Samples of a corpus

DOCUMENTS = ['x = "a"', "y = 'bc'", "z = 3", "boom = 1", "# last"]


class TinyCorpus(Corpus):
    """One window: bytes of five documents, an end of text after each."""

    def windows(self, split):
        ids = [self.tokenizer.encode(text).ids for text in DOCUMENTS]
        window = [token for document in ids for token in [*document, self.end_of_text]]
        return np.array([window, window], dtype=np.uint16)


@pytest.fixture(scope="module")
def corpus():
    return TinyCorpus(Path(), CorpusConfig(), train_tokenizer([], 257))


def concept(labels, name="mine", **fields):
    return Concept(name, "whatever", labels, "tests", **fields)


def after_equals(text):
    return [int("=" in text[: index + 1]) for index in range(len(text))]


def test_sample_reads_all_but_the_last_token_and_is_asked_for_all_but_the_first(corpus):
    found = draw_sample(corpus, "test", 1000, [concept(after_equals)])
    windows = torch.from_numpy(corpus.windows("test").astype(np.int64))
    assert torch.equal(found.tokens, windows[:, :-1])
    assert torch.equal(found.targets, windows[:, 1:])
    assert found.labels["mine"].shape == tuple(found.tokens.shape)
    assert found.flat("mine").shape == (found.tokens.numel(),)


def test_labels_begin_anew_in_every_document_and_documents_begin_after_the_end_of_text(corpus):
    found = draw_sample(corpus, "test", 1000, [concept(after_equals)])
    text = "".join(document + "\0" for document in DOCUMENTS)[:-1]
    expected = [int("=" in text[: end + 1].rsplit("\0", 1)[-1]) for end in range(len(text))]
    np.testing.assert_array_equal(found.labels["mine"][0], expected)
    np.testing.assert_array_equal(found.lines[0], [1 + text[:end].count("\0") for end in range(len(text))])
    assert (found.lines[1] > found.lines[0].max()).all()
    assert corpus.tokenizer.token_to_id(END_OF_TEXT) == 0


def test_concept_that_raises_is_named_with_document_and_position(corpus):
    def fragile(text):
        if "boom" in text:
            raise KeyError("no luck")
        return [0] * len(text)

    where = sum(len(document) + 1 for document in DOCUMENTS[:3])
    message = rf"concept 'mine' failed on document 3 \(window 0, position {where}\): KeyError\('no luck'\)"
    with pytest.raises(ValueError, match=message):
        draw_sample(corpus, "test", 1000, [concept(after_equals, "good"), concept(fragile)])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (lambda text: [0], r"gave labels of shape \(1,\) for the 7 characters of document 0"),
        (lambda text: [2] * len(text), r"gave labels other than 0 to 1 on document 0 \(window 0, position 0\): \[2\]"),
        (lambda text: [0.5] * len(text), "gave labels other than 0 to 1 on document 0"),
    ],
)
def test_labels_that_are_none_are_refused(corpus, labels, message):
    with pytest.raises(ValueError, match=message):
        draw_sample(corpus, "test", 1000, [concept(labels)])


def test_concept_is_refused_where_one_of_the_samples_cannot_tell_it(corpus):
    concepts = [concept(after_equals), concept(lambda text: [0] * len(text), "never")]
    sample = draw_sample(corpus, "test", 1000, concepts)
    assert refusal(concepts[0], [sample, sample]) == ""
    assert refusal(concepts[1], [sample, sample]).startswith("concept 'never' is 'no' everywhere: rate 0 over")
