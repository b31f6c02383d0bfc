"""Windows of a split as a tensor, evenly spread over its documents."""

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from benchmark.corpus.config import Split
from benchmark.corpus.windows import Corpus


def spread_windows(corpus: Corpus, split: Split, tokens: int) -> Int[Tensor, "window position"]:
    """Evenly spaced windows of a split with about that many tokens, each with the token after it in the last column."""
    windows = corpus.windows(split)
    count = max(1, min(len(windows), tokens // (windows.shape[1] - 1)))
    chosen = np.linspace(0, len(windows) - 1, count).astype(int)
    return torch.from_numpy(windows[chosen].astype(np.int64))
