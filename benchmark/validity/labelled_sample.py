"""Windows of the texts of a file, with the labels that the file gives them: one half to choose nodes, one to score."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

import numpy as np
import torch
from jaxtyping import Int8, Integer
from safetensors.torch import save_file

from benchmark.concepts.labelled import LabelledText, LabelledTexts
from benchmark.concepts.labels import at_tokens, characters_read, check_rate
from benchmark.concepts.token_bytes import puts_a_space_first, token_bytes
from benchmark.corpus import Corpus
from benchmark.corpus.sampling import evenly_spaced, tokens_and_targets
from benchmark.corpus.windows import window_starts
from benchmark.files import CorruptFileError, read_tensors
from benchmark.validity.sample import Sample, line_numbers

FILE = "windows.safetensors"
"""The file of an artifact that contains the windows and their labels."""

HALVES = ("choice", "score")
"""The half of the texts on which nodes are chosen, and the half on which they are scored."""

FEWEST_WINDOWS = 8
"""Windows that each half has at least: intervals are over windows."""

Document = tuple[list[int], Mapping[str, Int8[np.ndarray, " token"]]]
"""Token ids, and the labels of each concept; at most a window."""


def write_windows(labelled: LabelledTexts, corpus: Corpus, folder: Path) -> None:
    """Cut the texts into windows, and write them with the labels of every concept.

    Raises:
        ValueError: A half has too few windows, or a concept holds nowhere or everywhere in it.
    """
    tensors: dict[str, torch.Tensor] = {}
    for half, texts in zip(HALVES, halves(labelled), strict=True):
        windows, labels = _windows(labelled, texts, corpus)
        if len(windows) < FEWEST_WINDOWS:
            needed = 2 * FEWEST_WINDOWS * corpus.config.window
            raise ValueError(
                f"the texts of {labelled.name} give {len(windows)} windows of {corpus.config.window} tokens for the "
                f"half on which nodes are {'chosen' if half == 'choice' else 'scored'}; at least {FEWEST_WINDOWS} are "
                f"needed: add texts (about {needed:,} tokens in all)"
            )
        for concept in labelled.concepts:
            check_rate(concept, labels[concept.name][:, :-1])
        tensors[half] = torch.from_numpy(windows.astype(np.int32))
        tensors |= {f"{half} {name}": torch.from_numpy(each) for name, each in labels.items()}
    save_file(tensors, folder / FILE)


def read_samples(folder: Path, concepts: Sequence[str], corpus: Corpus, tokens: Sequence[int]) -> tuple[Sample, Sample]:
    """About so many tokens of the half on which nodes are chosen, and of that on which they are scored.

    Raises:
        CorruptFileError: The artifact is one of another corpus or other concepts.
    """
    path = folder / FILE
    found = {name: each.numpy() for name, each in read_tensors(path).items()}
    wanted = [name for half in HALVES for name in (half, *(f"{half} {concept}" for concept in concepts))]
    if found.keys() != set(wanted) or any(each.shape[1:] != (corpus.config.window,) for each in found.values()):
        raise CorruptFileError(path, "does not have the windows of these concepts and this corpus")
    first, second = (_sample(found, half, concepts, corpus, some) for half, some in zip(HALVES, tokens, strict=True))
    return first, second


def _sample(
    found: Mapping[str, Integer[np.ndarray, "window token"]],
    half: str,
    concepts: Sequence[str],
    corpus: Corpus,
    tokens: int,
) -> Sample:
    chosen = evenly_spaced(len(found[half]), tokens // corpus.config.context)
    read, targets = tokens_and_targets(found[half][chosen].astype(np.uint32))
    labels = {name: found[f"{half} {name}"][chosen, :-1].astype(np.int8) for name in concepts}
    return Sample(read, targets, labels, line_numbers(corpus, read.numpy()))


def halves(labelled: LabelledTexts) -> tuple[list[LabelledText], list[LabelledText]]:
    """The texts in two parts of about the same number of characters; the same for the same texts in any order."""
    texts = sorted(labelled.texts, key=lambda each: each.text)
    Random(f"{labelled.name}/halves").shuffle(texts)
    parts: tuple[list[LabelledText], list[LabelledText]] = ([], [])
    sizes = [0, 0]
    for text in texts:
        smaller = sizes.index(min(sizes))
        parts[smaller].append(text)
        sizes[smaller] += len(text.text)
    return parts


def _windows(
    labelled: LabelledTexts, texts: Sequence[LabelledText], corpus: Corpus
) -> tuple[Integer[np.ndarray, "window token"], dict[str, Int8[np.ndarray, "window token"]]]:
    """Full windows of documents that follow each other, cut as those of the corpus are, and their labels."""
    vocabulary, window = token_bytes(corpus.tokenizer), corpus.config.text_tokens
    documents = [each for text in texts for each in _documents(labelled, text, corpus, vocabulary)]
    offsets = np.cumsum([0, *(len(ids) for ids, _ in documents)], dtype=np.int64)
    starts = window_starts(offsets, window) if documents else np.zeros(0, dtype=np.int64)
    places = starts[:, None] + np.arange(window)
    tokens = np.array([token for ids, _ in documents for token in ids], dtype=np.int64)
    labels = {
        concept.name: np.concatenate([np.zeros(0, np.int8), *(own[concept.name] for _, own in documents)])[places]
        for concept in labelled.concepts
    }
    if corpus.beginning is None:
        return tokens[places], labels
    begun = {name: np.pad(each, ((0, 0), (1, 0))) for name, each in labels.items()}
    return np.pad(tokens[places], ((0, 0), (1, 0)), constant_values=corpus.beginning), begun


def _documents(
    labelled: LabelledTexts, text: LabelledText, corpus: Corpus, vocabulary: Sequence[bytes]
) -> list[Document]:
    """The tokens of a text and the end of text, in pieces of at most a window, with the labels of each concept."""
    ids = list(corpus.tokenizer.encode(text.text, add_special_tokens=False).ids)
    decoded, read = characters_read(vocabulary, ids, puts_a_space_first(corpus.tokenizer))
    if decoded != text.text:
        raise ValueError(f"the tokenizer of the corpus does not give back the text {text.text!r:.60}")
    labels = {
        concept.name: np.append(at_tokens(np.array(text.labels(concept.name), dtype=np.int8), read), np.int8(0))
        for concept in labelled.concepts
    }
    ids.append(corpus.end_of_text)
    window = corpus.config.text_tokens
    return [
        (
            ids[at : at + window],
            {name: each[at : at + window] for name, each in labels.items()},
        )
        for at in range(0, len(ids), window)
    ]
