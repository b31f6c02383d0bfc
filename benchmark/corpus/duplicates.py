"""Finds duplicate and near-duplicate documents."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt64

from benchmark.corpus.windows import Tokens

SHINGLE = 5
"""Tokens per shingle."""

NEAR = 0.8
"""Jaccard similarity of their sets of shingles above which two documents count as near-duplicates."""

BANDS, ROWS = 16, 4
"""Two documents are compared if any of 16 bands of 4 MinHash values agrees: a pair at `NEAR` is missed with
probability (1 - 0.8^4)^16 = 0.0002, one at 0.9 with 8e-8."""

_MULTIPLIERS = np.random.default_rng(0).integers(2**64, size=BANDS * ROWS, dtype=np.uint64) | np.uint64(1)
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))
_SHIFT = np.uint64(32)


class ExactDuplicates:
    """The documents seen so far, as hashes of their text with every run of white space replaced by one space."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def add(self, text: str) -> bool:
        """Add a document, and return whether it is new."""
        key = hashlib.blake2b(" ".join(text.split()).encode(), digest_size=16).digest()
        new = key not in self._seen
        self._seen.add(key)
        return new


class NearDuplicates:
    """Tells whether a document is a near-duplicate of any document in a collection.

    Broder, "On the resemblance and containment of documents" (1997): candidates from banded MinHash over shingles of
    five tokens, then the exact Jaccard similarity of each candidate, so that the only errors are rare misses.
    """

    def __init__(self, documents: Sequence[Tokens]) -> None:
        self._documents = documents
        keys = np.stack([_band_keys(shingles(document)) for document in documents], axis=1)
        self._order = np.argsort(keys, axis=1, kind="stable")
        self._keys = np.take_along_axis(keys, self._order, axis=1)

    def contain(self, document: Tokens, threshold: float = NEAR) -> bool:
        """Whether a document of the collection has at least this Jaccard similarity with `document`."""
        own = shingles(document)
        sharing = [
            order[np.searchsorted(band, key, "left") : np.searchsorted(band, key, "right")]
            for band, order, key in zip(self._keys, self._order, _band_keys(own), strict=True)
        ]
        candidates, bands = np.unique(np.concatenate(sharing), return_counts=True)
        likeliest_first = candidates[np.argsort(-bands, kind="stable")].tolist()
        return any(jaccard(own, shingles(self._documents[other])) >= threshold for other in likeliest_first)


def shingles(document: Tokens) -> UInt64[np.ndarray, " shingle"]:
    """Sorted hashes of the distinct runs of five tokens; a shorter document is one run."""
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
    """One hash per band of its four MinHash values, each the minimum of a multiply-shift hash function."""
    values = ((own[:, None] * _MULTIPLIERS) >> _SHIFT).min(axis=0).reshape(BANDS, ROWS)
    keys = np.zeros(BANDS, dtype=np.uint64)
    for row in range(ROWS):
        keys = (keys ^ values[:, row]) * _MIX[row % 2]
        keys ^= keys >> _SHIFT
    return keys
