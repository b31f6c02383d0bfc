"""Cuts windows into the tokens that a model reads and their targets, so that no model reads past its context."""

import numpy as np
import torch
from jaxtyping import Int, UInt
from torch import Tensor

from benchmark.corpus.config import Split
from benchmark.corpus.windows import Corpus

TokensAndTargets = tuple[Int[Tensor, "window position"], Int[Tensor, "window position"]]
"""Token ids, and the id that follows each."""


def spread_windows(corpus: Corpus, split: Split, tokens: int) -> TokensAndTargets:
    """Evenly spaced windows of a split, with about that many tokens in total."""
    windows = corpus.windows(split)
    count = max(1, min(len(windows), tokens // (windows.shape[1] - 1)))
    chosen = np.linspace(0, len(windows) - 1, count).astype(int)
    return tokens_and_targets(windows[chosen])


def tokens_and_targets(windows: UInt[np.ndarray, "window token"]) -> TokensAndTargets:
    """The first `context` tokens of each window, and the token that follows each of them."""
    tokens = torch.from_numpy(windows.astype(np.int64))
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
