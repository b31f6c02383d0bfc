"""A tokenizer that is not trained on the corpus: where its file is, and what a corpus takes from it."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from benchmark.corpus.config import TRAINED, CorpusConfig
from benchmark.corpus.hub import from_hub
from benchmark.corpus.tinypython import MERGES, VOCABULARY, has_released_files, released_tokenizer
from benchmark.files import CorruptFileError, parsed_json, read_bytes, readable

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Each cell has one thread, and the library prints a warning when a process that has used its threads forks.

FILE = "tokenizer.json"
"""The name of the file in a folder, and among the files of a model on the Hub."""

HUB = "hf:"
"""How the name of a tokenizer on the Hub begins."""

LARGEST_TOKENIZER = 2**26
"""Most bytes of the file; those with the largest vocabularies have about half as many."""

MOST_TOKENIZER_VALUES = 8_000_000
"""Most values in the file: its tokens, and three for each merge."""

LARGEST_ID = 2**20 - 1
"""Largest id of a token."""

ENDS_OF_TEXT = (
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "<|eos|>",
    "[EOS]",
    "<EOS>",
    "<\uff5cend▁of▁sentence\uff5c>",
)
"""Tokens with which models mark the end of a document, in the order in which they are looked for."""

SAMPLE = "def f(a, b=[1, 2]):\n    if a != 'x y':\n\n        return {a: b[0] + 3}\n"
"""Text that a tokenizer has to give back as it is: tasks and concepts are about single characters of a program."""

NAMED = 10
"""Most special tokens that a message names."""


@dataclass(frozen=True)
class GivenTokenizer:
    """A tokenizer that is not trained on the corpus.

    Attributes:
        tokenizer: The tokenizer, which neither pads nor cuts texts and takes special tokens in a text for characters.
        vocabulary: Its largest id plus 1.
        special: Its special tokens.
    """

    tokenizer: Tokenizer
    vocabulary: int
    special: tuple[str, ...]

    @property
    def beginning(self) -> str | None:
        """The token that it puts before a text for its model; `None` if it puts none there."""
        plain, whole = (self.tokenizer.encode("a", add_special_tokens=special).ids for special in (False, True))
        if len(whole) > len(plain) and whole[1 : len(plain) + 1] == plain:
            return str(self.tokenizer.id_to_token(whole[0]))
        return None


def tokenizer_version(config: CorpusConfig) -> dict[str, str]:
    """The digest of the file of a tokenizer, by the name that it has in a cell's key; empty for one that is trained.

    Raises:
        ValueError: There is no such tokenizer.
    """
    if config.tokenizer == TRAINED:
        return {}
    content = _content(tokenizer_file(config.tokenizer))
    return {"tokenizer": hashlib.sha256(content).hexdigest()[:16]}


def with_tokenizer(config: CorpusConfig) -> CorpusConfig:
    """The settings with the vocabulary and the end of text of the tokenizer that they name.

    Raises:
        ValueError: There is no such tokenizer, or it lacks a token that the corpus needs; in one line with the choices.
    """
    if config.tokenizer == TRAINED:
        return config
    given = read_given(tokenizer_file(config.tokenizer))
    _check_keeps_text(config, given)
    if config.begins and given.tokenizer.token_to_id(config.beginning) is None:
        raise ValueError(f"corpus.beginning {config.beginning!r}: {_lacks(config, given)}")
    return config.model_copy(update={"vocabulary": given.vocabulary, "end_of_text": _end_of_text(config, given)})


def read_given(path: Path) -> GivenTokenizer:
    """The tokenizer in a file that the `tokenizers` library wrote, or in `vocab.bpe` and the file beside it.

    Raises:
        CorruptFileError: The file is not one, or exceeds a limit.
    """
    content = _content(path)
    with readable(path, "tokenizer"):
        parsed_json(content, path, MOST_TOKENIZER_VALUES)
        tokenizer = Tokenizer.from_str(content.decode())
    ids = tokenizer.get_vocab().values()
    if not ids or min(ids) < 0 or max(ids) > LARGEST_ID:
        raise CorruptFileError(path, f"has no tokens, or ids beyond {LARGEST_ID:,}")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    added = tokenizer.get_added_tokens_decoder()
    special = tuple(added[number].content for number in sorted(added) if added[number].special)
    return GivenTokenizer(tokenizer, max(ids) + 1, special)


def _content(path: Path) -> bytes:
    """The JSON of the tokenizer in a file."""
    if path.name == MERGES and has_released_files(path.parent):
        return released_tokenizer(path.parent).to_str().encode()
    return read_bytes(path, LARGEST_TOKENIZER, "tokenizer")


def tokenizer_file(name: str) -> Path:
    """The file of a tokenizer: a path, the file in a folder, or that of a model on the Hub.

    Raises:
        ValueError: There is none, with the choices.
    """
    if name.startswith(HUB):
        return from_hub(name.removeprefix(HUB), FILE, f"corpus.tokenizer {name} cannot be fetched")
    path = Path(name)
    if path.is_dir():
        if (path / FILE).is_file():
            return path / FILE
        if has_released_files(path):
            return path / MERGES
        raise ValueError(
            f"corpus.tokenizer {name!r}: the folder has no {FILE}; "
            "`AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)` of transformers writes it; "
            f"{VOCABULARY} and {MERGES} of a released model do as well"
        )
    if path.is_file():
        return path
    raise ValueError(
        f"corpus.tokenizer {name!r}: there is no such file; choose {TRAINED}, a folder, a file or {HUB}NAME"
    )


def _check_keeps_text(config: CorpusConfig, given: GivenTokenizer) -> None:
    """`ValueError` if the tokenizer does not give back a program as it was."""
    back = given.tokenizer.decode(given.tokenizer.encode(SAMPLE, add_special_tokens=False).ids)
    if back != SAMPLE:
        raise ValueError(
            f"corpus.tokenizer {config.tokenizer!r} does not give back the text {SAMPLE!r} but {back!r}; choose one "
            "that keeps every character, such as a byte-level one"
        )


def _end_of_text(config: CorpusConfig, given: GivenTokenizer) -> str:
    """The token that follows every document."""
    if config.end_of_text:
        if given.tokenizer.token_to_id(config.end_of_text) is None:
            raise ValueError(f"corpus.end_of_text {config.end_of_text!r}: {_lacks(config, given)}")
        return config.end_of_text
    found = next((name for name in ENDS_OF_TEXT if name in given.special), None)
    if found is None:
        raise ValueError(
            f"corpus.tokenizer {config.tokenizer!r} has no end of text that is known as one; name it by "
            f"corpus.end_of_text: {_special(given)}"
        )
    return found


def _lacks(config: CorpusConfig, given: GivenTokenizer) -> str:
    return f"tokenizer {config.tokenizer!r} has no such token; {_special(given)}"


def _special(given: GivenTokenizer) -> str:
    """The special tokens of a tokenizer, as the rest of a message."""
    if not given.special:
        return "it has no special tokens, so name any of its tokens that texts do not contain"
    more = f" and {len(given.special) - NAMED} more" * (len(given.special) > NAMED)
    return f"its special tokens are {', '.join(map(repr, given.special[:NAMED]))}{more}"
