"""Per-layer transcoders: sparse features predict each MLP's output from its input, and take its place."""

from baselines.config import SWEEP, DictionaryConfig
from benchmark.methods import Method, Variant


class TranscoderConfig(DictionaryConfig):
    """Settings of the transcoders; trained by BatchTopK, saved as one threshold for all features of a layer."""


TRANSCODER = Method(
    name="transcoder",
    summary="Sparse features replace each MLP: they read what it reads and predict what it writes.",
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
