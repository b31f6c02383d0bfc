"""A built corpus: its tokenizer, its documents, and the windows that models are trained and measured on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from jaxtyping import Int64, UInt16
from tokenizers import Tokenizer

from benchmark.corpus.config import END_OF_TEXT, CorpusConfig, Split
from benchmark.corpus.tokenizer import as_plain_text

Offsets = Int64[np.ndarray, " boundary"]
Tokens = UInt16[np.ndarray, " _"]


@dataclass(frozen=True, eq=False)
class Documents(Sequence[Tokens]):
    """The documents of a split, each an array of token ids without the end of text.

    Attributes:
        tokens: All of them one after the other, memory-mapped.
        offsets: Where each begins, and where the last ends.
        end_of_text: The id that follows a document; a document that fills a window has none.
    """

    tokens: Tokens
    offsets: Offsets
    end_of_text: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> Tokens: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tokens]: ...
    def __getitem__(self, index: int | slice) -> Tokens | list[Tokens]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        document = np.asarray(self.tokens[self.offsets[position] : self.offsets[position + 1]])
        return document[:-1] if document[-1] == self.end_of_text else document


@dataclass(frozen=True, eq=False)
class Corpus:
    """A corpus that `build` has written.

    Attributes:
        folder: Where it lies.
        config: What it was built from.
        tokenizer: Byte-level BPE; `<|endoftext|>` inside a text is ordinary characters to it.
    """

    folder: Path
    config: CorpusConfig
    tokenizer: Tokenizer

    @classmethod
    def load(cls, folder: Path) -> "Corpus":
        """Opens a corpus; its tokens stay on disk until they are asked for."""
        config = CorpusConfig.model_validate(json.loads((folder / "corpus.json").read_text(encoding="utf-8"))["config"])
        return cls(folder, config, as_plain_text(Tokenizer.from_file(str(folder / "tokenizer.json"))))

    @property
    def end_of_text(self) -> int:
        """The id of `END_OF_TEXT`."""
        token = self.tokenizer.token_to_id(END_OF_TEXT)
        assert token is not None, "the trainer put it in"
        return token

    def documents(self, split: Split) -> Documents:
        """The documents of a split in the corpus's order, cut where a window that begins with them would end."""
        offsets = np.load(self.folder / f"{split}.offsets.npy")
        return Documents(np.load(self.folder / f"{split}.tokens.npy", mmap_mode="r"), offsets, self.end_of_text)

    def windows(self, split: Split) -> UInt16[np.ndarray, "window position"]:
        """Every window of a split, `context + 1` tokens each, in the order of its documents.

        A window begins at a document's start and runs on over the following documents, an end of text after each. A
        document that a window's end cuts begins the next window, unless it began the window itself. So two neighbours
        may share tokens: shuffle windows rather than documents.
        """
        documents = self.documents(split)
        starts = window_starts(documents.offsets, self.config.window)
        return np.asarray(documents.tokens[starts[:, None] + np.arange(self.config.window)])

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""
        return self.tokenizer.encode(text).ids

    def decode(self, ids: Sequence[int] | Tokens) -> str:
        """The text of token ids."""
        return self.tokenizer.decode([int(token) for token in ids], skip_special_tokens=False)


def window_starts(offsets: Offsets, window: int) -> Int64[np.ndarray, " window"]:
    """Where each full window begins, by the rule of `Corpus.windows`."""
    document_at_end = np.searchsorted(offsets, offsets + window, side="right") - 1
    following = np.maximum(document_at_end, np.arange(len(offsets)) + 1).tolist()
    found: list[int] = []
    document = 0
    while document < len(offsets) - 1 and offsets[document] + window <= offsets[-1]:
        found.append(document)
        document = following[document]
    return offsets[np.asarray(found, dtype=np.int64)]
