"""The weight-sparse transformer as a method, declared without torch."""

from benchmark.methods import Method, Variant
from sparse_model.config import CorpusModelConfig

NATIVE = (Variant("native", ("channel", "unit")),)
"""How a transformer trained on the corpus is read: as it is, in both graphs."""

WEIGHT_SPARSE = Method(
    name="weight_sparse",
    summary="A transformer trained with almost all weights zero and a quarter of its activations.",
    source="Gao et al. 2025, https://arxiv.org/abs/2511.13653",
    config=CorpusModelConfig,
    variants=NATIVE,
    train="sparse_model.training:train",
    load="sparse_model.transformer:load",
)
