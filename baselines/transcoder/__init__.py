"""Per-layer transcoders: sparse features predict each MLP's output from its input and replace the MLP."""

from baselines.config import SWEEP, DictionaryConfig
from benchmark.methods import Method, Variant


class TranscoderConfig(DictionaryConfig):
    """Settings of the transcoders, which are trained with BatchTopK and saved with one threshold per layer."""


TRANSCODER = Method(
    name="transcoder",
    summary="Sparse features replace each MLP: they read its input and predict its output.",
    source="Dunefsky et al. 2024, arXiv 2406.11944; BatchTopK of arXiv 2412.06410, trained by sae-lens",
    config=TranscoderConfig,
    variants=(Variant("errors_ablated", ("unit",)), Variant("errors_available", ("unit",), ranked=False)),
    train="baselines.transcoder.training:train",
    load="baselines.transcoder.training:load",
    needs=("dense",),
    explains="dense",
    family="primary",
    sweep=SWEEP,
    version=2,
)
