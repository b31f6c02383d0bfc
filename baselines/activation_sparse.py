"""A transformer with dense weights and the AbsTopK of the weight-sparse one: sparse activations alone."""

from benchmark.methods import Method
from sparse_model.config import DenseWeightsConfig
from sparse_model.method import NATIVE, PRETRAINED

ACTIVATION_SPARSE = Method(
    name="activation_sparse",
    summary="A transformer with all its weights and a quarter of its activations.",
    source="the weight-sparse transformer of Gao et al. 2025, https://arxiv.org/abs/2511.13653, at density 1",
    config=DenseWeightsConfig,
    variants=NATIVE,
    train="sparse_model.training:train",
    load="sparse_model.transformer:load",
    resources="sparse_model.resources:resources",
    exports=PRETRAINED,
    matched_to="weight_sparse",
)
