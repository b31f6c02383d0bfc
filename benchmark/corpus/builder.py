"""Builds a corpus: draws documents, trains the tokenizer, encodes, keeps the splits disjoint, and writes the files."""

import hashlib
import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import Tokenizer

from benchmark.corpus.config import END_OF_TEXT, HELD_OUT, SPLITS, TRAINED, CorpusConfig, Split
from benchmark.corpus.duplicates import NEAR, SHINGLE, ExactDuplicates, NearDuplicates
from benchmark.corpus.given_tokenizer import read_given, tokenizer_file, with_tokenizer
from benchmark.corpus.sources import Source, open_source, reasons_of, suffices
from benchmark.corpus.tokenizer import train_tokenizer
from benchmark.corpus.windows import Tokens, token_type, window_starts
from benchmark.progress import Progress

SAMPLE = 3_000_000
"""Maximum number of characters of training documents on which the tokenizer is trained."""

BATCH = 256
"""Documents encoded at once."""

DRY = 1000
"""Number of consecutive rejected documents after which a generator counts as exhausted."""

DISJOINT = (
    "No two documents of the corpus are equal up to white space: each is hashed when it is drawn, and dropped if the "
    "hash is known. A validation document whose set of shingles has at least the threshold's Jaccard similarity with a "
    "training document is dropped, and a test document likewise with training or validation; candidates by banded "
    "MinHash, then the exact similarity. Files are split before they are cut into documents."
)
"""The explanation in `corpus.json` of how the splits are kept disjoint."""


@dataclass
class Part:
    """The documents of one source in one split."""

    source: Source
    split: Split
    documents: list[Tokens] = field(default_factory=list)
    """Token ids, end of text included, cut to the length of a window."""
    duplicates: int = 0
    """Number of documents dropped because they were seen before."""
    near_duplicates: int = 0
    """Number of held-out documents dropped because they have a near-duplicate in an earlier split."""

    @property
    def tokens(self) -> int:
        """Number of tokens kept."""
        return sum(map(len, self.documents))

    def texts(self, seen: ExactDuplicates) -> Iterator[str]:
        """The documents of the source that have not been seen yet."""
        known = 0
        for text in self.source.documents(self.split):
            if seen.add(text):
                known = 0
                yield text
            else:
                self.duplicates, known = self.duplicates + 1, known + 1
                if self.source.generated and known == DRY:
                    return

    def fill(self, stream: Iterator[Tokens], earlier: Sequence[NearDuplicates], wanted: int) -> None:
        """Take documents without near-duplicates in earlier splits until there are enough tokens or none is left."""
        tokens = near = 0
        while tokens < wanted and (document := next(stream, None)) is not None:
            if any(collection.contain(document) for collection in earlier):
                self.near_duplicates, near = self.near_duplicates + 1, near + 1
                if self.source.generated and near == DRY:
                    return
            else:
                self.documents.append(document)
                tokens, near = tokens + len(document), 0


def build(config: CorpusConfig, folder: Path, progress: Progress) -> None:
    """Write `tokenizer.json`, `{split}.tokens.npy` and `{split}.offsets.npy`, and `corpus.json`.

    Tokens are uint16, or uint32 for vocabularies beyond 65,536; offsets are int64. The tokenizer is trained on the
    documents, or copied from the file that the settings name.

    Validation and test documents are disjoint from each other and from the training documents, near-duplicates
    included; `corpus.json` explains how, and what was dropped. A source that ends before reaching its share is used
    completely; generated sources make up for it, so the shares may differ from the configured ones: `corpus.json` has
    the actual ones, and the SHA-256 digest of tokens and tokenizer.

    The same config and the same versions of tokenizers, numpy and the `package:` distributions (and the same files, for
    `path:`) give the same digest on every system and Python version; `stdlib` alone depends on Python's.

    Args:
        config: The settings of the corpus.
        folder: An existing folder.
        progress: Receives the number of tokens encoded so far.

    Raises:
        ValueError: A source is missing, contains no text, or too little of it for a window in each split; or there is
            no such tokenizer.
    """
    config = with_tokenizer(config)
    sources = [open_source(name, config) for name in config.sources]
    sources.sort(key=lambda source: source.generated)  # finite sources come first
    seen = ExactDuplicates()
    train = {source.name: Part(source, "train") for source in sources}
    texts = {name: part.texts(seen) for name, part in train.items()}
    sample = {name: _sample(texts[name], config, config.sources[name]) for name in texts}
    trained = config.tokenizer == TRAINED
    skipping = [source for source in sources if source.skipped]
    notes = [f"{source.name}: skipped {len(source.skipped)}: {reasons_of(source.skipped)}" for source in skipping]
    progress(0, _total(config), "; ".join([*notes, "training the tokenizer" if trained else "reading the tokenizer"]))
    if trained:
        tokenizer = train_tokenizer(chain.from_iterable(sample.values()), config.vocabulary)
    else:
        tokenizer = read_given(tokenizer_file(config.tokenizer)).tokenizer
    encode = partial(_encoded, tokenizer, config)

    parts = list(train.values())
    _fill(parts, {name: encode(chain(sample[name], texts[name])) for name in texts}, [], config, progress)
    earlier = [NearDuplicates(_documents(parts))]
    for split in SPLITS[1:]:
        held_out = [Part(source, split) for source in sources]
        _fill(held_out, {part.source.name: encode(part.texts(seen)) for part in held_out}, earlier, config, progress)
        earlier.append(NearDuplicates(_documents(held_out)))
        parts += held_out
    _write(parts, config, tokenizer, folder)
    progress(_total(config), _total(config), "written")


