"""The ordinary dense transformer: the same code at density 1, without AbsTopK."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from benchmark.methods import Axis, Method
from sparse_model.config import DenseWeightsConfig
from sparse_model.method import NATIVE, PRETRAINED


class DenseConfig(DenseWeightsConfig):
    """The settings of the weight-sparse transformer, with the densities fixed at 1."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "hooked": "a model of your own is a method: --method hooked --set hooked.model=DIR, with our dictionaries as "
        "sae_on_hooked, transcoder_on_hooked and clt_on_hooked",
    }

    activation_density: float = Field(1.0, ge=1, le=1)
    """Share of a site's entries that AbsTopK keeps: all."""


DENSE = Method(
    name="dense",
    summary="The same transformer, narrower, with all its weights and activations.",
    source="the dense baseline of Gao et al. 2025, https://arxiv.org/abs/2511.13653",
    config=DenseConfig,
    variants=NATIVE,
    train="sparse_model.training:train",
    load="sparse_model.transformer:load",
    resources="sparse_model.resources:resources",
    exports=PRETRAINED,
    role="reference",
    matched_to="weight_sparse",
    family="primary",
    sweep=(Axis("d_model", (0.5, 1.0, 1.5), "width", multiple_of="d_head"),),
)
