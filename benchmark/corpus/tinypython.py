"""Byte-level BPE with the tinypython pattern of Gao et al. 2025, without merges or with those of the released files."""

from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from benchmark.corpus.config import END_OF_TEXT
from benchmark.files import CorruptFileError, read_json, read_text, readable

PATTERN = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
r"""How text is split before merging pairs: `.add`, `=None` and `):\n` stay whole (Gao et al. 2025, tinypython)."""


VOCABULARY, MERGES = "encoder.json", "vocab.bpe"
"""The released files of a tokenizer: the ids of its tokens, and its merges, one pair per line."""

LARGEST_MERGES = 2**24
"""Most bytes of the file of merges."""


def untrained(model: models.BPE | None = None) -> Tokenizer:
    """The tokenizer without merges, or with those of a model."""
    tokenizer = Tokenizer(models.BPE() if model is None else model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def has_released_files(folder: Path) -> bool:
    """Whether a folder has the two files of a tokenizer."""
    return all((folder / name).is_file() for name in (VOCABULARY, MERGES))


def released_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in the two files of a folder, https://github.com/openai/circuit_sparsity, tinypython.py.

    As in tiktoken, which reads them there, a piece of text that is a token is that token, whatever the merges make of
    it. `<|endoftext|>` has the id that the file gives it, or else the one after all others: 2047 for tinypython_2k.

    Raises:
        CorruptFileError: A file is damaged, the ids are not 0, 1, 2, ..., a byte has no token, or a merge has none.
    """
    path = folder / MERGES
    ids = read_json(folder / VOCABULARY)
    if sorted(id for id in ids.values() if type(id) is int) != list(range(len(ids))):
        raise CorruptFileError(folder / VOCABULARY, f"has {len(ids):,} tokens whose ids are not 0 to {len(ids) - 1:,}")
    if missing := sorted(set(pre_tokenizers.ByteLevel.alphabet()) - ids.keys()):
        raise CorruptFileError(folder / VOCABULARY, f"has no token for {len(missing)} bytes, such as {missing[0]!r}")
    lines = read_text(path, LARGEST_MERGES, "list of merges").splitlines()
    pairs = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    if wrong := [pair for pair in pairs if len(pair) != 2 or "".join(pair) not in ids]:
        raise CorruptFileError(path, f"has the merge {' '.join(wrong[0])!r:.100}, which does not make a token")
    with readable(path, "list of merges"):
        tokenizer = untrained(models.BPE(ids, [(first, second) for first, second in pairs], ignore_merges=True))
    tokenizer.add_special_tokens([END_OF_TEXT])
    return tokenizer