def _total(config: CorpusConfig) -> int:
    return sum(config.wanted(split) for split in SPLITS)


def _sample(texts: Iterator[str], config: CorpusConfig, share: float) -> list[str]:
    """The first training documents of a source, up to its share of the tokenizer's training text."""
    wanted = share * min(SAMPLE, 4 * config.tokens)
    found: list[str] = []
    characters = 0
    while characters < wanted and (text := next(texts, None)) is not None:
        found.append(text)
        characters += len(text)
    return found


def _end(tokenizer: Tokenizer, config: CorpusConfig) -> int:
    """The id of the token that follows every document."""
    end = tokenizer.token_to_id(config.end_of_text or END_OF_TEXT)
    assert end is not None, "with_tokenizer checks it, and the trainer adds it"
    return end


def _encoded(tokenizer: Tokenizer, config: CorpusConfig, texts: Iterator[str]) -> Iterator[Tokens]:
    """Documents cut to what a window has of text, each followed by an end of text if there is room for it."""
    end, kind = _end(tokenizer, config), token_type(config)
    while batch := list(islice(texts, BATCH)):
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            yield np.array([*encoding.ids, end][: config.text_tokens], dtype=kind)


def _fill(
    parts: Sequence[Part],
    streams: Mapping[str, Iterator[Tokens]],
    earlier: Sequence[NearDuplicates],
    config: CorpusConfig,
    progress: Progress,
) -> None:
    """Draw the documents of a split, from each source up to its share of the tokens still missing."""
    split = parts[0].split
    missing, shares = config.wanted(split), sum(config.sources.values())
    done = sum(config.wanted(other) for other in SPLITS[: SPLITS.index(split)])
    for part in parts:
        share = config.sources[part.source.name]
        part.fill(streams[part.source.name], earlier, round(missing * share / shares))
        missing, shares = missing - part.tokens, shares - share
        done += part.tokens
        progress(min(done, _total(config)), _total(config), f"{split} documents from {part.source.name}")
    if (found := sum(part.tokens for part in parts)) < config.text_tokens:
        names, dropped = ", ".join(config.sources), sum(part.duplicates + part.near_duplicates for part in parts)
        repeated = f" without {dropped:,} documents that repeat others" * bool(dropped)
        raise ValueError(
            f"{names}: {found:,} tokens for {split}{repeated}, less than one window of {config.text_tokens:,}; "
            f"{suffices(config)} (validation and test get {HELD_OUT:.0%} each)"
        )


def _documents(parts: Iterable[Part]) -> list[Tokens]:
    return [document for part in parts for document in part.documents]


def _write(parts: Sequence[Part], config: CorpusConfig, tokenizer: Tokenizer, folder: Path) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    windows: dict[str, int] = {}
    digest = hashlib.sha256(tokenizer.to_str().encode())
    for number, split in enumerate(SPLITS):
        documents = _documents(part for part in parts if part.split == split)
        order = np.random.default_rng([config.seed, number]).permutation(len(documents))  # so that sources mix
        offsets = np.cumsum([0, *(len(documents[index]) for index in order)], dtype=np.int64)
        tokens = np.concatenate([documents[index] for index in order])
        digest.update(tokens.astype(tokens.dtype.newbyteorder("<")).tobytes() + offsets.astype("<i8").tobytes())
        np.save(folder / f"{split}.tokens.npy", tokens)
        np.save(folder / f"{split}.offsets.npy", offsets)
        windows[split] = len(window_starts(offsets, config.text_tokens))
    facts = {"digest": digest.hexdigest(), **_facts(parts, config, tokenizer), "windows": windows}
    (folder / "corpus.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _facts(parts: Sequence[Part], config: CorpusConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    tokens = {split: sum(part.tokens for part in parts if part.split == split) for split in SPLITS}
    end = _end(tokenizer, config)
    return {
        "config": config.model_dump(),
        "python": platform.python_version(),
        "tokenizers": tokenizers.__version__,
        "vocabulary": tokenizer.get_vocab_size(),
        "tokens": tokens,
        "sources": {
            source.name: {
                "generated": source.generated,
                "splits": {
                    part.split: {
                        "files": source.files.get(part.split),
                        "documents": len(part.documents),
                        "documents_cut": sum(int(document[-1]) != end for document in part.documents),
                        "tokens": part.tokens,
                        "share": round(part.tokens / tokens[part.split], 4),
                        "duplicates_dropped": part.duplicates,
                        "near_duplicates_dropped": part.near_duplicates,
                    }
                    for part in parts
                    if part.source is source
                },
                "skipped": dict(source.skipped),
                "skipped_count": len(source.skipped),
            }
            for source in (part.source for part in parts if part.split == "train")
        },
        "disjoint": {"threshold": NEAR, "shingle": SHINGLE, "how": DISJOINT},
    }
