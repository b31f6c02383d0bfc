"""Do two models find the same tokens hard? The next-token loss of each token."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from benchmark.model.interface import CircuitModel, forward


@torch.no_grad()
def token_losses(
    model: CircuitModel,
    tokens: Int[Tensor, "window position"],
    targets: Int[Tensor, "window position"],
    batch: int = 16,
) -> Float[np.ndarray, "window position"]:
    """Cross entropy of the next token at every position of corpus windows, nats."""
    found = [
        F.cross_entropy(forward(model, rows).flatten(0, 1), following.flatten(), reduction="none")
        for rows, following in zip(tokens.split(batch), targets.split(batch), strict=True)
    ]
    return torch.cat(found).view_as(targets).numpy()
