"""Per-layer transcoders: sparse features predict each MLP's output from its input and replace the MLP.

They are trained with BatchTopK and saved with one threshold per layer.
"""

from baselines.config import SAE_LENS, SWEEP, VARIANTS, DictionaryConfig
from benchmark.methods import Method

TRANSCODER = Method(
    name="transcoder",
    summary="Sparse features replace each MLP: they read its input and predict its output.",
    source="Dunefsky et al. 2024, arXiv 2406.11944; BatchTopK of arXiv 2412.06410, trained by sae-lens",
    config=DictionaryConfig,
    variants=VARIANTS,
    train="baselines.transcoder.training:train",
    load="baselines.transcoder.training:load",
    resources="baselines.resources:resources_transcoder",
    exports={**SAE_LENS, "circuit-tracer": "baselines.exports:circuit_tracer"},
    needs=("dense",),
    explains="dense",
    family="primary",
    sweep=SWEEP,
    version=2,
)
