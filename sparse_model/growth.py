"""What a training step of a weight-sparse transformer costs by width, layers and context, for `bench growth`."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count as count_from

from benchmark.studies.growth import Workload
from sparse_model.config import CorpusModelConfig
from sparse_model.loss import LOGITS_AT_ONCE
from sparse_model.random_run import VOCABULARY, random_run

WIDTHS, LAYERS, CONTEXTS = (64, 128, 256, 512), (2, 3, 4, 6, 8), (64, 128, 256, 512, 1_024)
"""The sizes."""

WINDOWS = 2
"""Windows per step."""

BISECTION = 62
"""Operations per entry to select the largest: a comparison and an addition for each of 31 bits."""


@dataclass(frozen=True)
class Shape:
    """A training step, and what it costs by counting.

    Attributes:
        width: Channels of the stream.
        layers: Number of blocks.
        context: Tokens per window.
    """

    width: int = 128
    layers: int = 2
    context: int = 256

    @property
    def tokens(self) -> int:
        """Tokens per step."""
        return WINDOWS * self.context

    @property
    def block_weights(self) -> int:
        """Entries of the matrices of all blocks."""
        return 12 * self.layers * self.width**2

    @property
    def weights(self) -> int:
        """Entries of all matrices except the bigram table."""
        return self.block_weights + 2 * VOCABULARY * self.width

    def prepare(self) -> Callable[[], object]:
        """One step after another, from where the density has reached its final value."""
        training = CorpusModelConfig(d_model=self.width, layers=self.layers, batch=WINDOWS, density=0.07)
        run = random_run(training, self.context)
        steps = count_from(run.total // 2)
        return lambda: run.step(next(steps))

    def operations(self) -> int:
        """Products and attention, forward and backward; AbsTopK; softmax; Adam; the projection."""
        products = 6 * self.tokens * (self.block_weights + VOCABULARY * self.width)
        attention = 6 * self.layers * self.tokens * self.context * self.width
        abs_top_k = BISECTION * 11 * self.layers * self.tokens * self.width
        softmax = 10 * self.tokens * VOCABULARY
        adam = 15 * (self.weights + VOCABULARY**2)
        return products + attention + abs_top_k + softmax + adam + BISECTION * self.weights

    def numbers(self) -> int:
        """Parameters, gradients and two moments; what each block keeps for its gradients; logits."""
        parameters = 4 * (self.weights + VOCABULARY**2)
        activations = 20 * self.layers * self.tokens * self.width
        return parameters + activations + 2 * min(LOGITS_AT_ONCE, self.tokens * VOCABULARY)


def workloads() -> list[Workload]:
    """All workloads, on random tokens."""
    return [
        _workload("width", WIDTHS, lambda width: Shape(width=width)),
        _workload("layers", LAYERS, lambda layers: Shape(layers=layers)),
        _workload("context", CONTEXTS, lambda context: Shape(context=context)),
    ]


def _workload(axis: str, sizes: tuple[int, ...], shape: Callable[[int], Shape]) -> Workload:
    return Workload(
        name="training step of a weight-sparse transformer",
        axis=axis,
        sizes=sizes,
        prepare=lambda size: shape(size).prepare(),
        operations=lambda size: shape(size).operations(),
        numbers=lambda size: shape(size).numbers(),
    )
