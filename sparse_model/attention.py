"""Causal attention with a sink: one more, learned, term in the denominator of each head's softmax.

The sink is a key whose logit is the same for every query and whose value is zero (`sink_logit` of
https://github.com/openai/circuit_sparsity). It is put before the first position, as a key that only an additional
constant channel of the queries reads. So the fused attention of the library applies, which never stores the pattern.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def attend_with_sink(
    q: Float[Tensor, "batch head position channel"],
    k: Float[Tensor, "batch head position channel"],
    v: Float[Tensor, "batch head position channel"],
    sink: Float[Tensor, " head"],
) -> Float[Tensor, "batch head position channel"]:
    """The values, averaged over earlier positions by a pattern whose rows add up to less than one.

    Args:
        q: Queries; logits are `q @ k / sqrt(channel)`.
        k: Keys.
        v: Values.
        sink: Logit of the sink of each head, nats.
    """
    channels = q.shape[-1]
    key = F.pad((sink * math.sqrt(channels))[:, None, None], (channels, 0)).expand(len(k), -1, -1, -1)
    q = F.pad(q, (0, 0, 1, 0))  # the sink attends to itself alone, and is dropped
    q = torch.cat([q, torch.ones_like(q[..., :1])], dim=-1)
    k = torch.cat([key, F.pad(k, (0, 1))], dim=-2)
    v = F.pad(v, (0, 1, 1, 0))  # as wide as the keys: other widths are not fused
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1 / math.sqrt(channels))
    return mixed[..., 1:, :channels]
