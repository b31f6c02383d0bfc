"""The order of the training tokens, a pure function of corpus, seed and step."""

import numpy as np
from jaxtyping import UInt

from benchmark.corpus.sampling import TokensAndTargets, tokens_and_targets


class Batches:
    """Windows in a new random order for each pass over the corpus, cut into batches of `size` windows."""

    def __init__(self, windows: UInt[np.ndarray, "window token"], size: int, seed: int) -> None:
        if not len(windows):
            raise ValueError("the corpus has no training window; choose more tokens or a shorter context")
        self.windows = windows
        self.size = size
        self.seed = seed
        self._orders: dict[int, np.ndarray] = {}

    def at(self, step: int) -> TokensAndTargets:
        """The tokens of a step and their targets."""
        rows = []
        for position in range(step * self.size, (step + 1) * self.size):
            epoch, place = divmod(position, len(self.windows))
            if epoch not in self._orders:
                self._orders = {key: self._orders[key] for key in self._orders if key == epoch - 1}
                self._orders[epoch] = np.random.default_rng([self.seed, epoch]).permutation(len(self.windows))
            rows.append(self._orders[epoch][place])
        return tokens_and_targets(self.windows[rows])
