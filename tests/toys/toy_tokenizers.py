"""Tokenizers as other people's models have them, made on the spot."""

import json
from random import Random

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from benchmark.corpus.idioms import document

BEGINNING, END = "<s>", "</s>"


def texts(count=60):
    random = Random(0)
    return [document(random) for _ in range(count)]


def byte_level(vocabulary=500, special=("<pad>", BEGINNING, END)):
    """Byte-level BPE, as GPT-2's and Llama 3's: end of text is not id 0, and encoding puts a beginning first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts(), trainer)
    if BEGINNING in special:
        first = (BEGINNING, tokenizer.token_to_id(BEGINNING))
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{BEGINNING} $A", special_tokens=[first])
    return tokenizer


def sentence_piece(vocabulary=500):
    """BPE as Llama 2's: a space is put before every text, and bytes without a token are written as `<0x0A>`."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=["<unk>", BEGINNING, END, *fallback], show_progress=False
    )
    lines = [line for text in texts() for line in text.splitlines()]
    tokenizer.train_from_iterator(lines, trainer)
    return without_added(tokenizer, fallback)


def without_added(tokenizer, names):
    """The tokenizer with some of its added tokens as ordinary ones."""
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [added for added in content["added_tokens"] if added["content"] not in names]
    return Tokenizer.from_str(json.dumps(content))


def saved(tokenizer, folder):
    """The folder, with the tokenizer in it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
