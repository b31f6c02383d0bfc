"""The byte-level BPE tokenizer with the paper's tinypython pattern."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, pre_tokenizers, trainers

from benchmark.corpus.config import END_OF_TEXT, TRAINED, CorpusConfig
from benchmark.corpus.given_tokenizer import read_given
from benchmark.corpus.tinypython import untrained
from benchmark.files import CorruptFileError, read_json, readable


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Learn a byte-level BPE vocabulary; the same texts give the same tokenizer.

    It has at most `vocabulary` tokens, including `END_OF_TEXT` (id 0) and the 256 bytes; texts with few distinct pairs
    give fewer.
    """
    tokenizer = untrained()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return as_plain_text(tokenizer)


def read_tokenizer(path: Path, config: CorpusConfig) -> Tokenizer:
    """The tokenizer in the folder of a corpus: one that `train_tokenizer` has trained, or the one that was given.

    Args:
        path: Its JSON file.
        config: The settings of the corpus.

    Raises:
        CorruptFileError: The file is damaged, or is that of another tokenizer than the settings say.
    """
    if config.tokenizer == TRAINED:
        return read_trained(path, config.vocabulary)
    given = read_given(path)
    if given.vocabulary > config.vocabulary:
        raise CorruptFileError(path, f"has tokens that are not in a vocabulary of {config.vocabulary:,}")
    for token in (config.end_of_text, *[config.beginning] * config.begins):
        if given.tokenizer.token_to_id(token) is None:
            raise CorruptFileError(path, f"has no token {token!r}, which its corpus needs")
    return given.tokenizer


def read_trained(path: Path, vocabulary: int) -> Tokenizer:
    """A tokenizer that `train_tokenizer` has trained.

    The file may choose the vocabulary and the merges, and nothing else: another regular expression could take forever.

    Args:
        path: Its JSON file.
        vocabulary: The most tokens that it may have.

    Raises:
        CorruptFileError: The file is damaged, or is that of another kind of tokenizer.
    """
    content = read_json(path)
    with readable(path, "tokenizer"):
        ids = sorted(content["model"]["vocab"].values())
        if ids != list(range(len(ids))) or len(ids) > vocabulary:
            raise ValueError(f"{len(ids):,} tokens that are not numbered from 0 to at most {vocabulary - 1:,}")
        tokenizer = Tokenizer.from_str(json.dumps(content))
    found, expected = _without_vocabulary(tokenizer), _without_vocabulary(untrained())
    different = [key for key in expected if found.get(key) != expected[key]]
    if different or tokenizer.token_to_id(END_OF_TEXT) != 0 or len(tokenizer.get_added_tokens_decoder()) != 1:
        told = f"another {different[0]}" if different else f"other special tokens than {END_OF_TEXT}"
        raise CorruptFileError(path, f"is not a tokenizer of this benchmark: it has {told}")
    return as_plain_text(tokenizer)


def _without_vocabulary(tokenizer: Tokenizer) -> dict[str, Any]:
    """Everything that decides how a tokenizer works except its vocabulary."""
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    del content["added_tokens"]
    for key in ("vocab", "merges"):
        del content["model"][key]
    return content


def as_plain_text(tokenizer: Tokenizer) -> Tokenizer:
    """Treat `<|endoftext|>` inside a text as ordinary characters: only the corpus may end a document."""
    tokenizer.encode_special_tokens = True
    return tokenizer
