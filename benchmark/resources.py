"""What a method says that its training takes and how large its models are, for the plan of a run. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

NUMBER = 4
"""Bytes of a float32, the number type of parameters, gradients, moments and saved tensors."""


@dataclass(frozen=True)
class Shapes:
    """What the resources of a method depend on besides its own settings.

    Attributes:
        vocabulary: Number of token ids.
        context: Positions of a window.
        configs: The settings of the methods that it is fitted on, by name.
    """

    vocabulary: int
    context: int
    configs: Mapping[str, BaseModel] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """What one training takes.

    Attributes:
        parameters: Number of parameters that are trained, read or drawn at random, the bigram table included.
        memory_bytes: The most bytes that tensors take at one time.
        store_bytes: Bytes of the files that stay.
        flops: Floating-point operations of matrix products and attention, two per multiplication and addition.
        activation_bytes: Bytes of activations that the forward pass of one batch keeps for its backward pass.
        optimizer_bytes: Bytes of the optimizer's moments.
        dictionary_bytes: Bytes of the encoders and decoders of a dictionary; 0 for other methods.
        tokens: Number of training tokens, 0 if nothing is trained.
    """

    parameters: int
    memory_bytes: int
    store_bytes: int
    flops: int
    activation_bytes: int = 0
    optimizer_bytes: int = 0
    dictionary_bytes: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class ModelSize:
    """How large a variant of a trained method is where circuits are discovered in it.

    Attributes:
        parameters: Number of parameters in memory, those of the model that it replaces parts of included.
        sites: Number of values at a position, at all sites together.
        site_count: Number of sites.
        units: How many of the values are nodes of the unit graph.
        meaningful: How many of the values are not reconstruction errors.
        held: Numbers per position that a forward pass without gradients holds at one time, logits not included.
        largest: Number of entries of the largest tensor.
        connections: Number of weights between units in the unit graph, those through opaque blocks left out.
        terminals: Number of weights from the embeddings to units, and from units to the logits.
        flops: Operations per position of a forward pass, logits included.
    """

    parameters: int
    sites: int
    site_count: int
    units: int
    meaningful: int
    held: int
    largest: int
    connections: int
    terminals: int
    flops: int


@dataclass(frozen=True)
class Resources:
    """What a method takes with its settings.

    Attributes:
        training: What its training takes.
        variants: How large its models are, by variant.
    """

    training: Training
    variants: Mapping[str, ModelSize]
