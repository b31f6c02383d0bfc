"""What a training step of a weight-sparse transformer costs by width, layers and context, for `bench growth`."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count as count_from

from benchmark.resources import NUMBER
from benchmark.studies.growth import Workload
from sparse_model.config import CorpusModelConfig, TransformerConfig
from sparse_model.random_run import VOCABULARY, random_run
from sparse_model.resources import block_weights, embeddings, training_bytes

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
    def training(self) -> CorpusModelConfig:
        """The settings."""
        return CorpusModelConfig(d_model=self.width, layers=self.layers, batch=WINDOWS, density=0.07)

    @property
    def model(self) -> TransformerConfig:
        """The transformer."""
        return self.training.transformer(VOCABULARY, self.context)

    @property
    def weights(self) -> int:
        """Entries of all matrices except the bigram table."""
        return block_weights(self.model) + embeddings(self.model)

    def prepare(self) -> Callable[[], object]:
        """One step after another, from where the density has reached its final value."""
        run = random_run(self.training, self.context)
        steps = count_from(run.total // 2)
        return lambda: run.step(next(steps))

    def operations(self) -> int:
        """Products and attention, forward and backward; AbsTopK; softmax; Adam; the projection."""
        products = 6 * self.tokens * (block_weights(self.model) + VOCABULARY * self.width)
        attention = 6 * self.layers * self.tokens * self.context * self.width
        abs_top_k = BISECTION * 11 * self.layers * self.tokens * self.width
        softmax = 10 * self.tokens * VOCABULARY
        adam = 15 * (self.weights + VOCABULARY**2)
        return products + attention + abs_top_k + softmax + adam + BISECTION * self.weights

    def numbers(self) -> int:
        """What tensors take at their peak, as it is stated for `bench plan`."""
        return training_bytes(self.training, self.model) // NUMBER


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
