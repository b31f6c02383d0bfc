"""The hot paths of training a weight-sparse transformer, and naive ways to compute the same, for `bench speed`."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from benchmark.model.interface import forward
from benchmark.studies.speed import Comparison, with_gradients
from sparse_model.attention import attend_with_sink
from sparse_model.config import TransformerConfig
from sparse_model.linear import linear
from sparse_model.loss import train_on
from sparse_model.sparsity import abs_top_k, keep_largest
from sparse_model.transformer import Transformer

WIDTH, NEURONS, TOKENS = 128, 512, 1_024
"""The width, neurons and tokens per step of preset quick's weight-sparse transformer."""

DENSITY, MINIMUM = 0.05, 4
"""The share of weights that it keeps, and how many each neuron keeps at least."""


def comparisons() -> list[Comparison]:
    """All comparisons, on random numbers."""
    return [_linear(), _abs_top_k(), _projection(), _loss(), *map(_sink, (256, 1_024))]


def _linear() -> Comparison:
    inputs = [_drawn(TOKENS, WIDTH), _drawn(NEURONS, WIDTH), _drawn(NEURONS)]
    return Comparison(
        name="linear map and gradients",
        shapes=f"{TOKENS} tokens, {WIDTH} to {NEURONS}",
        ours=with_gradients(linear, inputs),
        others={"torch.nn.functional.linear": with_gradients(F.linear, inputs)},
    )


def _abs_top_k() -> Comparison:
    count = NEURONS // 4

    def naive(values: Tensor) -> Tensor:
        kept = values.abs().topk(count, dim=-1).indices
        return values * torch.zeros_like(values).scatter(-1, kept, 1.0)

    inputs = [_drawn(TOKENS, NEURONS)]
    return Comparison(
        name="AbsTopK and gradient",
        shapes=f"{TOKENS} tokens, {count} of {NEURONS}",
        ours=with_gradients(lambda values: abs_top_k(values, count), inputs),
        others={"torch.topk and scatter": with_gradients(naive, inputs)},
    )


def _projection() -> Comparison:
    weight = _drawn(NEURONS, WIDTH)
    count = round(DENSITY * weight.numel())

    def ours() -> Sequence[Tensor]:
        projected = weight.clone()
        keep_largest(projected, count, MINIMUM)
        return [projected]

    def naive() -> Sequence[Tensor]:
        score = weight.abs()
        score.scatter_(1, score.topk(MINIMUM, dim=1).indices, torch.inf)
        threshold = score.flatten().kthvalue(score.numel() - count + 1).values
        return [torch.where(score >= threshold, weight, 0.0)]

    return Comparison(
        name="projection of a weight matrix",
        shapes=f"{count} of {NEURONS} x {WIDTH}, at least {MINIMUM} per neuron",
        ours=ours,
        others={"torch.kthvalue": naive},
    )


def _loss() -> Comparison:
    config = TransformerConfig(d_model=WIDTH, vocabulary=2_048, context=256)
    model = Transformer(config).initialise(torch.Generator().manual_seed(0))
    tokens, targets = torch.randint(
        config.vocabulary, (2, TOKENS // 256, 256), generator=torch.Generator().manual_seed(0)
    )
    parameters = list(model.parameters())

    def gradients(loss: Tensor) -> Sequence[Tensor]:
        made = [parameter.grad for parameter in parameters if parameter.grad is not None]
        model.zero_grad()
        return [loss, *made]

    def ours() -> Sequence[Tensor]:
        return gradients(torch.tensor(train_on(model, tokens, targets)))

    def naive() -> Sequence[Tensor]:
        loss = F.cross_entropy(forward(model, tokens).flatten(0, 1), targets.flatten())
        loss.backward()
        return gradients(loss.detach())

    return Comparison(
        name="loss and gradients of a model",
        shapes=f"{TOKENS} tokens, width {WIDTH}, {config.layers} layers, {config.vocabulary} logits",
        ours=ours,
        others={"the whole cross entropy": naive},
    )


def _sink(context: int) -> Comparison:
    heads, channels = WIDTH // 16, 16
    inputs = [*(_drawn(TOKENS // context, heads, context, channels, seed=seed) for seed in range(3)), _drawn(heads)]

    return Comparison(
        name="attention with a sink and gradients",
        shapes=f"{TOKENS // context} x {heads} heads x {context} positions x {channels} channels",
        ours=with_gradients(attend_with_sink, inputs),
        others={"the pattern written out": with_gradients(with_whole_pattern, inputs)},
    )


def with_whole_pattern(
    q: Float[Tensor, "batch head position channel"],
    k: Float[Tensor, "batch head position channel"],
    v: Float[Tensor, "batch head position channel"],
    sink: Float[Tensor, " head"],
) -> Float[Tensor, "batch head position channel"]:
    """Attention with a sink written out: one more logit in each row of the pattern, whose share is thrown away."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    sinks = sink[:, None, None].expand(len(q), -1, q.shape[2], 1)
    pattern = torch.cat([sinks, scores.masked_fill(later, -math.inf)], dim=-1).softmax(dim=-1)
    return pattern[..., 1:] @ v


def _drawn(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
