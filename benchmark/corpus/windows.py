"""A built corpus: its tokenizer, and the windows on which models are trained and measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64, Shaped, UInt
from tokenizers import Tokenizer

from benchmark.corpus.config import END_OF_TEXT, CorpusConfig, Split
from benchmark.corpus.tokenizer import read_tokenizer
from benchmark.files import CorruptFileError, read_json, readable
from benchmark.settings import read_settings

Offsets = Int64[np.ndarray, " boundary"]
Tokens = UInt[np.ndarray, " _"]
"""Token ids, as `token_type` says."""


def token_type(config: CorpusConfig) -> type[np.uint16] | type[np.uint32]:
    """The number type of token ids, in files and in memory."""
    return np.uint16 if config.token_bytes == 2 else np.uint32


@dataclass(frozen=True, eq=False)
class Corpus:
    """A corpus that `build` has written."""

    folder: Path
    config: CorpusConfig
    tokenizer: Tokenizer
    """Byte-level BPE, or the tokenizer that the settings name; special tokens in a text are ordinary characters."""

    @classmethod
    def load(cls, folder: Path) -> "Corpus":
        """Open a corpus; its tokens stay on disk until they are needed.

        Raises:
            CorruptFileError: A file of it is damaged, or is not one that `build` writes.
        """
        config = read_settings(folder / "corpus.json", CorpusConfig, "config")
        return cls(folder, config, read_tokenizer(folder / "tokenizer.json", config))

    @staticmethod
    def digest(folder: Path) -> str:
        """SHA-256 of the tokens of all splits and of the tokenizer of a corpus."""
        return str(read_json(folder / "corpus.json").get("digest", ""))

    @property
    def end_of_text(self) -> int:
        """The id of the token that follows every document."""
        return self._id(self.config.end_of_text or END_OF_TEXT)

    @property
    def beginning(self) -> int | None:
        """The id of the token with which every window and every prompt begins; `None` if they begin with text."""
        return self._id(self.config.beginning) if self.config.begins else None

    def _id(self, token: str) -> int:
        number = self.tokenizer.token_to_id(token)
        assert number is not None, f"{token} is checked when the corpus is opened"
        return number

    def windows(self, split: Split) -> UInt[np.ndarray, "window position"]:
        """Every window of a split, `context + 1` tokens each, in the order of its documents.

        A window starts at the beginning of a document and continues over the following documents, each followed by an
        end of text; if the settings say so, it starts with a token of its own before the document. A document cut by
        the end of a window starts the next window, unless it started the window itself. So adjacent windows may share
        tokens: shuffle windows rather than documents.
        """
        path = self.folder / f"{split}.offsets.npy"
        tokens, offsets = self._tokens(split), _array(path, np.int64)
        if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != len(tokens) or (np.diff(offsets) < 0).any():
            raise CorruptFileError(path, "does not say where the documents of its tokens start")
        text = self.config.text_tokens
        windows = np.asarray(tokens[window_starts(offsets, text)[:, None] + np.arange(text)])
        return windows if self.beginning is None else np.insert(windows, 0, self.beginning, axis=1)

    def _tokens(self, split: Split) -> Tokens:
        """The tokens of a split, on disk."""
        path = self.folder / f"{split}.tokens.npy"
        tokens = _array(path, token_type(self.config), mmap_mode="r")
        if len(tokens) and int(tokens.max()) >= self.config.vocabulary:
            raise CorruptFileError(path, f"has tokens that are not in a vocabulary of {self.config.vocabulary:,}")
        return tokens

    def decode(self, ids: Sequence[int] | Tokens) -> str:
        """The text of token ids."""
        return self.tokenizer.decode([int(token) for token in ids], skip_special_tokens=False)


def _array(path: Path, kind: type[np.generic], mmap_mode: Literal["r"] | None = None) -> Shaped[np.ndarray, " _"]:
    """The numbers of a file, in one row; `CorruptFileError` if it has others. Nothing in it is unpickled."""
    with readable(path, "NumPy file"):
        found = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
        if found.dtype != kind or found.ndim != 1:
            raise ValueError(f"{found.dtype} with {found.ndim} axes")
    return np.asarray(found) if mmap_mode is None else found


def window_starts(offsets: Offsets, window: int) -> Int64[np.ndarray, " window"]:
    """The start of each full window by the rule of `Corpus.windows`, given where documents start and the last ends."""
    document_at_end = np.searchsorted(offsets, offsets + window, side="right") - 1
    following = np.maximum(document_at_end, np.arange(len(offsets)) + 1).tolist()
    found: list[int] = []
    document = 0
    while document < len(offsets) - 1 and offsets[document] + window <= offsets[-1]:
        found.append(document)
        document = following[document]
    return offsets[np.asarray(found, dtype=np.int64)]
