"""Streams whole windows of activations: what attention computes at a position depends on the positions before it."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from baselines.activations import ActivationStream
from benchmark.model.interface import begin, unedited
from sparse_model.transformer import Transformer


@torch.no_grad()
def attention_activations(
    dense: Transformer, tokens: Int[Tensor, "window position"]
) -> dict[str, Float[Tensor, "window position channel"]]:
    """Input and output of every attention layer of the unedited dense model, by hook point."""
    found: dict[str, Tensor] = {}
    residual = begin(dense, tokens)["residual"]
    for layer in range(dense.config.layers):
        attn_out = dense.attention(layer, residual, unedited)
        found[f"blocks.{layer}.attn_in"] = dense.attention_input(layer, residual, unedited)
        found[f"blocks.{layer}.attn_out"] = attn_out
        residual = residual + attn_out
        residual = residual + dense.mlp(layer, dense.mlp_input(layer, residual, unedited), unedited)
    return found


class WindowStream(ActivationStream):
    """Endless batches of whole windows, with the activations of the attention layers.

    Raises:
        ValueError: A batch is not a whole number of windows.
    """

    _dense: Transformer

    def _arrange(self, tokens: Int[Tensor, "window position"]) -> None:
        """The activations of some windows at a time, as they were drawn."""
        found = attention_activations(self._dense, tokens)
        self._rows = {name: found[name] for name in self._names}
        self._parts = torch.arange(len(tokens)).split(windows_of(self._batch, tokens.shape[1]))


def windows_of(batch: int, positions: int) -> int:
    """Number of windows in a batch of tokens; `ValueError` with the choices if that is not a whole number."""
    windows, left = divmod(batch, positions)
    if left:
        choices = [each * positions for each in (windows, windows + 1) if each]
        told = " or ".join(f"{each:,}" for each in choices)
        raise ValueError(f"batch {batch} is not a multiple of the {positions} positions of a window; choose {told}")
    return windows
