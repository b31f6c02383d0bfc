"""The weight-sparse transformer as a method, declared without torch."""

from collections.abc import Mapping
from typing import Any

from benchmark.methods import Axis, Method, Variant
from sparse_model.config import CorpusModelConfig

NATIVE = (Variant("native", ("channel", "unit")),)
"""The one variant of a transformer trained on the corpus: the model itself, in both graphs."""

PRETRAINED = {"pretrained": "sparse_model.pretrained:export"}
"""The format in which `bench export` writes a transformer."""


def _least_density(config: Mapping[str, Any]) -> float:
    """The density below which the shortest rows of weights would keep fewer than the minimum per neuron."""
    return float(config["minimum_per_neuron"] / config["d_model"])


WEIGHT_SPARSE = Method(
    name="weight_sparse",
    summary="A transformer trained with almost all weights zero and a quarter of its activations.",
    source="Gao et al. 2025, https://arxiv.org/abs/2511.13653",
    config=CorpusModelConfig,
    variants=NATIVE,
    train="sparse_model.training:train",
    load="sparse_model.transformer:load",
    resources="sparse_model.resources:resources",
    exports=PRETRAINED,
    role="reference",
    sweep=(Axis("density", (0.4, 1.0, 2.5), "density", least=_least_density, most=1.0),),
)
