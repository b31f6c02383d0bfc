"""SAEs: the residual stream after every block is replaced by its sparse reconstruction."""

from typing import Literal

from baselines.config import SAE_LENS, SWEEP, VARIANTS, DictionaryConfig
from benchmark.methods import Method


class SAEConfig(DictionaryConfig):
    """Settings of the SAEs."""

    activation: Literal["topk", "batchtopk"] = "batchtopk"
    """`topk`: k features at every position; `batchtopk`: k on average, saved as one threshold for all features."""


SAE = Method(
    name="sae",
    summary="A sparse autoencoder after every block; the residual stream is replaced by its reconstruction.",
    source="Bricken et al. 2023, https://transformer-circuits.pub/2023/monosemantic-features; trained by sae-lens",
    config=SAEConfig,
    variants=VARIANTS,
    train="baselines.sae.training:train",
    load="baselines.replaced_stream:load_stream",
    resources="baselines.resources:resources_sae",
    exports=SAE_LENS,
    needs=("dense",),
    explains="dense",
    family="primary",
    sweep=SWEEP,
    version=2,
)
