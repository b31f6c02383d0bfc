"""Do two models find the same tokens hard? The next-token loss of each token."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.model.interface import CircuitModel, forward, next_token_losses


@torch.no_grad()
def token_losses(
    model: CircuitModel,
    tokens: Int[Tensor, "window position"],
    targets: Int[Tensor, "window position"],
    batch: int = 16,
) -> Float[np.ndarray, "window position"]:
    """Cross entropy of the next token at every position of corpus windows, nats."""
    found = [
        next_token_losses(forward(model, rows), following)
        for rows, following in zip(tokens.split(batch), targets.split(batch), strict=True)
    ]
    return torch.cat(found).numpy()
