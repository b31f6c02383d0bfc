"""A transformer with dense weights and the AbsTopK of the weight-sparse one: which half of the idea does the work?"""

from pydantic import Field

from benchmark.methods import Method
from benchmark.settings import Positive, Size
from sparse_model.config import CorpusModelConfig
from sparse_model.method import NATIVE


class ActivationSparseConfig(CorpusModelConfig):
    """The settings of the weight-sparse transformer, with the densities of the weights fixed at 1."""

    d_model: Size = 64
    """Width of the residual stream, channels."""

    density: float = Field(1.0, ge=1, le=1)
    """Share of the weights of the blocks that are not zero: all."""

    embedding_density: float = Field(1.0, ge=1, le=1)
    """The same share for the embedding and the unembedding: all."""

    learning_rate: Positive = 0.015
    """Of Adam; multiplied by warm-up and linear decay."""


ACTIVATION_SPARSE = Method(
    name="activation_sparse",
    summary="A transformer with all its weights and a quarter of its activations.",
    source="the weight-sparse transformer of Gao et al. 2025, https://arxiv.org/abs/2511.13653, at density 1",
    config=ActivationSparseConfig,
    variants=NATIVE,
    train="sparse_model.training:train",
    load="sparse_model.transformer:load",
    matched_to="weight_sparse",
)
