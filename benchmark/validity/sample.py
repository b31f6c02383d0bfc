"""Windows of one split with the labels of every concept, on which nodes are chosen or scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int8, Shaped
from torch import Tensor

from benchmark.concepts import Concept
from benchmark.concepts.labels import check_rate, window_labels
from benchmark.concepts.token_bytes import token_bytes
from benchmark.corpus import Corpus, Split
from benchmark.corpus.sampling import spread_windows

Labels = Int8[np.ndarray, "window position"]


@dataclass(frozen=True, eq=False)
class Sample:
    """Windows of input tokens, the tokens that follow them, and labels.

    Attributes:
        labels: Labels of every input token, by concept.
        lines: Number of the line that each token is on, counted over all windows; if left out, every token is on a line
            of its own.
    """

    tokens: Int[Tensor, "window position"]
    targets: Int[Tensor, "window position"]
    labels: Mapping[str, Labels]
    lines: Int[np.ndarray, "window position"] | None = None

    @property
    def flat_lines(self) -> Int[np.ndarray, " token"]:
        """Line numbers, with all windows concatenated."""
        return np.arange(self.tokens.numel()) if self.lines is None else self.lines.reshape(-1)

    def flat(self, concept: str) -> Int8[np.ndarray, " token"]:
        """Labels of a concept, with all windows concatenated."""
        return self.labels[concept].reshape(-1)


def draw_sample(corpus: Corpus, split: Split, tokens: int, concepts: Sequence[Concept]) -> Sample:
    """About `tokens` tokens of a split, labelled.

    Raises:
        ValueError: A concept raises or gives wrong labels; the message names the document and position.
    """
    read, targets = spread_windows(corpus, split, tokens)
    ids = read.numpy()
    labels = window_labels(concepts, corpus.tokenizer, ids, corpus.end_of_text)
    return Sample(read, targets, labels, line_numbers(corpus, ids))


def line_numbers(corpus: Corpus, ids: Int[np.ndarray, "window position"]) -> Int[np.ndarray, "window position"]:
    """Number of the line on which each token begins, counted over all windows."""
    ends = np.array([b"\n" in text for text in token_bytes(corpus.tokenizer)])
    ends[corpus.end_of_text] = True
    new = np.ones(ids.shape, dtype=np.int64)
    new[:, 1:] = ends[ids[:, :-1]]
    return np.cumsum(new.reshape(-1)).reshape(ids.shape)


def refusal(concept: Concept, samples: Sequence[Sample]) -> str:
    """Why a concept cannot be measured on these samples (it holds nowhere or everywhere); empty if it can."""
    try:
        for sample in samples:
            check_rate(concept, sample.labels[concept.name])
    except ValueError as error:
        return str(error)
    return ""


def shifted(sample: Sample, concept: str, generator: np.random.Generator) -> Labels:
    """Labels of a concept, rotated over all windows one after the other by a quarter to three quarters of their length.

    They keep the rate and the runs of the true labels, but are unrelated to the text. Rotated within each document they
    would still tell documents in which the concept is common from others.
    """
    labels: Labels = turned(sample.flat(concept), generator).reshape(sample.labels[concept].shape)
    return labels


def turned(values: Shaped[np.ndarray, " position"], generator: np.random.Generator) -> Shaped[np.ndarray, " position"]:
    """Values rotated by a quarter to three quarters of their number."""
    length = len(values)
    return np.roll(values, int(generator.integers(length // 4, 3 * length // 4 + 1)))
