"""What a TransformerLens model must not have if its nodes and edges are to be ablated exactly, by name."""

from collections.abc import Iterator
from typing import Any

POSITIONS = ("standard", "rotary", "shortformer", "alibi")
"""The position embeddings of a `HookedTransformer` that can be run."""


def check_supported(model: Any) -> None:
    """Make sure that a model can be run and ablated exactly, before anything is computed.

    Raises:
        ValueError: The model is not a `HookedTransformer`, or has the part that the error names.
    """
    if not any(each.__name__ == "HookedTransformer" for each in type(model).__mro__):
        raise ValueError(f"a {type(model).__name__} is not a HookedTransformer of TransformerLens")
    for part in _unsupported(model):
        raise ValueError(f"the HookedTransformer cannot be ablated exactly: it has {part}")


def _unsupported(model: Any) -> Iterator[str]:
    """The parts of a model that cannot be ablated exactly."""
    cfg = model.cfg
    parts = {
        "no blocks": cfg.n_layers == 0,
        "a mixture of experts": bool(cfg.num_experts),
        "weights of 4 bits": cfg.load_in_4bit,
        f"layers on {cfg.n_devices} devices": cfg.n_devices > 1,
        f"attention in the direction {cfg.attention_dir!r} (only causal)": cfg.attention_dir != "causal",
        f"positions {cfg.positional_embedding_type!r} (only {', '.join(POSITIONS)})": (
            cfg.positional_embedding_type not in POSITIONS
        ),
        "a gated MLP whose activation has a norm of its own": (
            not cfg.attn_only and cfg.gated_mlp and cfg.is_layer_norm_activation()
        ),
        "one copy of the stream per head (call set_use_attn_in(False))": cfg.use_attn_in,
        "inputs split by head (call set_use_split_qkv_input(False))": cfg.use_split_qkv_input,
        f"parameters of {model.W_E.dtype} under a configuration of {cfg.dtype} (call to({model.W_E.dtype}))": (
            model.W_E.dtype != cfg.dtype
        ),
    }
    yield from (part for part, present in parts.items() if present)
    hooked = [name for name, point in model.hook_dict.items() if point.has_hooks()]
    if hooked:
        yield f"hooks of its own, at {hooked[0]} (call reset_hooks(including_permanent=True))"
