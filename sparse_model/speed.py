"""The hot paths of training a weight-sparse transformer, and naive ways to compute the same, for `bench speed`."""

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count as count_from

import scipy.sparse
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from benchmark.model.interface import forward
from benchmark.studies.speed import Comparison, Contestant, drawn, with_gradients
from sparse_model import naive
from sparse_model.attention import attend_with_sink
from sparse_model.config import CorpusModelConfig, TransformerConfig
from sparse_model.linear import available, linear, product, using
from sparse_model.loss import train_on
from sparse_model.random_run import random_run
from sparse_model.sparsity import abs_top_k, keep_largest
from sparse_model.training import Run
from sparse_model.transformer import Transformer
from sparse_model.zeros import Nonzeros, product_with

WIDTH, NEURONS, TOKENS = 128, 512, 1_024
"""The width, neurons and tokens per step of preset quick's weight-sparse transformer."""

DENSITY, MINIMUM = 0.05, 4
"""The share of weights that it keeps, and how many each neuron keeps at least."""

DENSITIES = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
"""The densities at which products that skip zeros are compared with dense ones."""

QUICK = CorpusModelConfig(
    d_model=WIDTH,
    positional="concatenated",
    density=DENSITY,
    minimum_per_neuron=MINIMUM,
    tokens=3_000_000,
    learning_rate=0.03,
)
"""The weight-sparse transformer of preset quick."""

AS_DENSE = QUICK.model_copy(update={"density": 1.0, "embedding_density": 1.0, "activation_density": 1.0})
"""A dense transformer of the same shape."""


def comparisons() -> list[Comparison]:
    """All comparisons, on random numbers."""
    sinks = map(_sink, (256, 1_024))
    shapes = [(WIDTH, NEURONS), (NEURONS, WIDTH)]
    with_zeros = [_product_with_zeros(*shape, density) for shape in shapes for density in DENSITIES]
    return [_step(), _step_of_dense(), _linear(), _abs_top_k(), _projection(), _loss(), *sinks, *with_zeros]


def _step() -> Comparison:
    return Comparison(
        name="training step of a weight-sparse transformer",
        shapes=_shapes_of(QUICK),
        ours=_steps(random_run(QUICK)),
        others={"the recipe written naively": _steps(random_run(QUICK, run_class=naive.NaiveRun))},
        tokens=TOKENS,
        tolerance=1e-3,  # an activation near the threshold of AbsTopK may be kept in one and not in the other
    )


def _step_of_dense() -> Comparison:
    return Comparison(
        name="training step, sparse against dense",
        shapes=_shapes_of(QUICK),
        ours=_steps(random_run(QUICK)),
        others={"a dense model of that shape": _steps(random_run(AS_DENSE))},
        same_results=False,
        tokens=TOKENS,
    )


def _steps(run: Run) -> Contestant:
    """One step after another, from where the density has reached its final value."""
    steps = count_from(run.total // 2)

    def step() -> Sequence[Tensor]:
        return [torch.tensor(run.step(next(steps))), *run.model.parameters()]

    return step


def _shapes_of(config: CorpusModelConfig) -> str:
    return f"{TOKENS} tokens, width {config.d_model}, {config.layers} layers, density {config.density}"


def _product_with_zeros(source: int, target: int, density: float) -> Comparison:
    """A linear map and its gradient with respect to its input, of weights that do not change.

    During training they do, converting them takes time, and the gradient of the weights is dense: a way that does not
    win here wins nowhere. From `sparse_model.zeros.DENSITY` on, ours is used.
    """
    weight, values, gradient = drawn(target, source), drawn(TOKENS, source), drawn(TOKENS, target)
    keep_largest(weight, round(density * weight.numel()))
    maps = [(weight, values), (weight.T.contiguous(), gradient)]

    def each(way: Callable[[Tensor], Callable[[Tensor], Tensor]]) -> Contestant:
        ready = [(way(matrix), rows) for matrix, rows in maps]
        return lambda: [mapped(rows) for mapped, rows in ready]

    return Comparison(
        name="linear map and gradient of its input, fixed weights",
        shapes=f"{TOKENS} tokens, {source} to {target}, density {density}",
        ours=each(lambda matrix: partial(product_with, Nonzeros.of(matrix))),
        others={
            "a dense product": each(lambda matrix: lambda rows: product(rows, matrix)),
            "torch sparse CSR": each(_torch_csr),
            "scipy sparse CSR": each(_scipy_csr),
        },
    )


def _torch_csr(weight: Tensor) -> Callable[[Tensor], Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that sparse CSR is in beta
        sparse = weight.to_sparse_csr()
    return lambda rows: (sparse @ rows.T).T


def _scipy_csr(weight: Tensor) -> Callable[[Tensor], Tensor]:
    sparse = scipy.sparse.csr_array(weight.numpy())
    return lambda rows: torch.from_numpy(sparse @ rows.T.contiguous().numpy()).T


def _linear() -> Comparison:
    inputs = [drawn(TOKENS, WIDTH), drawn(NEURONS, WIDTH), drawn(NEURONS)]
    run = with_gradients(linear, inputs)

    def by(way: str) -> Contestant:
        def run_by() -> Sequence[Tensor]:
            with using(way):
                return run()

        return run_by

    return Comparison(
        name="linear map and gradients",
        shapes=f"{TOKENS} tokens, {WIDTH} to {NEURONS}",
        ours=run,
        others={f"always by {way}": by(way) for way in available()},
    )


def _abs_top_k() -> Comparison:
    count = NEURONS // 4
    inputs = [drawn(TOKENS, NEURONS)]
    return Comparison(
        name="AbsTopK and gradient",
        shapes=f"{TOKENS} tokens, {count} of {NEURONS}",
        ours=with_gradients(lambda values: abs_top_k(values, count), inputs),
        others={"torch.topk and scatter": with_gradients(lambda values: naive.abs_top_k(values, count), inputs)},
    )


def _projection() -> Comparison:
    weight = drawn(NEURONS, WIDTH)
    count = round(DENSITY * weight.numel())

    def projected(project: Callable[[Tensor, int, int], None]) -> Contestant:
        def run() -> Sequence[Tensor]:
            matrix = weight.clone()
            project(matrix, count, MINIMUM)
            return [matrix]

        return run

    return Comparison(
        name="projection of a weight matrix",
        shapes=f"{count} of {NEURONS} x {WIDTH}, at least {MINIMUM} per neuron",
        ours=projected(keep_largest),
        others={"torch.kthvalue": projected(naive.keep_largest)},
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

    def whole() -> Sequence[Tensor]:
        loss = F.cross_entropy(forward(model, tokens).flatten(0, 1), targets.flatten())
        loss.backward()
        return gradients(loss.detach())

    return Comparison(
        name="loss and gradients of a model",
        shapes=f"{TOKENS} tokens, width {WIDTH}, {config.layers} layers, {config.vocabulary} logits",
        ours=ours,
        others={"the whole cross entropy": whole},
    )


def _sink(context: int) -> Comparison:
    heads, channels = WIDTH // 16, 16
    inputs = [*(drawn(TOKENS // context, heads, context, channels, seed=seed) for seed in range(3)), drawn(heads)]

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
