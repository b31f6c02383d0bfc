"""Dictionaries of one's own: SAEs, transcoders and cross-layer transcoders by the folder that they are in.

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


SOURCES = {
    "sae-lens": "https://github.com/decoderesearch/SAELens",
    "sparsify": "https://github.com/EleutherAI/sparsify",
    "circuit-tracer": "https://github.com/decoderesearch/circuit-tracer",
}
"""The libraries whose folders are read, and where they are."""


def _method(name: str, kind: str, what: str, formats: tuple[str, ...], base: str = "dense") -> Method:
    """The method for dictionaries of a kind that were fitted to the model of another method."""
    of = "" if base == "dense" else f" of the model {base}"
    return Method(
        name=name,
        summary=f"{what}{of}: --method {name} --set {name}.path=DIR, in the format of {' or '.join(formats)}.",
        source=", ".join(SOURCES[each] for each in formats),
        config=SavedConfig,
        variants=VARIANTS,
        train=f"baselines.saved.training:train_{kind}",
        load=f"baselines.saved.training:load_{kind}",
        outside="baselines.saved.sources:digests",
        resources=f"baselines.saved.sizes:resources_{kind}",
        needs=(base,),
        explains=base,
        by_name=True,
    )


SAES = ("sae", "Your own SAEs after every block", ("sae-lens", "sparsify"))
TRANSCODERS = ("transcoder", "Your own transcoders of every MLP", ("sae-lens", "sparsify", "circuit-tracer"))
CLT = ("clt", "Your own cross-layer transcoder", ("circuit-tracer",))

SAVED_SAE = _method("saved_sae", *SAES)
SAVED_TRANSCODER = _method("saved_transcoder", *TRANSCODERS)
SAVED_CLT = _method("saved_clt", *CLT)

HOOKED_SAE = _method("hooked_sae", *SAES, base="hooked")
HOOKED_TRANSCODER = _method("hooked_transcoder", *TRANSCODERS, base="hooked")
HOOKED_CLT = _method("hooked_clt", *CLT, base="hooked")
