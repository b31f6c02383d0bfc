"""The sizes of the model that a dictionary is fitted to, ours or one of a user's own. Imports no torch."""

from dataclasses import dataclass

from baselines.hooked import HookedConfig
from baselines.hooked.folders import outside_model
from baselines.hooked.sizes import HookedSizes, model_size, replaceable_sizes_of
from benchmark.resources import Shapes
from sparse_model.config import CorpusModelConfig, TransformerConfig
from sparse_model.resources import blocks_flops, largest_tensor, parameters, unit_connections


@dataclass(frozen=True)
class BaseSizes:
    """The sizes of a model whose layers a dictionary replaces.

    Attributes:
        layers: Number of blocks.
        d_model: Channels of the stream.
        d_read: Channels that an MLP reads.
        context: Positions of a window.
        vocabulary: Number of tokens.
        parameters: Number of parameters.
        largest: Entries of the largest tensor.
        held: The most numbers per position that a sublayer holds besides the stream.
        flops: Operations per position of all blocks.
        mlp_flops: Operations per position of all MLPs.
        queries: Nodes of a block that read the stream before its attention: queries, keys and values.
        values: Nodes of a block that its attention writes.
        writes: Writes of each of them, one for each query head that it serves.
    """

    layers: int
    d_model: int
    d_read: int
    context: int
    vocabulary: int
    parameters: int
    largest: int
    held: int
    flops: int
    mlp_flops: int
    queries: int
    values: int
    writes: int

    @property
    def forward_flops(self) -> int:
        """Operations per position of a forward pass, logits included."""
        return self.flops + 2 * self.vocabulary * self.d_model

    def connections(self, features: int, error: int) -> int:
        """Entries of the weights between units if MLPs are replaced by so many features and error nodes each."""
        maps = self.values * (1 if self.writes == 1 else 1 + self.writes)
        return unit_connections(self.layers, self.queries, maps, features, features + error)

    def terminals(self, features: int, error: int) -> int:
        """Entries of the weights from the embeddings to these units, and from them to the logits."""
        reading = (self.queries + features) * (1 + self.d_model)
        writing = self.values * (1 + self.writes * self.vocabulary) + (features + error) * (1 + self.vocabulary)
        return self.layers * (reading + writing)


def base_sizes(shapes: Shapes) -> BaseSizes | None:
    """The sizes of the model that a dictionary is fitted to; `None` if the configuration of an own one does not say.

    Raises:
        ValueError: The layers of a model of one's own cannot be replaced.
    """
    hooked = shapes.configs.get("hooked")
    if not isinstance(hooked, HookedConfig):
        return _of_transformer(dense_shape(shapes))
    sizes = replaceable_sizes_of(outside_model(hooked), shapes.context)
    return None if sizes is None else _of_hooked(sizes, shapes.context)


def dense_shape(shapes: Shapes) -> TransformerConfig:
    """The dense model that a dictionary is fitted to."""
    config = shapes.configs["dense"]
    assert isinstance(config, CorpusModelConfig)
    return config.transformer(shapes.vocabulary, shapes.context)


def _of_transformer(shape: TransformerConfig) -> BaseSizes:
    return BaseSizes(
        layers=shape.layers,
        d_model=shape.d_model,
        d_read=shape.d_read,
        context=shape.context,
        vocabulary=shape.vocabulary,
        parameters=parameters(shape),
        largest=largest_tensor(shape),
        held=2 * shape.neurons,
        flops=blocks_flops(shape),
        mlp_flops=2 * shape.layers * shape.neurons * (shape.d_read + shape.d_model),
        queries=3 * shape.d_model,
        values=shape.d_model,
        writes=1,
    )


def _of_hooked(sizes: HookedSizes, context: int) -> BaseSizes:
    model = model_size(sizes, context)
    return BaseSizes(
        layers=sizes.layers,
        d_model=sizes.d_model,
        d_read=sizes.d_model,
        context=context,
        vocabulary=sizes.vocabulary,
        parameters=model.parameters,
        largest=model.largest,
        held=max(sizes.held(context), sizes.attention_held(context)),
        flops=model.flops - 2 * sizes.vocabulary * sizes.d_model,
        mlp_flops=2 * sizes.layers * sizes.d_model * (1 + sizes.reads) * sizes.neurons,
        queries=sizes.queries + 2 * sizes.keys,
        values=sizes.keys,
        writes=sizes.writes,
    )
