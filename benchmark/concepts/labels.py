"""Token labels: a concept's character labels, read off where each token ends."""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int8, Int64, Integer
from tokenizers import Tokenizer

from benchmark.concepts import CONCEPTS, Concept
from benchmark.concepts.conjunctions import labels_of
from benchmark.concepts.token_bytes import puts_a_space_first, token_bytes

Windows = Integer[np.ndarray, "window position"]
WindowLabels = Int8[np.ndarray, "window position"]


@dataclass(frozen=True, eq=False)
class Piece:
    """A document, or the part of it that is in a window.

    Attributes:
        index: Number of the piece, counted over all windows.
        window: Number of the window.
        start: Position of its first token in the window.
        text: Its characters, without one that is cut off by the end of the window.
        read: Number of characters that are complete after each of its tokens.
    """

    index: int
    window: int
    start: int
    text: str
    read: Int64[np.ndarray, " token"]

    @property
    def where(self) -> str:
        """How messages name it."""
        return f"document {self.index} (window {self.window}, position {self.start})"


def window_labels(
    concepts: Sequence[Concept], tokenizer: Tokenizer, windows: Windows, end_of_text: int
) -> dict[str, WindowLabels]:
    """Labels of every token of every window, by concept.

    A token has the label of its last character: the state once the model has read the whole token. A token that ends
    within a character has the label of the last complete character, or 0. The end of text has label 0, and each
    document is labelled independently.

    Args:
        concepts: Any concepts; a document is lexed once for all of them.
        tokenizer: The tokenizer of the corpus.
        windows: Token ids.
        end_of_text: The id of the token that separates documents.

    Raises:
        ValueError: A concept raises, or does not give every character one of its labels; the message names the concept
            and the document with its position.
    """
    found: dict[str, WindowLabels] = {concept.name: np.zeros(windows.shape, dtype=np.int8) for concept in concepts}
    pieces = _pieces(token_bytes(tokenizer), windows, end_of_text, puts_a_space_first(tokenizer))
    for piece in pieces:
        positions = slice(piece.start, piece.start + len(piece.read))
        for concept in concepts:
            labels = np.concatenate([np.zeros(1, dtype=np.int8), _character_labels(concept, piece)])
            found[concept.name][piece.window, positions] = labels[piece.read]
    return found


def check_rate(concept: Concept, labels: Integer[np.ndarray, "..."]) -> float:
    """The share of positions in a sample whose label is not 0; nothing can be measured where all labels are the same.

    Raises:
        ValueError: All labels are equal, or there are none.
    """
    if not labels.size:
        raise ValueError(f"concept {concept.name!r} has no labels: the sample is empty")
    rate = float(np.mean(labels != 0))
    if labels.min() == labels.max():
        level = concept.level_names[int(labels.max())]
        raise ValueError(
            f"concept {concept.name!r} is {level!r} everywhere: rate {rate:g} over {labels.size} positions"
        )
    return rate


def _pieces(
    vocabulary: Sequence[bytes], windows: Windows, end_of_text: int, space_first: bool = False
) -> Iterator[Piece]:
    """The documents of all windows in order, with invalid bytes replaced, and without the space put before them."""
    index = 0
    for window, ids in enumerate(windows.tolist()):
        ends = [position for position, token in enumerate(ids) if token == end_of_text]
        for start, stop in zip([0, *(end + 1 for end in ends)], [*ends, len(ids)], strict=True):
            if start < stop:
                decoder = codecs.getincrementaldecoder("utf-8")("replace")
                texts = [decoder.decode(vocabulary[token]) for token in ids[start:stop]]
                if space_first:
                    first = next((number for number, text in enumerate(texts) if text), 0)
                    texts[first] = texts[first].removeprefix(" ")
                read = np.cumsum([len(text) for text in texts], dtype=np.int64)
                yield Piece(index, window, start, "".join(texts), read)
                index += 1


def _character_labels(concept: Concept, piece: Piece) -> Int8[np.ndarray, " character"]:
    """The labels that a concept gives the characters of a document, checked."""
    called, where = CONCEPTS.called(concept.name), piece.where
    try:
        labels = labels_of(concept.function, piece.text)
    except Exception as error:  # whatever somebody's concept raises
        raise ValueError(f"{called} failed on {where}: {error!r}") from error
    if labels.shape != (len(piece.text),):
        characters = f"the {len(piece.text)} characters of {where}"
        raise ValueError(f"{called} gave labels of shape {labels.shape} for {characters}")
    if not len(labels):
        return np.zeros(0, dtype=np.int8)
    if labels.dtype.kind not in "biu" or labels.min() < 0 or labels.max() >= concept.levels:
        given = sorted(set(labels.tolist()))[:9]
        raise ValueError(f"{called} gave labels other than 0 to {concept.levels - 1} on {where}: {given}")
    return labels.astype(np.int8)
