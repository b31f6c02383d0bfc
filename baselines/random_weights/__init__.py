"""The null baseline of the weight-sparse transformer: the same model, never trained."""

from benchmark.methods import Method
from sparse_model.config import CorpusModelConfig
from sparse_model.method import NATIVE

RANDOM_WEIGHTS = Method(
    name="random_weights",
    summary="A weight-sparse transformer that was never trained: what circuits are found in noise?",
    source="the random control of Adebayo et al. 2018, https://arxiv.org/abs/1810.03292",
    config=CorpusModelConfig,
    variants=NATIVE,
    train="baselines.random_weights.drawing:train",
    load="sparse_model.transformer:load",
    resources="sparse_model.resources:resources_untrained",
    role="control",
)
