"""The hook points at which dictionaries stand: our names, and those of TransformerLens and circuit-tracer for them.

A transcoder may read the input of an MLP at three places: `mlp_in`, after the norm and its gain, which circuit-tracer
calls `mlp.hook_in`; `ln2.hook_normalized`, before the gain; and `resid_mid`, before the norm, which TransformerLens
calls `hook_resid_mid` and also `hook_mlp_in`.
"""

import re
from typing import Literal, get_args

MLPRead = Literal["mlp_in", "ln2.hook_normalized", "resid_mid"]
"""Where the dictionary of an MLP reads."""

MLP_READS: tuple[MLPRead, ...] = get_args(MLPRead)

OURS = {
    "hook_resid_post": "resid_post",
    "hook_resid_mid": "resid_mid",
    "hook_mlp_in": "resid_mid",
    "mlp.hook_in": "mlp_in",
    "hook_mlp_out": "mlp_out",
    "mlp.hook_out": "mlp_out",
}
"""Our names for hook points within a block."""

THEIRS = {
    "resid_post": "hook_resid_post",
    "resid_mid": "hook_resid_mid",
    "mlp_in": "mlp.hook_in",
    "ln2.hook_normalized": "ln2.hook_normalized",
    "mlp_out": "hook_mlp_out",
}
"""What we write into files for other tools."""


def place_of(hook_name: str) -> str:
    """Our name for a hook point, `blocks.{layer}.{hook}`, or for what a module of a Hugging Face model computes.

    A name that is not known stays as it is.
    """
    found = re.fullmatch(r"blocks\.(\d{1,4})\.(.+)", hook_name)
    if found is None:
        return module_place(hook_name)
    layer, hook = int(found[1]), found[2]
    if hook == "hook_resid_pre" and layer > 0:  # the same row as after the block before
        return f"blocks.{layer - 1}.resid_post"
    return f"blocks.{layer}.{OURS.get(hook, hook)}"


def their_name(place: str) -> str:
    """What TransformerLens, or circuit-tracer, calls one of our hook points."""
    _, layer, hook = place.split(".", 2)
    return f"blocks.{layer}.{THEIRS[hook]}"


def mlp_read_of(place: str, layer: int) -> MLPRead | None:
    """Which input of the MLP of a layer a hook point is, in our names; `None` if it is something else."""
    return next((read for read in MLP_READS if place == f"blocks.{layer}.{read}"), None)


def module_place(name: str) -> str:
    """Our name for what a module of a Hugging Face model computes; a name that is not known stays as it is."""
    found = re.fullmatch(r"(?:[\w.]+\.)?(?:layers|h)\.(\d{1,4})(\.mlp)?", name)
    return name if found is None else f"blocks.{found[1]}.{'mlp_out' if found[2] else 'resid_post'}"
