"""Labels of tokens: a concept's labels of characters, mapped by where each token ends."""

import codecs
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int8, Int64, Integer
from tokenizers import Tokenizer

from benchmark.concepts import CONCEPTS, Concept
from benchmark.corpus.config import END_OF_TEXT

Ids = Integer[np.ndarray, " token"]
Windows = Integer[np.ndarray, "window position"]
WindowLabels = Int8[np.ndarray, "window position"]


@dataclass(frozen=True, eq=False)
class Piece:
    """A document, or as much of it as stands in a window.

    Attributes:
        index: Which it is, counted over all windows.
        window: The window that it stands in.
        start: Position of its first token.
        text: Its characters; one that the window's end cuts is left out.
        read: How many of them are complete after each of its tokens.
    """

    index: int
    window: int
    start: int
    text: str
    read: Int64[np.ndarray, " token"]

    @property
    def where(self) -> str:
        """For messages."""
        return f"document {self.index} (window {self.window}, position {self.start})"


def token_labels(concept: Concept, tokenizer: Tokenizer, ids: Ids) -> Int8[np.ndarray, " token"]:
    """Labels of one text's tokens, by the rule of `window_labels`."""
    end = tokenizer.token_to_id(END_OF_TEXT)
    labels = window_labels([concept], tokenizer, ids[None], -1 if end is None else end)[concept.name]
    return labels.reshape(-1)


def window_labels(
    concepts: Sequence[Concept], tokenizer: Tokenizer, windows: Windows, end_of_text: int
) -> dict[str, WindowLabels]:
    """Labels of every token of every window, by concept.

    A token has the label of its last character: the state once the model has read the whole token. One that ends
    within a character has the label of the last character that is complete, or 0. The end of text has label 0, and
    the document after it starts afresh.

    Args:
        concepts: Any concepts; a document is lexed once for all of them.
        tokenizer: Byte-level, that of the corpus.
        windows: Token ids.
        end_of_text: The id that stands between documents.

    Raises:
        ValueError: A concept raises, or does not give one label of its own per character; the message names the
            concept, the document and where it stands.
    """
    found: dict[str, WindowLabels] = {concept.name: np.zeros(windows.shape, dtype=np.int8) for concept in concepts}
    for piece in _pieces(token_bytes(tokenizer), windows, end_of_text):
        positions = slice(piece.start, piece.start + len(piece.read))
        for concept in concepts:
            labels = np.concatenate([np.zeros(1, dtype=np.int8), _character_labels(concept, piece)])
            found[concept.name][piece.window, positions] = labels[piece.read]
    return found


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes of every token of a byte-level vocabulary; ids that stand for none have none."""
    found = [b""] * (max(tokenizer.get_vocab().values()) + 1)
    alphabet = _byte_alphabet()
    for token, number in tokenizer.get_vocab().items():
        if all(character in alphabet for character in token):
            found[number] = bytes(alphabet[character] for character in token)
    return found


def base_rates(labels: Mapping[str, Integer[np.ndarray, "..."]]) -> dict[str, float]:
    """The share of positions whose label is not 0, by concept."""
    return {name: float(np.mean(values != 0)) for name, values in labels.items()}


def check_rate(concept: Concept, labels: Integer[np.ndarray, "..."]) -> float:
    """The concept's base rate in a sample; nothing can be measured where all labels are the same.

    Raises:
        ValueError: The concept holds nowhere or everywhere; if it has several levels, all labels are equal; or there
            are none.
    """
    if not labels.size:
        raise ValueError(f"concept {concept.name!r} has no labels: the sample is empty")
    rate = base_rates({concept.name: labels})[concept.name]
    if labels.min() == labels.max():
        level = concept.level_names[int(labels.max())]
        raise ValueError(
            f"concept {concept.name!r} is {level!r} everywhere: rate {rate:g} over {labels.size} positions"
        )
    return rate


def _pieces(vocabulary: Sequence[bytes], windows: Windows, end_of_text: int) -> Iterator[Piece]:
    """The documents of all windows, one after the other."""
    index = 0
    for window, ids in enumerate(windows.tolist()):
        ends = [position for position, token in enumerate(ids) if token == end_of_text]
        for start, stop in zip([0, *(end + 1 for end in ends)], [*ends, len(ids)], strict=True):
            if start < stop:
                text, read = _decoded([vocabulary[token] for token in ids[start:stop]])
                yield Piece(index, window, start, text, read)
                index += 1


def _decoded(pieces: Sequence[bytes]) -> tuple[str, Int64[np.ndarray, " token"]]:
    """The text of some bytes, and how many characters are complete after each piece; invalid bytes are replaced."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    texts = [decoder.decode(piece) for piece in pieces]
    return "".join(texts), np.cumsum([len(text) for text in texts], dtype=np.int64)


def _character_labels(concept: Concept, piece: Piece) -> Int8[np.ndarray, " character"]:
    """What a concept says of a document, checked."""
    try:
        labels = np.asarray(concept.function(piece.text))
    except Exception as error:  # whatever somebody's concept raises
        raise ValueError(f"{CONCEPTS.called(concept.name)} failed on {piece.where}: {error!r}") from error
    if labels.shape != (len(piece.text),):
        raise ValueError(
            f"{CONCEPTS.called(concept.name)} gave labels of shape {labels.shape} for the "
            f"{len(piece.text)} characters of {piece.where}"
        )
    if not len(labels):
        return np.zeros(0, dtype=np.int8)
    if labels.dtype.kind not in "biu" or labels.min() < 0 or labels.max() >= concept.levels:
        raise ValueError(
            f"{CONCEPTS.called(concept.name)} gave labels other than 0 to {concept.levels - 1} on {piece.where}: "
            f"{sorted(set(labels.tolist()))[:9]}"
        )
    return labels.astype(np.int8)


def _byte_alphabet() -> dict[str, int]:
    """The byte that each character of a byte-level vocabulary stands for: printable ones for themselves (GPT-2)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + rank): byte for rank, byte in enumerate(others)}
