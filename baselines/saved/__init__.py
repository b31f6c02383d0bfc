"""Dictionaries of one's own: SAEs, transcoders and cross-layer transcoders in the files of sae-lens or circuit-tracer.

They were fitted elsewhere to the activations of the dense model. Nothing is trained: the files are copied, and mean
errors and quality are measured as for our own dictionaries.
"""

from pydantic import Field

from baselines.config import VARIANTS, MeasuredConfig
from benchmark.methods import Method


class SavedConfig(MeasuredConfig):
    """Where a saved dictionary is."""

    path: str = Field(min_length=1, max_length=4096)
    """The folder with the files."""


def _method(name: str, kind: str, what: str, formats: str) -> Method:
    return Method(
        name=name,
        summary=f"{what}, read from the folder {name}.path in the format of {formats}.",
        source="whoever trained it; sae-lens, https://github.com/decoderesearch/SAELens, circuit-tracer, "
        "https://github.com/decoderesearch/circuit-tracer",
        config=SavedConfig,
        variants=VARIANTS,
        train=f"baselines.saved.training:train_{kind}",
        load=f"baselines.saved.training:load_{kind}",
        outside="baselines.saved.sources:digests",
        needs=("dense",),
        explains="dense",
        by_name=True,
    )


SAVED_SAE = _method("saved_sae", "sae", "Your own SAEs after every block", "sae-lens")
SAVED_TRANSCODER = _method(
    "saved_transcoder", "transcoder", "Your own transcoders of every MLP", "sae-lens or circuit-tracer"
)
SAVED_CLT = _method("saved_clt", "clt", "Your own cross-layer transcoder", "circuit-tracer")
