"""Dictionaries of one's own: SAEs, transcoders and cross-layer transcoders in the files of sae-lens or circuit-tracer.

They were fitted elsewhere to activations of our dense model, or of a model of one's own (the method `hooked`). Nothing
is trained: the files are copied, and mean errors and quality are measured as for our own dictionaries.
"""

from pydantic import Field

from baselines.config import VARIANTS, MeasuredConfig
from benchmark.methods import Method


class SavedConfig(MeasuredConfig):
    """Where a saved dictionary is."""

    path: str = Field(min_length=1, max_length=4096)
    """The folder with the files."""


SOURCE = "whoever trained it: sae-lens, https://github.com/decoderesearch/SAELens, or circuit-tracer, "
SOURCE += "https://github.com/decoderesearch/circuit-tracer"


def _method(name: str, kind: str, what: str, formats: str, base: str = "dense") -> Method:
    """The method for dictionaries of a kind that were fitted to the model of another method."""
    of = "" if base == "dense" else f" of the model {base}"
    return Method(
        name=name,
        summary=f"{what}{of}: --method {name} --set {name}.path=DIR, a folder of {formats}.",
        source=SOURCE,
        config=SavedConfig,
        variants=VARIANTS,
        train=f"baselines.saved.training:train_{kind}",
        load=f"baselines.saved.training:load_{kind}",
        outside="baselines.saved.sources:digests",
        needs=(base,),
        explains=base,
        by_name=True,
    )


SAES = ("sae", "Your own SAEs after every block", "sae-lens")
TRANSCODERS = ("transcoder", "Your own transcoders of every MLP", "sae-lens or circuit-tracer")
CLT = ("clt", "Your own cross-layer transcoder", "circuit-tracer")

SAVED_SAE = _method("saved_sae", *SAES)
SAVED_TRANSCODER = _method("saved_transcoder", *TRANSCODERS)
SAVED_CLT = _method("saved_clt", *CLT)

HOOKED_SAE = _method("hooked_sae", *SAES, base="hooked")
HOOKED_TRANSCODER = _method("hooked_transcoder", *TRANSCODERS, base="hooked")
HOOKED_CLT = _method("hooked_clt", *CLT, base="hooked")
