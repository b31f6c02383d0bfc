"""The byte-level BPE tokenizer with the paper's tinypython pattern."""

import os
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from benchmark.corpus.config import END_OF_TEXT

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Each cell has one thread, and the library prints a warning when a process that has used its threads forks.

PATTERN = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
r"""How text is split before merging pairs: `.add`, `=None` and `):\n` stay whole (Gao et al. 2025, tinypython)."""


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Learn a byte-level BPE vocabulary; the same texts give the same tokenizer.

    It has at most `vocabulary` tokens, including `END_OF_TEXT` (id 0) and the 256 bytes; texts with few distinct pairs
    give fewer.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return as_plain_text(tokenizer)


def as_plain_text(tokenizer: Tokenizer) -> Tokenizer:
    """Treat `<|endoftext|>` inside a text as ordinary characters: only the corpus may end a document."""
    tokenizer.encode_special_tokens = True
    return tokenizer
