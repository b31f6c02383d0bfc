"""The hook points at which dictionaries stand: our names, and those of TransformerLens and circuit-tracer for them.

The input of an MLP is `mlp_in`: the stream after the norm and its gain. circuit-tracer calls it `mlp.hook_in`.
`hook_mlp_in` and `hook_resid_mid` of TransformerLens are the stream before the norm, and `ln2.hook_normalized` is
what the gain has not multiplied yet: features of these places are not features of `mlp_in`.
"""

import re

OURS = {
    "hook_resid_post": "resid_post",
    "mlp.hook_in": "mlp_in",
    "hook_mlp_out": "mlp_out",
    "mlp.hook_out": "mlp_out",
}
"""Our names for hook points within a block."""

THEIRS = {"resid_post": "hook_resid_post", "mlp_in": "mlp.hook_in", "mlp_out": "hook_mlp_out"}
"""What we write into files for other tools."""


def place_of(hook_name: str) -> str:
    """Our name for a hook point, `blocks.{layer}.{hook}`; a name that is not known stays as it is."""
    found = re.fullmatch(r"blocks\.(\d{1,4})\.(.+)", hook_name)
    if found is None:
        return hook_name
    layer, hook = int(found[1]), found[2]
    if hook == "hook_resid_pre" and layer > 0:  # the same row as after the block before
        return f"blocks.{layer - 1}.resid_post"
    return f"blocks.{layer}.{OURS.get(hook, hook)}"


def their_name(place: str) -> str:
    """What TransformerLens, or circuit-tracer, calls one of our hook points."""
    block, _, hook = place.rpartition(".")
    return f"{block}.{THEIRS[hook]}"
