"""Do two models find the same tokens hard? The next-token loss of each token."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from benchmark.model.interface import CircuitModel, forward


@torch.no_grad()
def token_losses(
    model: CircuitModel, windows: Int[Tensor, "window token"], batch: int = 16
) -> Float[np.ndarray, "window position"]:
    """Cross entropy of the next token at every position, nats.

    Args:
        model: Any circuit model.
        windows: Corpus windows, each with the token after it in the last column.
        batch: Windows run at once.
    """
    found = [
        F.cross_entropy(forward(model, rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten(), reduction="none")
        for rows in windows.split(batch)
    ]
    return torch.cat(found).view(len(windows), -1).numpy()
