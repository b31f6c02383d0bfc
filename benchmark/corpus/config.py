"""The settings of a corpus: its sources and their shares, its size, its vocabulary and its seed."""

import math
import re
from typing import Literal, get_args

from pydantic import Field, model_validator

from benchmark.settings import Name, PositiveShare, Seed, Settings, Tokens

Split = Literal["train", "validation", "test"]
"""One of the three parts of a corpus; no document is in more than one."""

SPLITS: tuple[Split, ...] = get_args(Split)

END_OF_TEXT = "<|endoftext|>"
"""The special token that follows every document, if the tokenizer is trained on the corpus; its id is then 0."""

TRAINED = "trained"
"""The setting `corpus.tokenizer` of a corpus on whose own text the tokenizer is trained."""

NO_BEGINNING = "none"
"""The setting `corpus.beginning` of a corpus whose windows begin with text."""

FEWEST_TRAINED, MOST_TRAINED = 257, 2**16
"""Tokens that a tokenizer may have that is trained on the corpus: at least the 256 bytes and the end of text."""

HELD_OUT = 0.05
"""Tokens of the validation split, and of the test split, as a share of the training tokens."""


LONGEST_SOURCE_NAME = 4096
"""Most characters of the name of a source, paths included."""

MIXED = {
    "idioms": 0.7,
    "package:sympy": 0.115,
    "package:networkx": 0.07,
    "package:pydantic": 0.04,
    "package:mpmath": 0.03,
    "package:rich": 0.02,
    "package:jinja2": 0.015,
    "package:click": 0.01,
}
"""The default mix: generated idioms and real code in seven styles.

The packages are pure Python and dependencies of this project anyway (torch needs sympy, networkx and jinja2; sympy
needs mpmath), pinned in `constraints.txt`, and have permissive licences: BSD-3-Clause for sympy, networkx, mpmath,
jinja2 and click, MIT for pydantic and rich. Their styles differ: small mathematical classes (sympy), numerical
functions (mpmath), graph algorithms (networkx), typed modern classes (pydantic), terminal output (rich), a compiler
(jinja2), a command-line library (click). Shares follow their sizes, so that none is exhausted at 4 M tokens.
"""


def check_source(name: str) -> None:
    """Raise `ValueError` with the choices if no source has that name."""
    kind, _, argument = name.partition(":")
    if not name.isprintable() or len(name) > LONGEST_SOURCE_NAME:
        raise ValueError(f"corpus source {name[:80]!r} has control characters, or more than {LONGEST_SOURCE_NAME}")
    if kind == "package" and not re.fullmatch(r"[A-Za-z0-9._-]+", argument):
        raise ValueError(f"corpus source {name!r} does not name a distribution, such as package:sympy")
    if name not in ("idioms", "stdlib") and not (kind in ("package", "path", "hf") and argument):
        raise ValueError(f"unknown corpus source {name!r}; choose from idioms, package:NAME, stdlib, path:DIR, hf:NAME")


class CorpusConfig(Settings):
    """Settings of a corpus."""

    sources: dict[str, PositiveShare] = Field(default=MIXED, min_length=1, max_length=1000)
    """Share of the tokens by source: `idioms`, `package:NAME`, `stdlib`, `path:DIR` or `hf:NAME`; adding up to 1."""

    tokens: Tokens = 4_000_000
    """Number of training tokens, end-of-text tokens included; validation and test get another 5 % of that each."""

    vocabulary: int = Field(default=2048, ge=2, le=2**20)
    """Tokens in the vocabulary: the 256 bytes, the end of text, and the merges of byte-pair encoding.

    That of a tokenizer that is not trained here follows from the tokenizer."""

    context: int = Field(default=256, ge=1, le=2**20)
    """Positions that a model sees; a window has one token more, the target of the last position."""

    tokenizer: str = Field(
        default=TRAINED, min_length=1, max_length=LONGEST_SOURCE_NAME, exclude_if=lambda name: name == TRAINED
    )
    """`trained` on the corpus; or a `tokenizer.json` file, a folder with one, or `hf:NAME` for that of a model."""

    end_of_text: Name = Field(default="", exclude_if=lambda name: name == "")
    """The token of such a tokenizer that follows every document; found among its special tokens if left out."""

    beginning: Name = Field(default=NO_BEGINNING, exclude_if=lambda name: name == NO_BEGINNING)
    """The token with which every window and every prompt begins, such as `<s>`; `none` for none."""

    seed: Seed = 0
    """Determines which documents are drawn, how they are split and their order."""

    @model_validator(mode="after")
    def _check_shares(self) -> "CorpusConfig":
        for source in self.sources:
            check_source(source)
        total = math.fsum(self.sources.values())
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"the shares of {', '.join(self.sources)} add up to {total:g}; they must add up to 1")
        return self

    @model_validator(mode="after")
    def _check_tokenizer(self) -> "CorpusConfig":
        if not self.tokenizer.isprintable():
            raise ValueError(f"tokenizer {self.tokenizer[:80]!r} has control characters")
        if self.begins and self.context < 2:
            raise ValueError(f"a context of {self.context} has no room for text after {self.beginning!r}; choose 2")
        if self.tokenizer != TRAINED:
            return self
        if not FEWEST_TRAINED <= self.vocabulary <= MOST_TRAINED:
            raise ValueError(
                f"vocabulary {self.vocabulary:,} is out of range for a tokenizer that is trained on the corpus; choose "
                f"from {FEWEST_TRAINED} to {MOST_TRAINED:,}"
            )
        for name, token, usual in (("end_of_text", self.end_of_text, ""), ("beginning", self.beginning, NO_BEGINNING)):
            if token not in (usual, END_OF_TEXT):
                raise ValueError(
                    f"{name} {token!r} is not a token of a tokenizer that is trained on the corpus; choose "
                    f"{END_OF_TEXT!r}, or name a tokenizer that has it"
                )
        return self

    @property
    def begins(self) -> bool:
        """Whether windows and prompts begin with a token of their own."""
        return self.beginning != NO_BEGINNING

    @property
    def token_bytes(self) -> int:
        """Bytes of the id of a token, in files and in memory."""
        return 2 if self.vocabulary <= 2**16 else 4

    @property
    def window(self) -> int:
        """Tokens in a window: the context and the target of its last position."""
        return self.context + 1

    @property
    def text_tokens(self) -> int:
        """Tokens of a window that come from documents: all but the one with which it begins, if there is one."""
        return self.window - self.begins

    def wanted(self, split: Split) -> int:
        """Target number of tokens of a split; held-out splits have at least 32 windows' worth."""
        return self.tokens if split == "train" else max(round(HELD_OUT * self.tokens), 32 * self.window)
