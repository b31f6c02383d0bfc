"""Cross-layer transcoders: features of a layer write to the MLP outputs of that layer and of all later ones."""

from typing import Literal

from baselines.config import SWEEP, VARIANTS, DictionaryConfig
from benchmark.methods import Method
from benchmark.settings import Positive, Weight


class CLTConfig(DictionaryConfig):
    """Settings of the cross-layer transcoder."""

    activation: Literal["topk", "batchtopk", "jumprelu"] = "batchtopk"
    """`topk`: k features per layer at every position; `batchtopk`: k per layer on average, over all layers together,
    saved as one threshold; `jumprelu`: a threshold per feature and a tanh penalty, as in Ameisen et al., without k."""

    sparsity: Weight = 1.0
    """JumpReLU: coefficient of the tanh penalty, rising linearly over the whole run."""

    tanh_scale: Positive = 4.0
    """JumpReLU: c of the penalty tanh(c x norm of all decoders x activation)."""

    bandwidth: Positive = 1.0
    """JumpReLU: width of the straight-through estimator."""

    threshold: Positive = 0.03
    """JumpReLU: initial value of every threshold."""

    revival: Weight = 1e-3
    """JumpReLU: coefficient of the penalty that pulls silent pre-activations up to their thresholds."""


CLT = Method(
    name="clt",
    summary="Sparse features replace all MLPs together: each reads one layer and writes to it and to all later ones.",
    source="Ameisen et al. 2025, https://transformer-circuits.pub/2025/attribution-graphs/methods.html",
    config=CLTConfig,
    variants=VARIANTS,
    train="baselines.clt.training:train",
    load="baselines.clt.training:load",
    resources="baselines.resources:resources_clt",
    exports={"circuit-tracer": "baselines.exports:circuit_tracer_clt"},
    needs=("dense",),
    explains="dense",
    family="primary",
    sweep=SWEEP,
    version=2,
)
