"""The heads of a replaced attention layer, as an encoder whose pre-activations are averaged over earlier positions."""

import math
from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baselines.dictionary import Encoder


def mix(
    queries: Float[Tensor, "window position channel"],
    keys: Float[Tensor, "window position channel"],
    values: Float[Tensor, "window position value"],
    groups: int,
) -> Float[Tensor, "window position value"]:
    """Values averaged over earlier positions by the pattern of their group.

    Args:
        queries: Queries of all groups, those of a group next to each other.
        keys: Keys, likewise.
        values: Values, likewise; they may be wider or narrower than queries and keys.
        groups: Number of patterns.
    """
    width, of_value = queries.shape[-1] // groups, values.shape[-1] // groups
    widest = max(width, of_value)  # attention of unequal widths is not fused; zeros change neither logits nor averages
    q, k, v = (
        F.pad(each.unflatten(-1, (groups, -1)), (0, widest - own)).transpose(1, 2)
        for each, own in ((queries, width), (keys, width), (values, of_value))
    )  # [window, group, position, widest]
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1 / math.sqrt(width))
    return mixed[..., :of_value].transpose(1, 2).flatten(2)


class SparseHeads(Encoder):
    """The heads of one layer: a TopK encoder of rows that lie in windows.

    Attributes:
        weight: `[head, d_in]`, what each head reads as its value.
        bias: `[head]`, added after averaging.
        W_Q, b_Q: `[group * width, d_in]` and `[group * width]`, the queries of all groups.
        W_K, b_K: The keys, likewise.
        groups: Number of query-key circuits.
    """

    def __init__(
        self,
        weight: Float[Tensor, "head d_in"],
        bias: Float[Tensor, " head"],
        queries: tuple[Float[Tensor, "channel d_in"], Float[Tensor, " channel"]],
        keys: tuple[Float[Tensor, "channel d_in"], Float[Tensor, " channel"]],
        *,
        groups: int,
        k: int,
    ) -> None:
        super().__init__(weight, bias, k=k)
        self.W_Q, self.b_Q = map(nn.Parameter, queries)
        self.W_K, self.b_K = map(nn.Parameter, keys)
        self.groups = groups

    def queries(self, rows: Float[Tensor, "window position d_in"]) -> Float[Tensor, "window position channel"]:
        """The queries of all groups."""
        return F.linear(rows, self.W_Q, self.b_Q)

    def keys(self, rows: Float[Tensor, "window position d_in"]) -> Float[Tensor, "window position channel"]:
        """The keys of all groups."""
        return F.linear(rows, self.W_K, self.b_K)

    def values(self, rows: Float[Tensor, "window position d_in"]) -> Float[Tensor, "window position head"]:
        """What each head reads at each position, before it is averaged."""
        return F.linear(rows, self.weight)

    def averaged(
        self,
        queries: Float[Tensor, "window position channel"],
        keys: Float[Tensor, "window position channel"],
        values: Float[Tensor, "window position head"],
    ) -> Float[Tensor, "window position head"]:
        """Pre-activations of given queries, keys and values."""
        return mix(queries, keys, values, self.groups) + self.bias

    def before(
        self,
        values: Float[Tensor, "window position d_in"],
        edges: Callable[[Tensor], Tensor] = lambda values: values,
    ) -> Float[Tensor, "window position head"]:
        """Pre-activations of rows; `edges` changes the values before they are averaged."""
        return self.averaged(self.queries(values), self.keys(values), edges(self.values(values)))
