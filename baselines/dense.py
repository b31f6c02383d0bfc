"""The ordinary dense transformer: the same file at density 1, without AbsTopK."""

from pydantic import Field

from benchmark.methods import Method
from sparse_model.config import CorpusModelConfig
from sparse_model.method import NATIVE


class DenseConfig(CorpusModelConfig):
    """The settings of the weight-sparse transformer, with the densities fixed at 1."""

    d_model: int = Field(64, ge=1)
    """Width of the residual stream, channels."""

    activation_density: float = Field(1.0, ge=1, le=1)
    """Share of a site's entries that AbsTopK keeps: all."""

    density: float = Field(1.0, ge=1, le=1)
    """Share of the weights of the blocks that are not zero: all."""

    embedding_density: float = Field(1.0, ge=1, le=1)
    """The same share for the embedding and the unembedding: all."""

    learning_rate: float = Field(0.015, gt=0)
    """Of Adam; multiplied by warm-up and linear decay."""


DENSE = Method(
    name="dense",
    summary="The same transformer, narrower, with all its weights and activations.",
    source="the dense baseline of Gao et al. 2025, https://arxiv.org/abs/2511.13653",
    config=DenseConfig,
    variants=NATIVE,
    train="sparse_model.training:train",
    load="sparse_model.transformer:load",
)
