"""A built corpus: its tokenizer, and the windows on which models are trained and measured."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt16
from tokenizers import Tokenizer

from benchmark.corpus.config import END_OF_TEXT, CorpusConfig, Split
from benchmark.corpus.tokenizer import as_plain_text

Offsets = Int64[np.ndarray, " boundary"]
Tokens = UInt16[np.ndarray, " _"]


@dataclass(frozen=True, eq=False)
class Corpus:
    """A corpus that `build` has written."""

    folder: Path
    config: CorpusConfig
    tokenizer: Tokenizer
    """Byte-level BPE, which treats `<|endoftext|>` inside a text as ordinary characters."""

    @classmethod
    def load(cls, folder: Path) -> "Corpus":
        """Open a corpus; its tokens stay on disk until they are needed."""
        config = CorpusConfig.model_validate(json.loads((folder / "corpus.json").read_text(encoding="utf-8"))["config"])
        return cls(folder, config, as_plain_text(Tokenizer.from_file(str(folder / "tokenizer.json"))))

    @staticmethod
    def digest(folder: Path) -> str:
        """SHA-256 of the tokens of all splits and of the tokenizer of a corpus."""
        return str(json.loads((folder / "corpus.json").read_text(encoding="utf-8"))["digest"])

    @property
    def end_of_text(self) -> int:
        """The id of `END_OF_TEXT`."""
        token = self.tokenizer.token_to_id(END_OF_TEXT)
        assert token is not None, "the trainer adds it"
        return token

    def windows(self, split: Split) -> UInt16[np.ndarray, "window position"]:
        """Every window of a split, `context + 1` tokens each, in the order of its documents.

        A window starts at the beginning of a document and continues over the following documents, each followed by an
        end of text. A document cut by the end of a window starts the next window, unless it started the window itself.
        So adjacent windows may share tokens: shuffle windows rather than documents.
        """
        tokens = np.load(self.folder / f"{split}.tokens.npy", mmap_mode="r")
        starts = window_starts(np.load(self.folder / f"{split}.offsets.npy"), self.config.window)
        return np.asarray(tokens[starts[:, None] + np.arange(self.config.window)])

    def decode(self, ids: Sequence[int] | Tokens) -> str:
        """The text of token ids."""
        return self.tokenizer.decode([int(token) for token in ids], skip_special_tokens=False)


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
