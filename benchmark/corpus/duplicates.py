"""Finds documents that occur twice, and nearly twice."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt16, UInt64

SHINGLE = 5
"""Tokens in a shingle."""

NEAR = 0.8
"""Jaccard similarity of two documents' sets of shingles from which they count as near-duplicates."""

BANDS, ROWS = 16, 4
"""Two documents are compared if one of 16 bands of 4 MinHash values agrees: a pair at `NEAR` is missed with
probability (1 - 0.8^4)^16 = 0.0002, and one at 0.9 with 8e-8."""

_MULTIPLIERS = np.random.default_rng(0).integers(2**64, size=BANDS * ROWS, dtype=np.uint64) | np.uint64(1)
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))
_SHIFT = np.uint64(32)

Tokens = UInt16[np.ndarray, " _"]


class ExactDuplicates:
    """The documents seen so far, as hashes of their text with all runs of white space made one space."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def add(self, text: str) -> bool:
        """Remembers a document; whether it is new."""
        key = hashlib.blake2b(" ".join(text.split()).encode(), digest_size=16).digest()
        new = key not in self._seen
        self._seen.add(key)
        return new


class NearDuplicates:
    """Answers whether a document is a near-duplicate of one of a collection.

    Broder, "On the resemblance and containment of documents" (1997): candidates by banded MinHash over shingles of
    five tokens, then the exact Jaccard similarity of each candidate, so that only the rare miss is left to chance.
    """

    def __init__(self, documents: Sequence[Tokens]) -> None:
        self._documents = documents
        keys = np.stack([_band_keys(shingles(document)) for document in documents], axis=1)
        self._order = np.argsort(keys, axis=1, kind="stable")
        self._keys = np.take_along_axis(keys, self._order, axis=1)

    def contain(self, document: Tokens, threshold: float = NEAR) -> bool:
        """Whether a document of the collection has at least this Jaccard similarity with `document`."""
        own = shingles(document)
        return any(jaccard(own, shingles(self._documents[other])) >= threshold for other in self._candidates(own))

    def _candidates(self, own: UInt64[np.ndarray, " shingle"]) -> list[int]:
        """Documents that share a band, those that share most bands first."""
        sharing = [
            order[np.searchsorted(band, key, "left") : np.searchsorted(band, key, "right")]
            for band, order, key in zip(self._keys, self._order, _band_keys(own), strict=True)
        ]
        documents, bands = np.unique(np.concatenate(sharing), return_counts=True)
        return [int(document) for document in documents[np.argsort(-bands, kind="stable")]]


def shingles(document: Tokens) -> UInt64[np.ndarray, " shingle"]:
    """Hashes of the distinct runs of five tokens, sorted; a shorter document is one run."""
    values = document.astype(np.uint64)
    runs = max(len(values) - SHINGLE + 1, 1)
    hashes = np.zeros(runs, dtype=np.uint64)
    for offset in range(min(SHINGLE, len(values))):
        hashes = (hashes + values[offset : offset + runs] + np.uint64(1)) * _MIX[0]
        hashes ^= hashes >> _SHIFT
    return np.unique(hashes * _MIX[1])


def jaccard(first: UInt64[np.ndarray, " first"], second: UInt64[np.ndarray, " second"]) -> float:
    """Size of the intersection over size of the union of two sorted sets of shingles, 0 to 1."""
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / (len(first) + len(second) - shared)


def _band_keys(own: UInt64[np.ndarray, " shingle"]) -> UInt64[np.ndarray, " band"]:
    """One hash of the four MinHash values of each band, each the least under a multiply-shift hash function."""
    values = ((own[:, None] * _MULTIPLIERS) >> _SHIFT).min(axis=0).reshape(BANDS, ROWS)
    keys = np.zeros(BANDS, dtype=np.uint64)
    for row in range(ROWS):
        keys = (keys ^ values[:, row]) * _MIX[row % 2]
        keys ^= keys >> _SHIFT
    return keys
