"""The ordinary dense transformer: the same file at density 1, without AbsTopK."""

from pydantic import Field

from benchmark.methods import Axis, Method
from benchmark.settings import Positive, Size
from sparse_model.config import CorpusModelConfig
from sparse_model.method import NATIVE


class DenseConfig(CorpusModelConfig):
    """The settings of the weight-sparse transformer, with the densities fixed at 1."""

    d_model: Size = 64
    """Width of the residual stream, channels."""

    activation_density: float = Field(1.0, ge=1, le=1)
    """Share of a site's entries that AbsTopK keeps: all."""

    density: float = Field(1.0, ge=1, le=1)
    """Share of the weights of the blocks that are not zero: all."""

    embedding_density: float = Field(1.0, ge=1, le=1)
    """The same share for the embedding and the unembedding: all."""

    learning_rate: Positive = 0.015
    """Of Adam; multiplied by warm-up and linear decay."""


DENSE = Method(
    name="dense",
    summary="The same transformer, narrower, with all its weights and activations.",
    source="the dense baseline of Gao et al. 2025, https://arxiv.org/abs/2511.13653",
    config=DenseConfig,
    variants=NATIVE,
    train="sparse_model.training:train",
    load="sparse_model.transformer:load",
    role="reference",
    matched_to="weight_sparse",
    family="primary",
    sweep=(Axis("d_model", (0.5, 1.0, 1.5), "width", multiple_of="d_head"),),
)
